"""Rows to tokens and batches: equal to TRL's own, answers only, never cut."""

import math
from pathlib import Path
from typing import Any

import color_data
import pytest

from pairwright.images import ImageReader, open_image
from pairwright.text.conversation import structured
from train.batch.collate import Collator, pad_batch
from train.batch.encode import Encoder, RowError
from train.batch.images import ImageBank
from train.batch.rows import pair_rows, pick_pairs, sample_rows

END = "<|im_end|>"


@pytest.fixture(scope="module")
def processor(tiny_qwen: Path) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(tiny_qwen)


def encoded(encoder: Encoder, rows: Any, *, last_only: bool) -> list[Any]:
    return [
        tuple(
            encoder.encode(encoder.answers(c, last_only=last_only), row.image_ids)
            for c in row.conversations
        )
        for row in rows
    ]


def same_up_to_tail(ours: Any, theirs: Any, key: str, row: int) -> bool:
    """Ours ends with the end token; TRL's rendering goes on with a line break."""
    n = int(ours["attention_mask"][row].sum())
    extra = theirs["input_ids"][row, n:][theirs["attention_mask"][row, n:] == 1]
    return ours[key][row, :n].tolist() == theirs[key][row, :n].tolist() and len(extra) == 1


def test_preference_batch_equals_trl(make: color_data.Maker, processor: Any) -> None:
    from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

    dataset = make.colors(size=(48, 32))
    rows = pair_rows(dataset, pick_pairs(dataset, None), ("chosen", "rejected"), None)
    encoder = Encoder(processor, ImageBank(dataset, processor))
    tokens = encoded(encoder, rows, last_only=True)
    ours = Collator(encoder, tokens, preference=True)([{"row": k} for k in range(8)])
    reader = ImageReader(dataset)
    theirs = DataCollatorForVisionPreference(processor)(
        [
            {
                "images": [open_image(reader.read(row.image_ids[0]))],
                "prompt": [{"role": "user", "content": "color?"}],
                "chosen": [row.conversations[0][-1]],
                "rejected": [row.conversations[1][-1]],
            }
            for row in rows
        ]
    )
    for key in ("input_ids", "completion_mask", "mm_token_type_ids"):
        assert all(same_up_to_tail(ours, theirs, key, row) for row in range(16)), key
    for key in ("pixel_values", "image_grid_thw"):
        assert ours[key].equal(theirs[key]), key
    assert ours.keys() == theirs.keys()


def test_only_answers_are_learnt_in_every_turn(make: color_data.Maker, processor: Any) -> None:
    dataset = make.colors()
    images = dataset.union("images").collect()["image_id"].to_list()
    rows = [
        {
            "image_ids": images[:2],
            "messages": [
                {"role": "system", "content": "Be brief."},
                color_data.user("<image>\nred?"),
                color_data.assistant("yes"),
                color_data.user("and <image> this? \\<image>"),
                color_data.assistant("no, blue"),
                color_data.user("sure?"),
            ],
        },
        {"image_ids": [], "messages": [color_data.user("hi"), color_data.assistant("hello")]},
    ]
    color_data.write_samples(dataset, [{"sample_id": f"m{n}"} | r for n, r in enumerate(rows)], "m")
    multi = [row for row in sample_rows(dataset, None).rows if row.row_id.startswith("m")]
    encoder = Encoder(processor, ImageBank(dataset, processor))
    tokens = encoded(encoder, multi, last_only=False)
    encoder.verify([(encoder.answers(multi[0].conversations[0], last_only=False), images[:2])])
    assert not encoder.exact
    assert encoder.joinable
    batch = Collator(encoder, tokens, preference=False)([{"row": 0}, {"row": 1}])
    learnt = [
        processor.tokenizer.decode([i for i in row.tolist() if i != -100])
        for row in batch["labels"]
    ]
    assert learnt == [f"yes{END}no, blue{END}", f"hello{END}"]
    seen = processor.tokenizer.decode(batch["input_ids"][0])
    assert seen.count("<|image_pad|>") == tokens[0][0].length - len(tokens[0][0].ids) + 2
    assert "<image>" in seen, "a literal mark stays text"
    assert "sure?" not in seen, "a question without an answer teaches nothing"
    last = encoder.encode(encoder.answers(multi[0].conversations[0], last_only=True), images[:2])
    ids = [i for i, a in zip(last.ids, last.answer, strict=True) if a]
    assert processor.tokenizer.decode(ids) == f"no, blue{END}"


def test_lengths_are_those_of_the_processor(make: color_data.Maker, processor: Any) -> None:
    dataset = make.colors(size=(61, 23))
    row = sample_rows(dataset, 1).rows[0]
    encoder = Encoder(processor, ImageBank(dataset, processor))
    prompt = row.conversations[0][:1]
    tokens = encoder.encode(encoder.question(prompt), row.image_ids)
    text = processor.apply_chat_template(structured(prompt), add_generation_prompt=True)
    image = open_image(ImageReader(dataset).read(row.image_ids[0]))
    made = processor(images=[image], text=[text], return_tensors="pt")
    assert tokens.length == made["input_ids"].shape[1]
    batch = pad_batch(encoder, [tokens], side="left")
    assert batch["input_ids"].equal(made["input_ids"])
    assert batch["mm_token_type_ids"].equal(made["mm_token_type_ids"])


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([color_data.user("<|image_pad|> x"), color_data.assistant("y")], "image_placeholders"),
        ([color_data.user("x"), color_data.assistant("  ")], "no_answer"),
        ([color_data.assistant("y")], "no_answer"),
        ([color_data.user("x")], "no_answer"),
    ],
)
def test_hostile_rows_are_refused(
    make: color_data.Maker, processor: Any, messages: Any, reason: str
) -> None:
    encoder = Encoder(processor, ImageBank(make.colors(), processor))
    with pytest.raises(RowError) as caught:
        encoder.encode(encoder.answers(messages, last_only=False), [])
    assert caught.value.reason == reason


def test_an_answer_that_the_template_leaves_open_gets_an_end(
    make: color_data.Maker, processor: Any, tiny_qwen: Path
) -> None:
    from transformers import AutoProcessor

    other = AutoProcessor.from_pretrained(tiny_qwen)
    other.chat_template = (
        "{% for m in messages %}{{ m['role'] }}: {% for p in m['content'] %}{{ p.get('text', '') }}"
        "{% endfor %} {% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    )
    encoder = Encoder(other, ImageBank(make.colors(), other))
    turns = [color_data.user("x"), color_data.assistant("y")]
    tokens = encoder.encode(encoder.answers(turns, last_only=False), [])
    assert other.tokenizer.decode(tokens.ids) == f"user: x assistant: y{END}"
    assert math.isclose(sum(tokens.answer), 2)

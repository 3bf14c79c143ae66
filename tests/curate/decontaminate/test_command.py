"""`curate decontaminate`: leaks are found by image and by specific text, not by common wording."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tiny_dataset import sample, write_dataset

from curate.decontaminate.command import decontaminate
from curate.decontaminate.options import DecontaminateOptions
from pairwright.commands import command
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.errors import Error
from schemas.tables import Decisions, Overlaps

LONG = (
    "Considering the rusted hinges on the green harbour gate and the flooded path behind it, what "
    "would a visitor carrying a folding bicycle have to do to reach the lighthouse before dusk?"
)


def scene(
    seed: int, *, format: str = "PNG", size: tuple[int, int] = (240, 180), **how: Any
) -> bytes:
    """A smooth random image with some structure, as a photograph has."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    image = Image.fromarray(noise).resize((240, 180), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.BICUBIC).save(buffer, format, **how)
    return buffer.getvalue()


def check(dataset: Dataset, *against: str, **options: Any) -> dict[str, dict[str, Any]]:
    """Decisions by source id."""
    decontaminate(
        dataset, DecontaminateOptions(against=against, **options), RunOptions(replace=True)
    )
    rows = dataset.read("decisions", "decontaminate")
    Decisions.validate(rows, cast=False)
    names = dataset.union("samples").select("sample_id", "source_id").collect()
    assert rows["sample_id"].to_list() == names["sample_id"].to_list()
    return {r["source_id"]: r for r in rows.join(names, on="sample_id").iter_rows(named=True)}


@pytest.fixture
def bench(tmp_path: Path) -> Dataset:
    images = [scene(n) for n in range(4)]
    samples = [
        sample(f"b{n}", [p], "<image>\nIs there a dog in the image?", "yes")
        for n, p in enumerate(images)
    ]
    samples.append(sample("long", [images[3]], f"<image>\n{LONG}", "Wait for low tide."))
    return write_dataset(tmp_path / "bench", images, samples)


def test_all_rows_on_a_benchmark_image_and_its_copies_are_removed(tmp_path, bench):
    same, jpeg = scene(0), scene(1, format="JPEG", quality=70)
    small, other = scene(2, size=(132, 99)), scene(77)
    again = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(again, "WEBP", quality=60)
    data = write_dataset(
        tmp_path / "data",
        [same, jpeg, small, other, again.getvalue()],
        [
            sample("same", [same], "<image>\nIs there a dog in the image?", "yes"),
            sample("same-2", [same], "<image>\nWhat hangs on the wall?", "a clock"),
            sample("jpeg", [jpeg], "<image>\nName the colours.", "grey"),
            sample("small", [small], "<image>\nName the colours.", "blue"),
            sample("again", [again.getvalue()], "<image>\nHow many?", "two"),
            sample("two", [other, same], "<image><image>\nWhich is darker?", "the first"),
            sample("clean", [other], "<image>\nIs there a dog in the image?", "yes"),
        ],
    )
    found = check(data, str(bench.path))
    assert {k for k, row in found.items() if row["kept"]} == {"clean"}
    assert {row["reason"] for row in found.values()} == {"kept", "benchmark_image"}
    assert found["same-2"]["method"] == "bench:exact"
    assert found["jpeg"]["method"] == found["small"]["method"] == "bench:phash"
    assert all(row["kept_id"] is None for row in found.values())
    overlaps = data.read("overlaps", "decontaminate")
    Overlaps.validate(overlaps, cast=False)
    assert overlaps.height == 6
    only_bytes = check(data, str(bench.path), image_match="exact")
    assert {k for k, row in only_bytes.items() if row["kept"]} == {
        "jpeg",
        "small",
        "again",
        "clean",
    }
    by_text = check(data, str(bench.path), by="text")
    assert all(row["kept"] for row in by_text.values()), "the shared question is no evidence"


def test_a_row_with_a_specific_text_is_removed_and_common_wording_is_kept(tmp_path, bench):
    images = [scene(100 + n) for n in range(8)]
    edited = LONG.replace("folding", "heavy").upper()
    prompt = "Answer the question with one word chosen from the list of words that was given above."
    rows = [
        sample("leak", [images[0]], f"<image>\n{LONG}", "Swim."),
        sample("edited", [images[1]], f"<image>\n{edited}", "Swim."),
        sample("truncated", [images[4]], f"<image>\n{LONG[int(len(LONG) * 0.35) :]}", "Swim."),
        sample("quoted", [images[2]], "<image>\nHello", f"You asked: {LONG} I do not know."),
        sample("same-image", [images[0]], "<image>\nIs it day?", "yes"),
        sample("half", [images[3]], f"<image>\n{LONG[: len(LONG) // 2]}", "Swim."),
    ]
    rows += [sample(f"t{n}", [p], f"<image>\n{prompt}", "red") for n, p in enumerate(images)]
    data = write_dataset(tmp_path / "data", images, rows)
    templated = [sample("p", [images[7]], f"<image>\n{prompt}", "blue")]
    templated[0]["image_ids"] = [hashlib.sha256(scene(500)).hexdigest()]
    write_dataset(tmp_path / "templated", [scene(500)], templated)
    found = check(data, str(bench.path), str(tmp_path / "templated"))
    removed = {k: row["method"] for k, row in found.items() if not row["kept"]}
    assert removed.keys() == {"leak", "edited", "quoted", "truncated"}
    assert removed["leak"] == "bench:words"
    assert removed["quoted"] == "bench:ngram"
    assert found["leak"]["reason"] == "benchmark_text"
    summary = data.manifest("decisions", "decontaminate").summary
    assert summary["benchmarks"]["templated"]["removed"] == 0


def test_if_the_benchmark_image_is_unknown_other_rows_on_the_image_are_removed_too(tmp_path):
    file = tmp_path / "pope-like.jsonl"
    file.write_text(
        json.dumps({"image": "absent.jpg", "question": LONG, "answer": "Swim."})
        + "\n"
        + json.dumps(
            {"image": "absent.jpg", "question": "Is there a dog in the image?", "answer": "no"}
        )
        + "\n"
    )
    images = [scene(1), scene(2)]
    data = write_dataset(
        tmp_path / "data",
        images,
        [
            sample("leak", [images[0]], f"<image>\n{LONG}", "Swim."),
            sample("same-image", [images[0]], "<image>\nIs it day?", "yes"),
            sample("dog", [images[1]], "<image>\nIs there a dog in the image?", "no"),
        ],
    )
    found = check(data, str(file))
    assert [found[k]["reason"] for k in ("leak", "same-image", "dog")] == [
        "benchmark_text", "benchmark_group", "kept",
    ]  # fmt: skip
    again = decontaminate(data, DecontaminateOptions(against=(str(file),)), RunOptions())
    assert again.message.startswith("nothing to do")
    assert "with an image that is not available" in again.message


def test_near_embeddings_are_reported_and_remove_on_request_only(tmp_path):
    mine, theirs = scene(1), scene(2)
    data = write_dataset(
        tmp_path / "data", [mine, scene(3)],
        [sample("near", [mine], "<image>\nWhat?", "a"), sample("far", [scene(3)], "<image>\nWhat?", "a")],
    )  # fmt: skip
    bench = write_dataset(
        tmp_path / "bench", [theirs], [sample("b", [theirs], "<image>\nWhat?", "b")]
    )
    vectors = {mine: [1.0, 0.0], scene(3): [0.0, 1.0], theirs: [0.999, 0.0447]}
    for dataset, some in ((data, [mine, scene(3)]), (bench, [theirs])):
        frame = pl.DataFrame({"item_id": [hashlib.sha256(p).hexdigest() for p in some]})
        frame = frame.with_columns(
            kind=pl.lit("image"), model=pl.lit("m"),
            vector=pl.Series([vectors[p] for p in some]).cast(pl.Array(pl.Float16, 2)),
        )  # fmt: skip
        with dataset.write("embeddings", "m", step="embed", config={"model": "m"}) as writer:
            writer.add(frame)
    found = check(data, str(bench.path))
    assert all(row["kept"] for row in found.values())
    assert (
        data.manifest("decisions", "decontaminate").summary["benchmarks"]["bench"][
            "clip_near_images"
        ]
        == 1
    )
    found = check(data, str(bench.path), clip_threshold=0.99)
    assert {k for k, row in found.items() if not row["kept"]} == {"near"}
    assert found["near"]["method"] == "bench:clip"


def test_a_benchmark_against_itself_keeps_nothing(tmp_path, bench):
    found = check(bench, str(bench.path))
    assert not any(row["kept"] for row in found.values())
    assert found["long"]["reason"] == "benchmark_image_and_text"


@pytest.mark.parametrize("against", ["no-such-file.json", "easy-vqa:valid"])
def test_a_benchmark_that_cannot_be_read_is_one_clear_line(tmp_path, bench, against, capsys):
    code = command.main(
        "curate", "", __import__("curate.cli", fromlist=["COMMANDS"]).COMMANDS,
        ["decontaminate", str(bench.path), "--against", against],
    )  # fmt: skip
    assert code in (1, 2)
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert against.partition(":")[2] in error


def test_wrong_limits_are_refused():
    with pytest.raises(Error, match="--containment must be above 0"):
        DecontaminateOptions(against=("x",), containment=1.5)
    with pytest.raises(Error, match="less than --ngram"):
        DecontaminateOptions(against=("x",), min_words=5)


def test_real_sets_are_clean_of_each_other_and_planted_copies_are_found(tmp_path, shared_data):
    photos = sorted((shared_data / "rlaif-v" / "images").glob("*.jpg"))[:12]
    bench_photos = [p.read_bytes() for p in photos]
    bench = write_dataset(
        tmp_path / "bench", bench_photos,
        [sample(str(n), [p], "<image>\nDescribe it.", "?") for n, p in enumerate(bench_photos)],
    )  # fmt: skip
    clean = [
        p.read_bytes() for p in sorted((shared_data / "mllm-bench" / "images").glob("*.jpg"))[:40]
    ]
    planted = []
    for n, content in enumerate(bench_photos):
        image, buffer = Image.open(io.BytesIO(content)).convert("RGB"), io.BytesIO()
        if n % 2:
            image = image.resize(
                (image.width * 3 // 5, image.height * 3 // 5), Image.Resampling.LANCZOS
            )
        image.save(buffer, "JPEG" if n % 3 else "WEBP", quality=75)
        planted.append(buffer.getvalue())
    rows = [sample(f"clean{n}", [p], "<image>\nDescribe it.", "?") for n, p in enumerate(clean)]
    rows += [sample(f"planted{n}", [p], "<image>\nHow many?", "1") for n, p in enumerate(planted)]
    data = write_dataset(tmp_path / "data", clean + planted, rows)
    found = check(data, str(bench.path))
    assert {k for k, row in found.items() if not row["kept"]} == {f"planted{n}" for n in range(12)}


def test_texts_of_rows_do_not_act_on_the_terminal(tmp_path):
    evil, image = "\x1b[31m\x07\u202e", scene(1)
    rows = [sample(f"b{evil}", [image], f"<image>\nIs there {evil} a dog?", "yes")]
    write_dataset(tmp_path / "bench", [image], rows)
    data = write_dataset(tmp_path / "data", [image], rows)
    options = DecontaminateOptions(against=(str(tmp_path / "bench"),))
    message = decontaminate(data, options, RunOptions()).message
    assert "  - Is there \\x1b[31m\\x07\\u202e a dog? -> yes" in message
    assert "benchmark row b\\x1b[31m\\x07\\u202e: Is there" in message
    assert not set("\x1b\x07\u202e") & set(message)

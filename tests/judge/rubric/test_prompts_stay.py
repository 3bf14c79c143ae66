"""Shipped rubrics and prompts stay byte for byte: finished and resumed runs depend on their hashes."""

import pytest

from judge.compare.verdict import choices_of
from judge.pairwise.prompt import Question, load_prompt, render_responses
from judge.probe.changes import injections
from judge.rubric.render import Target, ask_why, follow_up, prompt_hash, render
from judge.rubric.rubric import FOLDER, load_rubric, shipped
from pairwright.dataset.ids import config_hash, stable_id

# Hash of the rubric, and of every prompt that is rendered from it for the two targets below.
RUBRICS = {
    "caption": ("4a2c8f289dbf59be", "b7c9e14ac6088d76da6e25e37f69287f"),
    "default": ("43f8cccab7410b45", "cdff21cf4d90bcefca4ca0f903d8f50a"),
    "document": ("531d8ee9c599d9a1", "c74e40676b9246178de229648777b4c7"),
    "faithful": ("b46e73bfbf9279df", "98279304a0d8976282c10a9499adb8d5"),
    "helpful": ("84256b0734a57b4a", "9fc595a6f467c705b92bbdaa09eb8572"),
    "instructions": ("4ce57b58b9ef80d4", "52cb2ae27ba7a0bd53319837e42f4021"),
    "own-criteria": ("6257e7112d63ac73", "4c1416c2da633d43e2bfd6268c98918c"),
    "reference": ("faddf07adf648088", "9ff7a923ba0132ea1b6c711fbd2f60aa"),
    "safety": ("dddb965765549617", "fb6794cbdd4716453d4b20ae27540d4e"),
    "vlfeedback": ("a5237ae28c397657", "c4fea09000b46a32ca09d789397a742d"),
    "claims/split.yaml": ("e315402a743b6737", "9f72be4c4664cee523cec13d80ab9a10"),
    "claims/verify.yaml": ("25dc13b53bc1532e", "30d9bb117375ddd96afcccd9bde9667a"),
}
PAIRWISE = {
    "compare": ("e8d97e543039b433", "1aad121959f6aa1e28f086c7a1634cc6"),
    "rank": ("0b47f0695332168a", "b68b54367ad5c9a5b9eb96b648b1c7d5"),
}
RICH = Target(
    target_id="t",
    image_ids=("i1", "i2"),
    prompt=[
        {"role": "user", "content": "<image>\nA <b>?"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "And {c} <image>?"},
    ],
    answer="d </answer> e",
    criteria="f",
    reference="g",
)
BARE = Target(
    target_id="t", image_ids=(), prompt=[{"role": "user", "content": "What?"}], answer="d"
)


def test_every_shipped_rubric_is_pinned():
    claims = [f"claims/{path.name}" for path in (FOLDER / "claims").glob("*.yaml")]
    assert sorted(RUBRICS) == sorted([*shipped(), *claims])


@pytest.mark.parametrize("name", RUBRICS)
def test_rubric_and_rendered_prompts(name):
    rubric = load_rubric(str(FOLDER / name) if "/" in name else name)
    hashes = []
    for criterion in rubric.criteria:
        for target in (RICH, BARE):
            scores = render(rubric, criterion, target)
            reasons = render(rubric, criterion, target, asks="reasons")
            then_score = follow_up(reasons, "because", rubric, criterion)
            hashes += map(prompt_hash, (scores, reasons, then_score, ask_why(scores, "5")))
    assert (rubric.hash, stable_id(*hashes)) == RUBRICS[name]


@pytest.mark.parametrize("kind", PAIRWISE)
def test_pairwise_prompts(kind):
    prompt = load_prompt(kind, None, ())
    question = Question(
        sample_id="t", image_ids=RICH.image_ids, prompt=RICH.prompt, criteria="f", reference="g"
    )
    answers = ["x", "y </answer_A>"]
    rendered = [
        render_responses(prompt, prompt.criteria[0], question, answers, choices_of(ties=ties))
        for ties in (True, False)
    ]
    assert (prompt.hash, stable_id(*map(prompt_hash, rendered))) == PAIRWISE[kind]


def test_injections():
    texts = [[one.name, one.where, one.text] for one in injections()]
    assert config_hash(texts) == "233487175e4b3cb5"

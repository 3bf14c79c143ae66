from collections import Counter

import numpy as np
import pytest
from simulated_judge import SimulatedJudge, shown_in
from tiny_dataset import make_dataset
from tiny_server import MODEL

from judge.rank.lists import combined, groups_of_size, mean_best, rotations
from pairwright.commands.command import call
from pairwright.dataset.ids import stable_id
from pairwright.errors import UsageError
from schemas.tables import TABLES

TEXTS = ("circle", "square", "a red triangle")


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("PAIRWRIGHT_API_KEY", "any")


@pytest.fixture
def judge(tiny_server):
    with SimulatedJudge(tiny_server.base_url, tiny_server.api_key) as one:
        yield one


def write_responses(dataset, texts=TEXTS, *, reverse=False):
    samples = dataset.union("samples").collect()
    rows = [
        {
            "response_id": stable_id(sample_id, text),
            "sample_id": sample_id,
            "prompt": messages[:-1],
            "text": text,
            "model": "policy",
            "index": index,
        }
        for sample_id, messages in samples.select("sample_id", "messages").iter_rows()
        for index, text in enumerate(texts)
    ]
    with dataset.write("responses", "sample", step="sample", config={}) as writer:
        writer.add(rows[::-1] if reverse else rows)
    return {row["response_id"]: row for row in rows}


def test_all_rotations_put_each_into_each_position_once():
    turns = rotations("wxyz", None)
    for position in range(4):
        assert sorted(rotation[position] for rotation in turns) == list("wxyz")
    assert rotations("wxyz", 2) == [tuple("wxyz"), tuple("yzwx")]
    assert Counter(turn[0] for turn in rotations("wx", 4)) == {"w": 2, "x": 2}


def test_groups_contain_all_responses_in_each_round():
    ids = [str(n) for n in range(10)]
    groups = groups_of_size(ids, size=4, rounds=3, sample="s", seed=0)
    assert [len(group) for group in groups] == [4, 3, 3] * 3
    assert all(sorted(sum(groups[k : k + 3], ())) == ids for k in (0, 3, 6))
    assert len(set(map(frozenset, groups))) > 3
    assert groups_of_size(ids[::-1], size=4, rounds=3, sample="s", seed=0) == groups
    assert len(groups_of_size(ids, size=10, rounds=3, sample="s", seed=0)) == 1


def test_the_mean_over_orders_by_hand():
    found = mean_best([("x", "y"), ("y", "x")], [[0.6, 0.2], [0.1, 0.1]])
    assert found == pytest.approx({"x": (0.75 + 0.5) / 2, "y": (0.25 + 0.5) / 2})


def test_groups_are_combined_by_strength_not_by_mean_probability():
    # w is the best of a strong group, x of a weak one: 8 : 4 against 2 : 1, linked by 4 : 2.
    groups = [{"w": 8 / 12, "y": 4 / 12}, {"x": 2 / 3, "z": 1 / 3}, {"y": 4 / 6, "x": 2 / 6}]
    found = combined(["w", "x", "y", "z"], groups)
    # The weak prior biass a little towards equality.
    expected = {"w": 8 / 15, "y": 4 / 15, "x": 2 / 15, "z": 1 / 15}
    assert found == pytest.approx(expected, abs=0.02)
    assert combined(["x", "y"], [{"x": 1.0, "y": 0.0}]) == {"x": 1.0, "y": 0.0}


def test_responses_are_ranked_in_every_position_and_row_order_does_not_matter(tmp_path, proxy):
    tables = []
    for reverse in (False, True):
        dataset = make_dataset(tmp_path / str(reverse), images=3, questions=1)
        write_responses(dataset, reverse=reverse)
        outcome = call("judge rank", dataset, model=MODEL, base_url=(proxy.url,))
        assert (outcome.table, outcome.rows, outcome.rejects) == ("scores/rank", 9, 0)
        tables.append(dataset.read("scores", "rank").sort("target_id"))
    one, other = tables
    TABLES["scores"].validate(one)
    assert len(proxy.asked) == 2 * 9
    positions = Counter((shown_in(b).index(text), text) for b in proxy.asked for text in TEXTS)
    assert positions == {(position, text): 6 for position in range(3) for text in TEXTS}
    assert one["prompt_hash"].to_list() == other["prompt_hash"].to_list()
    assert one["score"].to_list() == pytest.approx(other["score"].to_list(), rel=1e-3)
    assert one["score"].sum() == pytest.approx(3)
    for row in one.iter_rows(named=True):
        assert sorted(entry["label"] for entry in row["label_probs"]) == ["A", "B", "C"]
    assert sum(outcome.summary["positions"]) == pytest.approx(1, abs=1e-3)
    asked = len(proxy.bodies)
    assert call("judge rank", dataset, model=MODEL, base_url=(proxy.url,)).message.startswith(
        "nothing to do"
    )
    assert len(proxy.bodies) == asked


def test_position_bias_cancels_out_and_is_reported(tmp_path, judge):
    dataset = make_dataset(tmp_path / "data", images=2, questions=1)
    responses = write_responses(dataset, ("x", "xx", "xxx", "xxxx"))
    bias = np.array([2.0, 0, 0, 0])

    def taste(shown):
        p = np.exp(np.array([len(text) for text in shown]) + bias)
        return list(0.9 * p / p.sum())

    judge.taste = taste
    outcome = call("judge rank", dataset, model=MODEL, base_url=(judge.url,))
    scores = dataset.read("scores", "rank")
    assert scores["label_mass"].to_list() == pytest.approx([0.9] * 8)
    for sample_id in {row["sample_id"] for row in responses.values()}:
        mine = {i: len(r["text"]) for i, r in responses.items() if r["sample_id"] == sample_id}
        found = {
            mine[i]: s for i, s in scores.select("target_id", "score").iter_rows() if i in mine
        }
        assert sorted(found, key=found.get) == [1, 2, 3, 4]
        assert sum(found.values()) == pytest.approx(1)
    assert outcome.summary["positions"][0] > 0.4
    assert outcome.summary["positions"][1:] == pytest.approx(
        [outcome.summary["positions"][1]] * 3, abs=0.1
    )


def test_duplicates_are_shown_once_and_get_the_same_score(tmp_path, proxy):
    dataset = make_dataset(tmp_path / "data", images=1, questions=1)
    responses = write_responses(dataset, ("circle", "Circle.", "square"))
    call("judge rank", dataset, model=MODEL, base_url=(proxy.url,))
    assert [len(shown_in(body)) for body in proxy.asked] == [2, 2]
    rows = dataset.read("scores", "rank")
    scores = {responses[i]["text"]: s for i, s in rows.select("target_id", "score").iter_rows()}
    assert scores["circle"] == scores["Circle."] == pytest.approx(1 - scores["square"])


def test_many_responses_are_ranked_in_groups(tmp_path, judge):
    dataset = make_dataset(tmp_path / "data", images=1, questions=1)
    responses = write_responses(dataset, ["x" * n for n in range(1, 11)])
    judge.taste = lambda shown: list(
        0.9 * np.exp([len(t) for t in shown]) / np.exp([len(t) for t in shown]).sum()
    )
    call("judge rank", dataset, model=MODEL, base_url=(judge.url,), group=4)
    assert max(len(shown_in(body)) for body in judge.asked) == 4
    scores = dict(dataset.read("scores", "rank").select("target_id", "score").iter_rows())
    best_first = sorted(scores, key=scores.get, reverse=True)
    lengths = [len(responses[i]["text"]) for i in best_first]
    assert lengths[:3] == [10, 9, 8]
    assert sum(scores.values()) == pytest.approx(1)


def test_a_list_that_lacks_a_reply_is_asked_again_whole(tmp_path, proxy, monkeypatch):
    monkeypatch.setattr("pairwright.vlm.http.session._ATTEMPTS", 2)
    dataset = make_dataset(tmp_path / "data", images=2, questions=1)
    write_responses(dataset)
    settings = {"model": MODEL, "base_url": (proxy.url,)}
    first = []

    def fault(number, body):
        first.append(body) if not first else None
        return 500 if body == first[0] else None

    proxy.fault = fault
    outcome = call("judge rank", dataset, **settings)
    assert (outcome.rows, outcome.rejects) == (3, 1)
    proxy.fault = lambda number, body: None
    before = len(proxy.asked)
    outcome = call("judge rank", dataset, **settings)
    assert (outcome.rows, outcome.rejects) == (6, 0)
    assert len(proxy.asked) - before == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"orders": 0}, "--orders must be at least 1"),
        ({"group": 27}, "--group must be from 2 to 26"),
        ({"rounds": 0}, "--rounds must be at least 1"),
    ],
)
def test_options_that_mean_nothing(tmp_path, settings, message):
    dataset = make_dataset(tmp_path / "data", images=1)
    with pytest.raises(UsageError, match=message):
        call("judge rank", dataset, model="Qwen2-VL-7B", **settings)

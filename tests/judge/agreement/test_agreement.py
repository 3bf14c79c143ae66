"""`judge agree` and `judge calibrate` on small datasets, against numbers worked out by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_dataset import picture, sample, write_dataset

from judge.agreement.command import agree
from judge.agreement.options import AgreeOptions
from judge.calibration.command import calibrate
from judge.calibration.options import CalibrateOptions
from judge.cli import COMMANDS
from pairwright.commands import command
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError

EVIL = "<script>alert(1)</script> \u202e</bdi>"
RUBRIC = {"rubric": "r", "rubric_hash": "h", "prompt_hash": "p", "repeat": 0}


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """20 samples, two an image, each with two responses of rising length."""
    images = [picture(n) for n in range(10)]
    rows = [
        sample(f"{n}-{q}", [image], f"<image>\nquestion {q} {EVIL}", "yes")
        for n, image in enumerate(images)
        for q in range(2)
    ]
    dataset = write_dataset(tmp_path / "data", images, rows)
    with dataset.write("responses", "sample", step="sample", config={}) as writer:
        writer.add(
            {"response_id": f"r{number:02}{side}", "sample_id": row["sample_id"],
             "prompt": row["messages"][:1], "model": "m", "index": index,
             "text": f"{EVIL} {number} " + "word " * (1 + index)}
            for number, row in enumerate(rows)
            for index, side in enumerate("xy")
        )  # fmt: skip
    return dataset


def add_scores(
    data: Dataset, run: str, scores: dict[str, float], *, judge: str = "j", step: str = "score-responses",
    scale: list[float] | None = None, criterion: str = "accuracy",
) -> None:  # fmt: skip
    config = {"label_range": scale} if scale else {}
    with data.write("scores", run, step=step, config=config, rejects=False) as writer:
        writer.add(
            RUBRIC
            | {"target_id": target, "criterion": criterion, "judge": judge, "score": score,
               "target_kind": "response", "label_mass": 0.9, "rationale": EVIL}
            for target, score in scores.items()
        )  # fmt: skip


def add_verdicts(data: Dataset, run: str, rows: list[tuple[int, str]], **more: Any) -> None:
    samples = data.union("samples").collect()["sample_id"].to_list()
    swapped = more.pop("swapped", False)
    by = more.pop("by", "j")
    a, b = ("y", "x") if swapped else ("x", "y")
    with data.write("comparisons", run, step=more.pop("step", "compare"), config={}) as writer:
        writer.add(
            {"comparison_id": f"{run}{by}{n}", "sample_id": samples[n], "a": f"r{n:02}{a}",
             "b": f"r{n:02}{b}", "verdict": verdict, "by": by, **more}
            for n, verdict in rows
        )  # fmt: skip


def run(data: Dataset, **options: Any) -> tuple[dict, Outcome]:
    outcome = agree(data, AgreeOptions(resamples=100, **options), RunOptions())
    return json.loads(Path(outcome.summary["files"]["json"]).read_text()), outcome


def metric(criterion: dict, name: str) -> dict:
    return next(one for one in criterion["metrics"] if one["metric"] == name)


def of_targets(values: list[float]) -> dict[str, float]:
    return {f"r{n:02}x": value for n, value in enumerate(values)}


def test_scores_against_good_and_bad(data):
    # Right on 8 of 10: said good 5 (4 right), said bad 5 (4 right); kappa = (0.8 - 0.5) / 0.5.
    add_scores(data, "score", of_targets([4.8] * 5 + [1.2] * 5), scale=[1, 5])
    add_scores(
        data, "people", of_targets([1, 1, 1, 1, 0, 1, 0, 0, 0, 0]), judge="p", step="ingest-scores"
    )
    report, outcome = run(data, labels="scores/people")
    [found] = report["criteria"]
    assert found["shape"] == "yes or no"
    assert found["counts"] == {"rows": 10, "labels_good": 5, "judge_good": 5, "at_midpoint": 0}
    assert found["confusion"]["table"] == [[4, 1], [1, 4]]
    assert metric(found, "accuracy")["value"] == pytest.approx(0.8)
    assert metric(found, "kappa")["value"] == pytest.approx(0.6)
    # Alpha by hand: observed 2/10; expected 2 * 10 * 10 / (20 * 19).
    assert metric(found, "alpha")["value"] == pytest.approx(1 - 0.2 / (200 / 380))
    # Of 25 pairs of a good and a bad row 16 are right, 8 tie, 1 is wrong.
    assert metric(found, "auc")["value"] == pytest.approx((16 + 4) / 25)
    # Marks as probabilities are 0.95 and 0.05.
    assert metric(found, "brier")["value"] == pytest.approx((8 * 0.05**2 + 2 * 0.95**2) / 10)
    one = metric(found, "alpha")
    assert one["low"] < one["value"] < one["high"]
    assert report["judge"]["run"] == "scores/score"
    assert outcome.gate_failed is None
    assert [round(item["distance"], 2) for item in report["gallery"]] == [0.95, 0.95]


def test_the_gate_is_chance_corrected_and_its_exit_code_is_4(data, capsys):
    # Raw agreement of 90 %, and all of it chance: the judge calls everything good.
    add_scores(data, "score", of_targets([5.0] * 20), scale=[1, 5])
    add_scores(data, "people", of_targets([1] * 18 + [0] * 2), judge="p", step="ingest-scores")
    words = ["agree", str(data.path), "--judge", "scores/score", "--labels", "scores/people",
             "--resamples", "100"]  # fmt: skip
    assert command.main("judge", "", COMMANDS, [*words, "--min-agreement", "0.6"]) == 4
    assert "gate failed: Krippendorff's alpha on accuracy is -0.0" in capsys.readouterr().err
    assert command.main("judge", "", COMMANDS, [*words, "--min-agreement", "0.6", "--metric", "accuracy"]) == 0  # fmt: skip
    low = [*words, "--min-agreement", "0.89", "--metric", "accuracy", "--gate-on", "low"]
    assert command.main("judge", "", COMMANDS, low) == 4
    assert "not usable" in capsys.readouterr().out


def test_scores_of_one_scale_and_several_annotators(data):
    add_scores(data, "score", of_targets([1, 2, 3, 4, 5, 4]), scale=[1, 5])
    add_scores(data, "people", of_targets([1, 2, 3, 4, 5, 3]), judge="p", step="ingest-scores")
    file = data.path / "scores" / "people"
    assert file.is_dir()
    with data.write("scores", "two", step="ingest-scores", config={}, rejects=False) as writer:
        for judge, values in (("p", [1, 2, 3, 4, 5, 3]), ("q", [1, 2, 3, 4, 5, 3])):
            writer.add(
                RUBRIC | {"target_id": f"r{n:02}x", "criterion": "accuracy", "judge": judge,
                          "score": value, "target_kind": "response"}
                for n, value in enumerate(values)
            )  # fmt: skip
    report, _ = run(data, judge="scores/score", labels="scores/two")
    [found] = report["criteria"]
    assert found["shape"] == "scores"
    assert found["same_scale"]
    assert found["human_agreement"]["alpha"] == pytest.approx(1)
    assert found["human_agreement"]["rows_of_several"] == 6
    assert metric(found, "accuracy")["value"] == pytest.approx(5 / 6)
    # Interval alpha by hand: one unit is apart by 1, so observed 2 * 1 / 12.
    pooled = [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 4, 3]
    apart = sum((a - b) ** 2 for a in pooled for b in pooled) / (12 * 11)
    assert metric(found, "alpha")["value"] == pytest.approx(1 - (2 / 12) / apart)
    one, _ = run(data, judge="scores/score", labels="scores/two", label_by="q")
    assert one["criteria"][0]["human_agreement"] is None


def test_annotators_vote_on_good_or_bad_and_a_tie_is_left_out(data):
    add_scores(data, "score", of_targets([5, 1, 5, 1]), scale=[1, 5])
    votes = {"p": [1, 0, 1, 0], "q": [1, 0, 0, 1], "s": [1, 0, None, 1]}
    with data.write("scores", "people", step="ingest-scores", config={}, rejects=False) as writer:
        writer.add(
            RUBRIC | {"target_id": f"r{n:02}x", "criterion": "accuracy", "judge": who,
                      "score": value, "target_kind": "response"}
            for who, values in votes.items() for n, value in enumerate(values) if value is not None
        )  # fmt: skip
    report, _ = run(data, judge="scores/score", labels="scores/people", fit="platt")
    [found] = report["criteria"]
    # Row 2 is a tie; on row 3 two of three say good, the judge says bad.
    assert (found["counts"]["rows"], found["tied_labels"], found["unmatched"]) == (3, 1, 0)
    assert found["confusion"]["table"] == [[1, 1], [0, 1]]
    # Among people, of the rows that count: values 3x1, 3x0, 1 1 0; apart 2 of 9 pairs' ends.
    assert found["human_agreement"]["alpha"] == pytest.approx(1 - (2 / 9) / (2 * 5 * 4 / (9 * 8)))
    add_scores(data, "grades", of_targets([5, 3, 4, 1]), judge="p", step="ingest-scores")
    with pytest.raises(UsageError, match="use --fit isotonic"):
        run(data, judge="scores/score", labels="scores/grades", fit="platt")


def test_probes_of_the_judge_are_read(data):
    add_scores(data, "score", of_targets([5, 1, 3]), scale=[1, 5])
    with data.write("probes", "probe", step="probe", config={}, rejects=False) as writer:
        writer.add(
            {"target_id": f"r{n:02}x", "probe": probe, "criterion": "accuracy", "judge": judge,
             "target_kind": "response", "rubric": "r", "score": score, "rubric_hash": "h",
             "prompt_hash": "p",
             "label_probs": [{"label": "1", "p": 0.1}, {"label": str(score), "p": 0.9}]}
            for judge, probe, scores in (
                ("j", "clean", [5, 1, 3]), ("j", "blind", [4, 1, 1]), ("k", "clean", [1, 1, 1]),
                ("k", "blind", [9, 9, 9]), ("j", "inject:a", [5, 1, 5]), ("j", "inject:b", [5, 5, 5]),
            )
            for n, score in enumerate(scores)
        )  # fmt: skip
    report, outcome = run(data, judge="scores/score")
    found, injected = report["audits"]["probes"]
    assert (found["probe"], found["n"]) == ("blind", 3)
    assert (found["flips"]["count"], found["flips"]["n"]) == (2, 3)
    # All injections together: 3 -> 5, 1 -> 5 and 3 -> 5 of six.
    assert (injected["probe"], injected["n"], injected["flips"]["count"]) == ("injections", 6, 3)
    assert injected["change"]["value"] == pytest.approx(8 / 6)
    assert found["change"]["value"] == pytest.approx(-1)
    # Ranks 3 1 2 against 3 1.5 1.5.
    assert found["same_order"]["value"] == pytest.approx(0.75**0.5)
    assert "blind: scores change by -1.00" in outcome.message


def test_verdicts_in_either_order_of_the_responses(data):
    said = ["a", "a", "a", "b", "b", "tie", "undecided", "a"]
    people = ["a", "a", "b", "b", "b", "a", "tie", "both_bad"]
    add_verdicts(data, "compare", list(enumerate(said)))
    swapped = [{"a": "b", "b": "a"}.get(v, v) for v in people]
    add_verdicts(data, "people", list(enumerate(swapped)), swapped=True, by="p", step="ingest-comparisons")  # fmt: skip
    report, _ = run(data, labels="comparisons/people")
    [found] = report["criteria"]
    assert found["counts"] == {
        "rows": 8, "decided_by_both": 5, "judge_undecided": 1, "labels_undecided": 1,
        "neither_decided": 1,
    }  # fmt: skip
    assert metric(found, "accuracy")["value"] == pytest.approx(4 / 5)
    assert metric(found, "accuracy_half")["value"] == pytest.approx(4.5 / 6)
    # judge a 3, b 2; labels a 2, b 3: chance 3/5*2/5 + 2/5*3/5 = 12/25.
    assert metric(found, "kappa")["value"] == pytest.approx((0.8 - 0.48) / 0.52)
    assert found["confusion"]["table"] == [[2, 1, 1], [0, 2, 0], [1, 0, 1]]
    [item] = report["gallery"]
    assert (item["judge"], item["label"]) == ("a", "b")
    # y is the longer one: it wins in 2 of 6 pairs decided by the judge, in 3 of 6 by the labels.
    assert report["audits"]["length"]["words"]["count"] == 2
    assert found["length"]["labels"]["chars"]["count"] == 3


def test_the_difference_of_scores_decides_pairs(data):
    scores = {f"r{n:02}{side}": score for n in range(4) for side, score in (("x", 1.0), ("y", 2.0))}
    scores["r03y"] = 1.0
    add_scores(data, "score", scores, scale=[1, 5])
    add_verdicts(data, "people", [(0, "b"), (1, "a"), (2, "b"), (3, "b")], by="p", step="ingest-comparisons")  # fmt: skip
    report, _ = run(data, judge="scores/score", labels="comparisons/people")
    [found] = report["criteria"]
    assert metric(found, "accuracy")["value"] == pytest.approx(2 / 3)
    assert found["counts"]["judge_undecided"] == 1


def test_flips_and_half_flips_are_counted_separately(data):
    orders = [("a", "a"), ("a", "b"), ("a", "tie"), ("b", "a"), ("b", "b")]
    samples = data.union("samples").collect()["sample_id"].to_list()
    with data.write("comparisons", "compare", step="compare", config={}) as writer:
        writer.add(
            {"comparison_id": str(n), "sample_id": samples[n], "a": f"r{n:02}y", "b": f"r{n:02}x",
             "verdict": first if first == second else "undecided", "verdict_first_order": first,
             "verdict_second_order": second, "by": "j"}
            for n, (first, second) in enumerate(orders)
        )  # fmt: skip
    report, _ = run(data, judge="comparisons/compare")
    found = report["audits"]["position"]
    assert (found["strict_flips"]["count"], found["half_flips"]["count"]) == (2, 1)
    # First shown wins: a in the first order (3), b in the second (2), of nine that name a winner.
    assert (found["first_shown_wins"]["count"], found["first_shown_wins"]["n"]) == (5, 9)
    assert report["verdict"].startswith("No labels were given")


def test_claims_of_a_judge_against_those_of_annotators(data):
    for run_name, judge, values in (
        ("claims", "j", [(0.6, 0.2), (0.1, 0.3), (0.5, 0.1), (0.2, 0.2)]),
        ("people", "p", [(1.0, 0.0), (0.0, 1.0), (0.0, 1.0), (1.0, 0.0)]),
    ):
        step = "claims" if judge == "j" else "ingest-claims"
        with data.write("claims", run_name, step=step, config={}) as writer:
            writer.add(
                {"claim_id": f"{judge}{n}", "response_id": f"r{n // 2:02}x", "index": n % 2,
                 "text": f"claim {n}", "p_yes": yes, "p_no": no, "judge": judge}
                for n, (yes, no) in enumerate(values)
            )  # fmt: skip
    report, _ = run(data, labels="claims/people")
    [found] = report["criteria"]
    # 0.75 and 0.25 are right, 0.83 is wrong, 0.5 counts as no and is wrong.
    assert metric(found, "accuracy")["value"] == pytest.approx(0.5)
    assert found["counts"]["at_midpoint"] == 1
    assert report["audits"]["mass"]["low_rate"] == pytest.approx(0.5)
    assert report["gallery"][0]["claim"] == "claim 2"


def test_a_calibration_is_fitted_applied_and_refused_for_another_judge(data):
    add_scores(data, "score", of_targets([1, 2, 3, 4] * 5), scale=[1, 5])
    add_scores(data, "people", of_targets([0, 0, 1, 1] * 5), judge="p", step="ingest-scores")
    _, outcome = run(data, judge="scores/score", labels="scores/people")
    options = CalibrateOptions(
        calibration=Path(outcome.summary["files"]["calibration"]), scores="score"
    )
    assert calibrate(data, options, RunOptions()).rows == 20
    found = data.read("scores", "score-calibrated")
    assert found["calibrated"].to_list() == [0, 0, 1, 1] * 5
    assert found["score"].to_list() == [1, 2, 3, 4] * 5
    assert data.active("scores")["score-responses"].run == "score"
    assert "nothing to do" in calibrate(data, options, RunOptions()).message
    add_scores(data, "other", of_targets([1, 2]), judge="k")
    with pytest.raises(UsageError, match="not fitted for judge k"):
        calibrate(
            data, CalibrateOptions(calibration=options.calibration, scores="other"), RunOptions()
        )


def test_the_page_escapes_text_of_rows(data):
    add_scores(data, "score", of_targets([1, 5, 1, 5]), scale=[1, 5])
    add_scores(data, "people", of_targets([0, 0, 1, 1]), judge="<img src=x>", step="ingest-scores")
    _, outcome = run(data, judge="scores/score", labels="scores/people")
    page = Path(outcome.summary["files"]["html"]).read_text()
    assert "<script" not in page
    assert "<img src=x>" not in page
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page
    assert page.count("<article") == 2
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"judge": "scores/none"}, "does not exist"),
        ({"judge": "samples/x"}, "KIND/RUN"),
        ({"labels": "scores/score"}, "agrees with itself"),
        ({"labels": "scores/score", "criterion": "a", "labels_criterion": "a"}, "with itself"),
        ({"labels": "scores/people", "criterion": "x"}, "--criterion x: there are accuracy"),
        ({"labels": "scores/people", "label_by": "x"}, "--label-by x: scores/people has p"),
        (
            {"labels": "scores/people", "metric": "kendall", "min_agreement": 0.5},
            "does not exist for",
        ),
        ({"min_agreement": 0.5}, "needs labels"),
    ],
)
def test_options_that_make_no_sense_are_refused(data, options, says):
    add_scores(data, "score", of_targets([1, 5]), scale=[1, 5])
    add_scores(data, "people", of_targets([0, 1]), judge="p", step="ingest-scores")
    with pytest.raises(UsageError, match=says):
        run(data, **options)


def test_constant_labels_evaluate_nothing(data):
    add_scores(data, "score", of_targets([1, 5, 3, 5]), scale=[1, 5])
    add_scores(data, "people", of_targets([1, 1, 1, 1]), judge="p", step="ingest-scores")
    report, _ = run(data, judge="scores/score", labels="scores/people")
    assert "all labels are equal" in report["verdict"]


def test_a_dry_run_writes_nothing(data):
    add_scores(data, "score", of_targets([1, 5]), scale=[1, 5])
    outcome = agree(data, AgreeOptions(resamples=100), RunOptions(dry_run=True))
    assert "dry run" in outcome.message
    assert not (data.path / "reports").exists()


def test_nothing_in_common_and_no_judge_are_errors(data):
    with pytest.raises(UsageError, match="no run of a judge"):
        run(data)
    add_scores(data, "score", {"r00x": 1.0})
    add_scores(data, "people", {"r01x": 1.0}, judge="p", step="ingest-scores")
    with pytest.raises(UsageError, match="nothing in common"):
        run(data, judge="scores/score", labels="scores/people")


def test_scores_against_wrong_characters_and_against_claims(data):
    add_scores(data, "score", of_targets([5, 1, 3]), scale=[1, 5])
    texts = dict(data.read("responses", "sample").select("response_id", "text").iter_rows())
    # A third, all and nothing of the three answers is called wrong.
    wrong = {"r00x": 0, "r01x": len(texts["r01x"]), "r02x": len(texts["r02x"]) // 3}
    with data.write("feedback", "people", step="ingest-feedback", config={}) as writer:
        writer.add(
            {"feedback_id": target, "response_id": target, "by": "p", "spans": [
                {"start": 0, "end": end, "text": texts[target][:end], "correct": False},
                {"start": end, "end": len(texts[target]), "text": texts[target][end:], "correct": None},
            ]}
            for target, end in wrong.items()
        )  # fmt: skip
    report, _ = run(data, labels="feedback/people")
    [found] = report["criteria"]
    assert found["name"] == "accuracy (labels: right characters)"
    assert not found["same_scale"]
    assert metric(found, "spearman")["value"] == pytest.approx(1)
    with data.write("claims", "people", step="ingest-claims", config={}) as writer:
        writer.add(
            {"claim_id": f"{n}{index}", "response_id": f"r{n:02}x", "index": index,
             "text": f"claim {index}", "p_yes": yes, "p_no": 1 - yes, "judge": "p"}
            for n, given in enumerate([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
            for index, yes in enumerate(given)
        )  # fmt: skip
    report, _ = run(data, judge="scores/score", labels="claims/people")
    assert metric(report["criteria"][0], "spearman")["value"] == pytest.approx(1)
    assert {item["label"] for item in report["gallery"]} <= {2 / 3, 0.0, 1 / 3}


def test_the_same_text_under_another_id_is_the_same_response(data):
    rows = data.read("responses", "sample").to_dicts()[:2]
    copies = [row | {"response_id": f"copy-{row['response_id']}", "model": "n"} for row in rows]
    with data.write("responses", "again", step="ingest-responses", config={}) as writer:
        writer.add(copies)
    add_verdicts(data, "compare", [(0, "b")])
    with data.write("comparisons", "people", step="ingest-comparisons", config={}) as writer:
        writer.add(
            [{"comparison_id": "c", "sample_id": rows[0]["sample_id"], "a": "copy-r00y",
              "b": "copy-r00x", "verdict": "a", "by": "p"}]
        )  # fmt: skip
    report, _ = run(data, labels="comparisons/people")
    assert report["criteria"][0]["counts"]["decided_by_both"] == 1
    assert metric(report["criteria"][0], "accuracy")["value"] == 1


def test_a_judge_of_the_opposite_opinion_is_worse_than_chance(data):
    people = {f"r{n:02}{side}": float(n % 2) for n in range(20) for side in "xy"}
    add_scores(data, "score", {k: 1 - v for k, v in people.items()}, scale=[0, 1])
    add_scores(data, "people", people, judge="p", step="ingest")
    report, _ = run(data, judge="scores/score", labels="scores/people")
    assert metric(report["criteria"][0], "alpha")["value"] < -0.9
    assert "below chance" in report["verdict"]

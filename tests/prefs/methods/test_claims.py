"""`prefs build --method claims`: fewer rejected claims win."""

import pytest
from tiny_dataset import make_dataset

from pairwright.commands.command import call
from pairwright.commands.options import RunOptions
from pairwright.errors import UsageError


def score(target, criterion, value, error=None):
    return {
        "target_id": target, "rubric": "claims", "criterion": criterion, "judge": "m", "repeat": 0,
        "target_kind": "response", "score": value, "label_probs": [], "label_mass": 0.9,
        "rubric_hash": "h", "prompt_hash": "p", "error": error,
    }  # fmt: skip


def test_fewer_rejected_claims_win_by_one_at_least(tmp_path):
    dataset = make_dataset(tmp_path / "data", images=1, questions=1)
    (sample_id, messages) = next(
        dataset.union("samples").select("sample_id", "messages").collect().iter_rows()
    )
    with pytest.raises(UsageError, match="prefs sample"):
        call("prefs build", dataset, method="claims")
    texts = {"good": "one two three", "same": "one two four", "bad": "one two five",
             "odd": "unread"}  # fmt: skip
    with dataset.write("responses", "sample", step="sample", config={}) as writer:
        writer.add(
            [
                {"response_id": i, "sample_id": sample_id, "prompt": messages[:-1], "text": text,
                 "model": "policy", "index": n}
                for n, (i, text) in enumerate(texts.items())
            ]
        )  # fmt: skip
    with pytest.raises(UsageError, match="judge claims"):
        call("prefs build", dataset, method="claims")
    rows = [
        # The rate would choose otherwise: 2 of 20 rejected against 1 of 2.
        *(score("good", *m) for m in (("rejected", -1.0), ("rate", 0.5), ("soft", -0.9))),
        *(score("same", *m) for m in (("rejected", -1.0), ("rate", 0.0), ("soft", -0.6))),
        *(score("bad", *m) for m in (("rejected", -2.0), ("rate", 0.9), ("soft", -2.5))),
        *(score("odd", c, None, "unreadable") for c in ("rejected", "rate", "soft")),
    ]
    with dataset.write("scores", "claims-responses", step="claims", config={}) as writer:
        writer.add(rows)
    call("prefs build", dataset, method="claims")
    pairs = dataset.read("pairs", "claims")
    found = {(r["chosen_id"], r["rejected_id"], r["margin"]) for r in pairs.iter_rows(named=True)}
    assert found == {("good", "bad", 1.0), ("same", "bad", 1.0)}
    assert set(pairs["method"]) == {"claims"}
    none = call("prefs build", dataset, run=RunOptions(run="two"), method="claims", margin=2.0)
    assert none.rows == 0

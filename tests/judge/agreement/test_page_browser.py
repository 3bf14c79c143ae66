"""The page of `judge agree` in a real browser: drawn, quiet, nothing sticks out, no request."""

from pathlib import Path

import pytest
from chromium import chromium, find_chromium
from tiny_dataset import picture, sample, write_dataset

from judge.agreement.command import agree
from judge.agreement.options import AgreeOptions
from pairwright.commands.options import RunOptions

if find_chromium() is None:
    pytest.skip("no Chromium on this machine to look at the page with", allow_module_level=True)

EVIL = "<script>alert(1)</script> \u202e " + "unbroken" * 60


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = [picture(n) for n in range(30)]
    rows = [
        sample(str(n), [image], f"<image>\nwhat? {EVIL}", EVIL) for n, image in enumerate(images)
    ]
    data = write_dataset(tmp_path_factory.mktemp("agree") / "data", images, rows)
    row = {"rubric": "r", "rubric_hash": "h", "prompt_hash": "p", "repeat": 0, "target_kind": "sample",
           "criterion": EVIL[:60]}  # fmt: skip
    for run, judge, value in (
        ("score", EVIL[:50], lambda n: 1 + n % 5),
        ("people", "p", lambda n: float(n % 5 > 2 or n % 7 == 0)),
    ):
        config = {"label_range": [1, 5]}
        with data.write("scores", run, step=run, config=config, rejects=False) as writer:
            writer.add(
                row | {"target_id": one["sample_id"], "judge": judge, "score": value(n),
                       "rationale": EVIL}
                for n, one in enumerate(rows)
            )  # fmt: skip
    options = AgreeOptions(judge="scores/score", labels="scores/people", resamples=100)
    return Path(agree(data, options, RunOptions()).summary["files"]["html"])


def test_a_real_browser_draws_it_and_asks_for_nothing(page_file, tmp_path):
    with chromium(tmp_path / "profile") as page:
        for width, dark in ((1280, False), (400, True)):
            page.open(page_file, width=width, dark=dark)
            assert page.errors == []
            outside = [url for url in page.requests if not url.startswith("data:")]
            assert outside == [page_file.as_uri()]
            assert page.run("document.documentElement.scrollWidth") <= width, "nothing sticks out"
            assert page.run("document.scripts.length") == 0
            assert page.run("document.querySelectorAll('svg circle').length") >= 4
            images = "[...document.images]"
            assert page.run(f"{images}.length") > 0
            assert page.run(f"{images}.every(i => i.naturalWidth > 0 && i.alt)")
            background = "getComputedStyle(document.body).backgroundColor"
            assert page.run(background) == ("rgb(18, 21, 27)" if dark else "rgb(251, 251, 252)")

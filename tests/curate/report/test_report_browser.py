"""The report in a real browser: drawn, without errors, and without a network request."""

from pathlib import Path

import pytest
from chromium import chromium, find_chromium
from report_data import build, curated, made

pytest.importorskip("altair")
pytest.importorskip("vl_convert")
if find_chromium() is None:
    pytest.skip("no Chromium on this machine to look at the page with", allow_module_level=True)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = curated(build(tmp_path_factory.mktemp("report") / "data"))
    made(dataset, examples=50)
    return dataset.path / "reports" / "report.html"


def test_a_real_browser_draws_it_and_asks_for_nothing(page_file, tmp_path):
    with chromium(tmp_path / "profile") as page:
        for width, dark in ((1280, False), (390, True)):
            page.open(page_file, width=width, dark=dark)
            assert page.errors == []
            outside = [url for url in page.requests if not url.startswith("data:")]
            assert outside == [page_file.as_uri()]
            charts = "[...document.querySelectorAll('.chart svg')]"
            assert page.run(f"{charts}.length") == 6
            assert page.run(
                f"{charts}.every(s => s.querySelectorAll('path > title, line > title').length > 1)"
            )
            assert page.run(f"{charts}.every(s => s.getBoundingClientRect().height > 150)")
            assert page.run("document.documentElement.scrollWidth") <= width, "nothing sticks out"
        _look_closer(page)


def _look_closer(page) -> None:
    images = "[...document.images].filter(i => i.src)"
    assert page.run(f"{images}.length") > 0
    assert page.run(f"{images}.every(i => i.naturalWidth > 0 && i.alt)")
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 27)"
    page.run("document.getElementById('theme').click()")
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(251, 251, 252)"
    bar = "getComputedStyle(document.querySelector('figure svg path[fill*=kept]')).fill"
    assert page.run(bar) == "rgb(47, 127, 134)", "charts have the page's colors"
    # Keyboard: the first stop skips to the numbers; an image enlarges and closes again.
    page.run("document.querySelector('button.pic').focus()")
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r",
                  windowsVirtualKeyCode=13)  # fmt: skip
    page.wait("document.getElementById('zoom').open", 5)
    assert page.run("document.querySelectorAll('main script, main svg[onload]').length") == 0

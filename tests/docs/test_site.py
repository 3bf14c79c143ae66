"""The built site: strict, and it asks the network for nothing."""

import os
import subprocess
import sys

import pytest
from chromium import chromium, find_chromium
from doc_pages import REPO


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=REPO, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_it_builds_strictly(site):
    assert (site / "reference" / "cli" / "curate.html").is_file()


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
def test_a_browser_shows_it_without_a_request(site, tmp_path):
    with chromium(tmp_path / "profile") as page:
        for name in ("index.html", "reference/cli/judge.html", "architecture.html"):
            for width in (1280, 390):
                page.open(site / name, width=width, dark=width == 390)
                assert page.errors == []
                outside = [u for u in page.requests if not u.startswith(("file:", "data:"))]
                assert outside == []
                assert page.run("document.documentElement.scrollWidth") <= width
        for word in ("calibration", "score_frame", "max-rejects"):
            page.run(
                "{const field = document.querySelector('.md-search__input'); field.focus();"
                f"field.value = '{word}';"
                "field.dispatchEvent(new Event('keyup', {bubbles: true}))}"
            )
            page.wait(
                "[...document.querySelectorAll('.md-search-result__item')]"
                f".some(item => item.innerText.includes('{word}'))"
            )

"""Six hundred rows through a bad network and a server that dies: nothing is lost, nothing doubled."""

import contextlib
import random
import threading
import time
from collections import Counter

import pytest
import yaml
from tiny_dataset import make_dataset
from tiny_server import MODEL, started

from pairwright.commands.command import call
from pairwright.commands.options import RunOptions
from pairwright.errors import ServerError

ROWS, FAULTY = 600, 0.3
KINDS = (429, 500, 503, "cut", "garbled", "other", "hang")
# How long the client waits for a server that does not answer, and how long there is none.
PATIENCE_S, AWAY_S = 10.0, 14.0


class Death(threading.Thread):
    """Kills a server with -9 when told; after a while another takes its place behind the proxy."""

    def __init__(self, proxy, server, successor):
        super().__init__(daemon=True)
        self._proxy, self._server, self._successor = proxy, server, successor
        self.now, self.is_over = threading.Event(), threading.Event()

    def run(self):
        self.now.wait()
        self._server.close()
        time.sleep(AWAY_S)
        self._proxy.forward_to(self._successor)
        self.is_over.set()


@pytest.fixture
def rubric(tmp_path):
    path = tmp_path / "one.yaml"
    criteria = [{"name": "right"}]
    content = {"name": "one", "labels": {"yes|Yes": 1, "no": 0}, "criteria": criteria}
    path.write_text(yaml.safe_dump(content | {"prompt": "{question} {answer} {criterion}?"}))
    return str(path)


def plant(proxy, death):
    """Faults for three requests in ten, and the server's death half-way; returns what was planted."""
    draw, planted = random.Random(7), Counter()

    def fault(number, body):
        if planted.total() == ROWS // 2:
            death.now.set()
        kind = draw.choice(KINDS) if draw.random() < FAULTY else None
        planted[kind] += 1
        return kind

    proxy.fault = fault
    return planted


def judged_stubbornly(dataset, death, settings):
    """Run the command as a user would who reads that the server is gone; what was said."""
    said = []
    for _ in range(10):
        try:
            outcome = call("judge score", dataset, **settings)
        except ServerError as error:
            said.append(str(error))
            assert death.is_over.wait(120)
            continue
        if outcome.rejects == 0:
            return said
    pytest.fail(f"{outcome.rejects} rows are still without an answer")


@pytest.mark.slow
def test_no_row_is_lost_or_doubled_in_trouble(
    tmp_path, proxy, tiny_server, tiny_qwen, tiny_lora, rubric, monkeypatch
):
    monkeypatch.setenv("PAIRWRIGHT_API_KEY", tiny_server.api_key)
    monkeypatch.setattr("pairwright.vlm.http.client._PATIENCE_S", PATIENCE_S)
    dataset = make_dataset(tmp_path / "data", images=ROWS // 5, questions=5)
    settings = {"model": MODEL, "rubric": rubric, "base_url": (proxy.url,), "timeout": 3.0}
    with contextlib.ExitStack() as own:
        server = own.enter_context(started(tiny_qwen, tiny_lora, tmp_path))
        proxy.forward_to(server.base_url)
        calm = call("judge score", dataset, run=RunOptions(run="calm"), **settings)
        assert (calm.rows, calm.rejects) == (ROWS, 0)

        death = Death(proxy, own, tiny_server.base_url)
        death.start()
        planted = plant(proxy, death)
        said = judged_stubbornly(dataset, death, settings | {"run": RunOptions(run="rough")})

    assert death.is_over.is_set()
    assert said
    for words in said:
        assert (
            "run the same command again to continue" in words or "no model server answers" in words
        )
    assert set(planted) == {None, *KINDS}
    assert sum(planted[kind] for kind in KINDS) > ROWS * FAULTY * 0.9

    expected, found = (
        dataset.read("scores", name).sort("target_id", "criterion") for name in ("calm", "rough")
    )
    assert found.height == ROWS == found["target_id"].n_unique()
    assert found["target_id"].to_list() == expected["target_id"].to_list()
    assert found["prompt_hash"].to_list() == expected["prompt_hash"].to_list()
    assert found["error"].null_count() == ROWS
    assert found["score"].to_list() == pytest.approx(expected["score"].to_list(), abs=1e-3)
    asked = dataset.manifest("scores", "rough").summary["asked"]
    assert asked["attempts"] > asked["requests"] >= ROWS

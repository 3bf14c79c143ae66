"""The steps of the demo's loop, each one a call of the function behind a command."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairwright.commands.command import Outcome, call
from pairwright.commands.options import RunOptions
from pairwright.commands.progress import say
from pairwright.dataset.store import Dataset
from pairwright.demo import data
from pairwright.demo.options import DemoOptions

if TYPE_CHECKING:
    from pairwright.vlm.servers.server import Server

MODELS = Path(__file__).parent / "models"
RUBRIC = Path(__file__).parent / "rubric.yaml"
MAX_MODEL_LEN = 256
# The score is P(right), so 0.5 is the judge's own verdict; nothing is tuned to the planted faults.
MIN_SCORE = 0.5
# Small models from scratch want larger rates than the defaults, which are for billions of weights.
TRAINING: dict[str, Any] = {"rank": 64, "batch_size": 32, "target": ("language",)}
SFT_LR, DPO_LR = 1e-3, 5e-4


class Clock:
    """Prints what is going on and remembers how long it took."""

    def __init__(self) -> None:
        """Start at zero."""
        self.seconds: dict[str, float] = {}
        self._start = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce and time one step."""
        say(f"[{self.total:4.0f} s] {title}")
        started = time.monotonic()
        yield
        self.seconds[title] = self.seconds.get(title, 0.0) + time.monotonic() - started

    @property
    def total(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start


class Servers:
    """The judge's and the policy's vLLM, starting in the background."""

    def __init__(self, stack: ExitStack, logs: Path) -> None:
        """Begin to start both."""
        self._stack, self._logs = stack, logs
        # Left last, after the servers are stopped: its threads must be done by then.
        pool = stack.enter_context(ThreadPoolExecutor(2))
        self._futures: dict[str, Future[Server]] = {
            name: pool.submit(self._start, name) for name in ("judge", "policy")
        }

    def _start(self, name: str) -> Server:
        from pairwright.vlm.servers.server import serve

        context = serve(
            str(MODELS / name),
            log_path=self._logs / f"vllm-{name}.log",
            max_model_len=MAX_MODEL_LEN,
        )
        return self._stack.enter_context(context)

    def get(self, name: str) -> Server:
        """Wait until a server is ready.

        Raises:
            ServerError: If it could not be started.
        """
        return self._futures[name].result()


class Loop:
    """The demo's state between steps: two datasets and what is to be done with them."""

    def __init__(self, root: Path, options: DemoOptions, clock: Clock, servers: Servers) -> None:
        """Nothing is done yet."""
        self.root, self.options, self.clock, self.servers = root, options, clock, servers
        self.key_path = root / "answer_key" / "key.jsonl"
        self.evaluated: list[tuple[str, str, bool]] = []
        self.data: Dataset
        self.test: Dataset

    def _call(
        self, name: str, dataset: Dataset | None, run: str | None = None, **values: Any
    ) -> Outcome:
        arguments = () if dataset is None else (dataset,)
        outcome = call(name, *arguments, run=RunOptions(run=run), **values)
        for line in outcome.message.strip().splitlines():
            say(f"         {line}")
        return outcome

    # -- raw rows to tables ---------------------------------------------------------------------

    def prepare(self) -> None:
        """Write the faulty raw data, ingest it and the official test split."""
        options, raw = self.options, self.root / "raw"
        with self.clock.step("plant faults in easy-vqa and ingest it"):
            if not (raw / "train.json").is_file():
                shutil.rmtree(raw, ignore_errors=True)
                data.write_raw(
                    raw, num_images=options.images, seed=options.seed, key_path=self.key_path
                )
            self._ingest(raw / "train.json", self.root / "data", "raw")
            self.data = Dataset(self.root / "data")
        with self.clock.step("ingest the official test split"):
            test = self.root / "raw-test"
            if not (test / "test.json").is_file():
                shutil.rmtree(test, ignore_errors=True)
                count = None if options.full else options.test_images
                data.write_test(test, num_images=count, seed=options.seed)
            self._ingest(test / "test.json", self.root / "test", "official-test")
            self.test = Dataset(self.root / "test")

    def _ingest(self, source: Path, out: Path, name: str) -> None:
        self._call(
            "curate ingest", None, source=str(source), output=out, source_name=name, license="mit"
        )

    # -- curation -------------------------------------------------------------------------------

    def curate(self) -> None:
        """Embed, drop duplicates, score the rest with the judge, drop what it finds wrong."""
        with self.clock.step("embed the images (open_clip)"):
            self._call("curate embed", self.data, model=str(MODELS / "clip"))
        with self.clock.step("drop duplicates"):
            self._call("curate dedup", self.data, show=1)
        with self.clock.step("wait for the judge's vLLM"):
            judge = self.servers.get("judge")
        with self.clock.step("judge every row"):
            self._score(judge, "samples")
        with self.clock.step("drop what the judge thinks is wrong"):
            self._call("curate filter", self.data, min_score=MIN_SCORE)

    def _score(self, judge: Server, target: str) -> None:
        self._call(
            "judge score",
            self.data,
            model=str(MODELS / "judge"),
            base_url=(judge.base_url,),
            rubric=str(RUBRIC),
            target=target,
            max_model_len=MAX_MODEL_LEN,
        )

    # -- from answers to a better policy --------------------------------------------------------

    def improve(self) -> None:
        """SFT on the curated rows; pairs of the policy's own answers; DPO; the controls."""
        policy = str(MODELS / "policy")
        self._evaluate("as shipped, trained on faulty data", "before", policy)
        with self.clock.step("SFT on the curated rows"):
            self._train("train sft", "sft", lr=SFT_LR)
        self._evaluate("SFT on the curated rows", "sft", self._run("sft"))
        with self.clock.step("wait for the policy's vLLM"):
            server = self.servers.get("policy")
        with self.clock.step(f"sample {self.options.answers} answers a question"):
            self._sample(server, policy)
        with self.clock.step("judge the sampled answers"):
            self._score(self.servers.get("judge"), "responses")
        with self.clock.step("build preference pairs"):
            self._call("prefs build", self.data)
        with self.clock.step("DPO on the pairs"):
            self._train("train dpo", "dpo", lr=DPO_LR, pairs="best-of-n")
        self._evaluate("DPO on its own judged answers", "dpo", self._run("dpo"))
        if self.options.controls:
            self._controls()
        with self.clock.step("export for the Hub"):
            for what in ("samples", "pairs"):
                out = self.root / "export" / what
                if not out.exists():
                    self._call("curate export", self.data, out=out, what=what)

    def _run(self, name: str) -> str:
        return str(self.data.path / "runs" / name)

    def _sample(self, server: Server, policy: str) -> None:
        self._call(
            "prefs sample",
            self.data,
            model=policy,
            base_url=(server.base_url,),
            n=self.options.answers,
            temperature=1.0,
            max_tokens=8,
            seed=self.options.seed,
        )

    def _train(self, command: str, run: str, **values: Any) -> None:
        """All training starts from the policy as shipped, so that its results can be compared."""
        policy = str(MODELS / "policy")
        self._call(command, self.data, run, model=policy, epochs=1.0, **TRAINING, **values)

    def _controls(self) -> None:
        with self.clock.step("control: SFT on the chosen answers alone"):
            self._train("train sft", "chosen", lr=DPO_LR, pairs="best-of-n", on="chosen")
        title = "control: SFT on the chosen alone"
        self._evaluate(title, "chosen", self._run("chosen"), control=True)
        with self.clock.step("control: random pairs"):
            self._call("prefs build", self.data, control="random")
            self._train("train dpo", "random", lr=DPO_LR, pairs="best-of-n-random")
        self._evaluate("control: DPO on random pairs", "random", self._run("random"), control=True)

    def _evaluate(self, title: str, run: str, model: str, *, control: bool = False) -> None:
        with self.clock.step(f"evaluate: {title}"):
            self._call("train eval", self.test, run, model=model, generate_max_tokens=8)
        self.evaluated.append((title, run, control))

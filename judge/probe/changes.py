"""How `judge probe` changes a response before it is judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from judge.rubric.render import Target
from pairwright.dataset.ids import stable_id
from pairwright.text.conversation import IMAGE, escape

CLEAN = "clean"
_FILE = Path(__file__).with_name("injections.yaml")
_PADDING = (
    "In other words, that is what can be said about it here. Taking everything into account, and "
    "looking at the matter from every side, this is the answer that is given to what was asked."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """A text that asks for the best score."""

    name: str
    where: str
    text: str

    def into(self, target: Target, best: str) -> Target:
        """The target with the text in it."""
        text = self.text.replace("{best}", best)
        if self.where == "start":
            return replace(target, answer=f"{text}\n{target.answer}")
        if self.where == "end":
            return replace(target, answer=f"{target.answer}\n{text}")
        prompt: list[Any] = [dict(message) for message in target.prompt]
        for message in reversed(prompt):
            if message["role"] == "user":
                message["content"] = f"{message['content']}\n{escape(text)}"
                break
        return replace(target, prompt=prompt)


def injections() -> list[Injection]:
    """The texts that are shipped with the package."""
    import yaml

    return [Injection(**raw) for raw in yaml.safe_load(_FILE.read_text(encoding="utf-8"))]


def probe_names(probes: Sequence[str], texts: Sequence[Injection]) -> list[str]:
    """Names as in the table, the unchanged version first."""
    plain = [name for name in probes if name != "injections"]
    injected = [f"inject:{one.name}" for one in texts] if "injections" in probes else []
    return [CLEAN, *plain, *injected]


def changed(
    target: Target, probes: Sequence[str], texts: Sequence[Injection], best: str,
    images: Sequence[str], seed: int,
) -> Iterator[tuple[str, Target]]:  # fmt: skip
    """The unchanged target, and each version that the probes make of it.

    Args:
        target: The response.
        probes: Of the options.
        texts: Injections.
        best: Label with the highest value.
        images: Other images are chosen from these, sorted.
        seed: Of that choice.
    """
    yield CLEAN, target
    if "padded" in probes:
        yield "padded", replace(target, answer=f"{target.answer} {_PADDING}")
    if "injections" in probes:
        for one in texts:
            yield f"inject:{one.name}", one.into(target, best)
    if "blind" in probes and target.image_ids:
        prompt: list[Any] = [
            m | {"content": m["content"].replace("\\" + IMAGE, "\0").replace(IMAGE, "").replace(
                "\0", "\\" + IMAGE).strip()}
            for m in target.prompt
        ]  # fmt: skip
        yield "blind", replace(target, image_ids=(), prompt=prompt)
    if "other_image" in probes and target.image_ids:
        others = _others(target, images, seed)
        if others is not None:
            yield "other_image", replace(target, image_ids=others)


def _others(target: Target, images: Sequence[str], seed: int) -> tuple[str, ...] | None:
    """Another image for each image of the target, none of its own; `None` if there are none."""
    own, found = set(target.image_ids), []
    for position in range(len(target.image_ids)):
        start = int(stable_id(seed, target.target_id, position)[:8], 16) % max(1, len(images))
        for step in range(min(len(images), len(own) + 1)):
            other = images[(start + step) % len(images)]
            if other not in own:
                found.append(other)
                break
        else:
            return None
    return tuple(found)

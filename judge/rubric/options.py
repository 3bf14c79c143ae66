"""Options of `judge rubrics`."""

from __future__ import annotations

from dataclasses import dataclass

from pairwright.commands.options import option
from pairwright.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricOptions:
    """Options of `judge rubrics`."""

    action: str = option(
        "list",
        positional=True,
        help="list: list them; show: print one as YAML; check: validate your own",
    )
    name: str | None = option(None, positional=True, help="name of a rubric, or a YAML file")
    model: str | None = option(
        None, help="with check: also check that each label is one token of this model"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.action not in ("list", "show", "check"):
            msg = f"judge rubrics {self.action}: the actions are list, show and check"
            raise UsageError(msg)
        if self.action == "list" and self.name is not None:
            msg = (
                f"judge rubrics list takes no name; did you mean `judge rubrics show {self.name}`?"
            )
            raise UsageError(msg)
        if self.action != "list" and self.name is None:
            msg = f"judge rubrics {self.action} needs a rubric: a name that `judge rubrics` lists, or a file"
            raise UsageError(msg)
        if self.model is not None and self.action != "check":
            msg = "--model belongs to `judge rubrics check`"
            raise UsageError(msg)

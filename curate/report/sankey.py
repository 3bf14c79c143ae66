"""Where the nodes and links of the funnel's Sankey diagram lie, in pixels.

Kept rows run along the top; dropped rows leave downwards. The rows that the first step drops are
lowest, so that no link crosses a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pairwright.text.htmltext import plain

NODE: Final = 10  # width of a node
_KEPT, _DROPPED, _INVALID = "var(--kept)", "var(--dropped)", "var(--rejected)"
_TRUNK: Final = 210  # height of all rows together
_TOP: Final = 64.0
_LINE: Final = 21
_GAP: Final = 290  # from column to column, where there is room
_WIDEST: Final = 1160
_NARROWEST: Final = 130
_REASONS: Final = 5
_SOURCES: Final = 8
_POINTS: Final = 24  # of a curve
_READ: Final = "Read in"


@dataclass(slots=True, kw_only=True)
class Node:
    """Rows at one step. `label` is next to it, `head` and `under` are above its column."""

    column: int
    y: float
    height: float
    rows: int
    color: str
    name: str
    label: str = ""
    head: str = ""
    under: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Rows on their way from the column before to a node."""

    column: int
    y0: float
    y1: float
    height: float
    rows: int
    color: str
    name: str


@dataclass(frozen=True, slots=True)
class _Stage:
    """A step: its title, the rows that are left, and those it drops: words, rows, color."""

    title: str
    left: int
    lost: list[tuple[str, int, str]]


@dataclass(slots=True)
class Sankey:
    """The whole diagram."""

    total: int
    scale: float
    columns: int
    nodes: list[Node] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(max(node.y + node.height for node in self.nodes)) + 18

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self._gap * (self.columns - 1) + self._right + NODE)

    @property
    def _right(self) -> int:
        """Room that the last column's words need."""
        last = [node for node in self.nodes if node.column == self.columns - 1]
        longest = max((max(len(n.label) * 6.9 + 8, len(n.head) * 8) for n in last), default=0)
        return int(min(max(longest, 60), 400)) + 8

    @property
    def _gap(self) -> float:
        room = (_WIDEST - self._right - NODE) / max(1, self.columns - 1)
        return max(_NARROWEST, min(_GAP, room))

    def boxes(self) -> list[dict[str, Any]]:
        """The nodes as rectangles."""
        return [
            {"x": self._gap * node.column, "x2": self._gap * node.column + NODE, "y": node.y,
             "y2": node.y + node.height, "color": node.color, "name": self._hover(node)}
            for node in self.nodes
        ]  # fmt: skip

    def curves(self) -> list[dict[str, Any]]:
        """The links as points of their upper and lower edges."""
        points = []
        for number, link in enumerate(self.links):
            start, end = self._gap * (link.column - 1) + NODE, self._gap * link.column
            for step in range(_POINTS + 1):
                t = step / _POINTS
                # A cubic curve that leaves and arrives level, its handles in the middle.
                bend = 3 * t * (1 - t) ** 2 + 3 * t**2 * (1 - t)
                x = start * (1 - t) ** 3 + bend * (start + end) / 2 + end * t**3
                rise = t * t * (3 - 2 * t)
                y = link.y0 + (link.y1 - link.y0) * rise
                points.append(
                    {"link": number, "x": round(x, 1), "y": round(y, 1),
                     "y2": round(y + link.height, 1), "color": link.color, "name": self._hover(link)}
                )  # fmt: skip
        return points

    def labels(self, kind: str) -> list[dict[str, Any]]:
        """Texts of a kind (`label`, `head`, `under`) and their positions."""
        out = []
        for node in self.nodes:
            text, x = getattr(node, kind), self._gap * node.column
            if not text:
                continue
            if kind == "label":
                y = node.y + max(node.height / 2, 1)
                # A source's name ends before the next column.
                first = node.column == 0 and self.columns > 1
                most = int((self._gap - 30) / 6.9) if first else 58
                out.append({"x": x + NODE + 7, "y": y, "text": plain(text, most)})
            else:
                out.append({"x": x, "y": {"head": 20, "under": 38}[kind], "text": text})
        return out

    def _hover(self, one: Node | Link) -> str:
        return f"{one.name}; rows: {one.rows:,}; fraction: {100 * one.rows / self.total:.1f} %"

    def _node(self, column: int, y: float, rows: int, color: str, name: str, **words: str) -> Node:
        node = Node(
            column=column, y=y, height=max(1.5, rows * self.scale), rows=rows, color=color,
            name=plain(name), **{key: plain(text) for key, text in words.items()},
        )  # fmt: skip
        self.nodes.append(node)
        return node

    def _link(self, column: int, y0: float, y1: float, rows: int, color: str, name: str) -> None:
        self.links.append(
            Link(column=column, y0=y0, y1=y1, height=max(1.0, rows * self.scale), rows=rows,
                 color=color, name=name)
        )  # fmt: skip

    @classmethod
    def of(cls, flow: dict[str, Any]) -> Sankey:
        """Lay out a funnel.

        Args:
            flow: `funnel` of report.json.
        """
        sources = _few_sources(flow["sources"])
        invalid = sum(one["invalid"] for one in sources)
        total = max(1, flow["read"] + invalid)
        stages = _stages(flow, invalid if len(sources) > 1 or invalid else None)
        out = cls(total, _TRUNK / total, len(stages) + 1)
        starts = out._add_sources(sources, spaced=len(sources) > 1 or invalid > 0)
        out._add_stages(stages, sources, starts)
        return out

    def _add_sources(self, sources: Sequence[dict[str, Any]], *, spaced: bool) -> list[float]:
        """Nodes of the first column.

        Returns:
            Where each source begins.
        """
        y, starts = _TOP, []
        total = sum(one["rows"] + one["invalid"] for one in sources)
        for number, one in enumerate(sources):
            words = {"head": "", "under": ""}
            if number == 0:
                name = "Source" if len(sources) == 1 else "Sources"
                words = {"head": name, "under": f"{total:,} rows"}
            rows = one["rows"] + one["invalid"]
            node = self._node(0, y, rows, _KEPT, one["source"], label=one["source"], **words)
            starts.append(y)
            y += node.height + (16 if spaced else 0)
        return starts

    def _add_stages(
        self, stages: list[_Stage], sources: list[dict[str, Any]], starts: list[float]
    ) -> None:
        positions = self._positions(stages, self.nodes[-1] if self.nodes else None)
        for number, stage in enumerate(stages):
            column = number + 1
            last = number == len(stages) - 1
            gone = sum(rows for _, rows, _ in stage.lost)
            under = f"\u2212{gone:,}" if gone else "nothing dropped"
            if stage.title == _READ:
                under = f"{stage.left:,} samples"
            name = f"left after {stage.title[0].lower()}{stage.title[1:]}"
            trunk = self._node(
                column, _TOP, stage.left, _KEPT, name, head=stage.title, under=under,
                label=f"{stage.left:,} kept" if last else "",
            )  # fmt: skip
            if number == 0:
                self._add_first_links(sources, starts, stage, positions[0])
            elif stage.left:
                self._link(column, _TOP, _TOP, stage.left, _KEPT, trunk.name)
            y0 = _TOP + stage.left * self.scale
            for (words, rows, color), y in zip(stage.lost, positions[number], strict=True):
                end = self._node(column, y, rows, color, words, label=f"{rows:,} \u00b7 {words}")
                if number or color == _DROPPED:
                    self._link(column, y0, y, rows, color, end.name)
                y0 += rows * self.scale

    def _positions(self, stages: list[_Stage], last_source: Node | None) -> list[list[float]]:
        """Where the rows that each stage drops lie: below the sources, the last stage's highest."""
        floor = (last_source.y + last_source.height if last_source else _TOP) + 26
        out: list[list[float]] = [[] for _ in stages]
        for number in reversed(range(len(stages))):
            for _, rows, _ in stages[number].lost:
                out[number].append(floor)
                floor += max(_LINE, rows * self.scale + 9)
        return out

    def _add_first_links(
        self,
        sources: list[dict[str, Any]],
        starts: list[float],
        stage: _Stage,
        positions: list[float],
    ) -> None:
        """From every source to what was read in, and to what was invalid."""
        into, into_lost = _TOP, positions[0] if positions else 0.0
        alone = len(sources) == 1 and not sources[0]["invalid"]
        for one, start in zip(sources, starts, strict=True):
            rows = stage.left if alone else one["rows"]
            arrow = f"{plain(one['source'])} \u2192 "
            if rows:
                self._link(1, start, into, rows, _KEPT, f"{arrow}read in")
            into += rows * self.scale
            if one["invalid"]:
                words, _, color = stage.lost[0]
                y0 = start + one["rows"] * self.scale
                self._link(1, y0, into_lost, one["invalid"], color, arrow + words)
                into_lost += one["invalid"] * self.scale


def _stages(flow: dict[str, Any], invalid: int | None) -> list[_Stage]:
    """What was read in, where that is a step of its own, then every step that dropped rows."""
    stages = []
    if invalid is not None:
        lost = [("invalid: could not be read", invalid, _INVALID)] if invalid else []
        stages.append(_Stage(_READ, flow["read"], lost))
    for step in flow["steps"]:
        gone = [(one["words"], one["rows"], _DROPPED) for one in _few_reasons(step["reasons"])]
        stages.append(_Stage(step["title"], step["left"], gone))
    return stages


def _few_sources(sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rest = sources[_SOURCES:]
    if not rest:
        return sources
    other = {
        "source": f"{len(rest)} other sources",
        "rows": sum(one["rows"] for one in rest),
        "invalid": sum(one["invalid"] for one in rest),
    }
    return [*sources[:_SOURCES], other]


def _few_reasons(reasons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(reasons) <= _REASONS:
        return reasons
    rest = reasons[_REASONS - 1 :]
    other = {"words": f"{len(rest)} other reasons", "rows": sum(one["rows"] for one in rest)}
    return [*reasons[: _REASONS - 1], other]

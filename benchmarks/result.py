"""What a benchmark measured, as plain data: tables, targets, and curves to plot."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Table:
    """A table of measurements: one row a side."""

    title: str
    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class Target:
    """What this package promises of a measurement.

    :ivar text: the promise, with its limit: ``CPU of one poll, times the SDK's own call: at most 1.5``.
    :ivar measured: what was measured, with its unit: ``1.21``.
    """

    text: str
    measured: str
    met: bool


@dataclass(frozen=True)
class Curve:
    """A line of a plot, or points with ``line=False``."""

    label: str
    xs: list[float]
    ys: list[float]
    line: bool = True


@dataclass(frozen=True)
class Plot:
    """A plot; ``kind`` is ``curves`` or ``bars`` (one bar a curve, of its first y)."""

    name: str
    title: str
    x_label: str
    y_label: str
    curves: list[Curve]
    kind: str = "curves"
    log_x: bool = False
    log_y: bool = False


@dataclass
class Result:
    """All that one benchmark has to say.

    :ivar name: the benchmark's module.
    :ivar notes: what a reader must know to read the numbers, in full sentences.
    """

    name: str
    title: str
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Result:
        """Return the result that :meth:`to_json` gave."""
        plots = [Plot(**{**plot, "curves": [Curve(**curve) for curve in plot["curves"]]}) for plot in data["plots"]]
        return cls(
            data["name"],
            data["title"],
            [Table(**table) for table in data["tables"]],
            [Target(**target) for target in data["targets"]],
            plots,
            data["notes"],
        )

    def __str__(self) -> str:
        """Return it as text for a terminal: Markdown tables, and each target with its verdict."""
        lines = [f"## {self.title}", ""]
        for table in self.tables:
            cells = [table.columns, *([str(cell) for cell in row] for row in table.rows)]
            widths = [max(len(row[column]) for row in cells) for column in range(len(table.columns))]
            shown = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
            rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
            lines += [f"{table.title}:", "", shown[0], rule, *shown[1:], ""]
        lines += [f"- {'met' if each.met else 'MISSED'}: {each.text}: {each.measured}" for each in self.targets]
        lines += ["", *self.notes] if self.notes else []
        return "\n".join(lines)


def run_alone(measure: Callable[[], Result]) -> None:
    """Run one benchmark from its own command line: ``python -m benchmarks.<name> [--json FILE]``."""
    result = measure()
    print(result, flush=True)
    if sys.argv[1:2] == ["--json"]:
        Path(sys.argv[2]).write_text(json.dumps(result.to_json(), indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if all(target.met for target in result.targets) else 1)

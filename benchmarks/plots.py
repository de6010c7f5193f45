"""Draw plots as SVG, with matplotlib, which the extra ``bench`` brings."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.result import Plot

COLOURS = ("#0f766e", "#c2410c", "#1d4ed8", "#a16207", "#7e22ce", "#475569", "#be185d", "#15803d")
OTHERS = "#94a3b8"
OURS = "this package"
"""How a bar's label begins that is to be told from those of others."""
STYLE = {
    "svg.hashsalt": "dds",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e2e8f0",
}


def can_draw() -> bool:
    """Say whether matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def mark(plot: Plot) -> str:
    """Return what tells the plot's data from any other; it stands in the drawing."""
    return "drawn from " + hashlib.sha256(json.dumps(asdict(plot), sort_keys=True).encode()).hexdigest()[:16]


def draw(plot: Plot, path: Path) -> None:
    """Draw a plot into a file: the same data gives the same file."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        height = 4.2 if plot.kind == "curves" else 1.3 + 0.45 * len(plot.curves)
        figure = Figure(figsize=(8, height), layout="constrained")
        (_draw_bars if plot.kind == "bars" else _draw_curves)(plot, figure.add_subplot())
        metadata = {"Date": None, "Title": plot.title, "Description": mark(plot)}
        path.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasSVG(figure).print_svg(path, metadata=metadata)


def _draw_bars(plot: Plot, axes: Any) -> None:
    """Lay the bars down, so that their names have room."""
    lengths = [curve.ys[0] for curve in plot.curves]
    labels = [curve.label for curve in plot.curves]
    ours = [label.startswith(OURS) for label in labels]
    colours = [COLOURS[0] if own or not any(ours) else OTHERS for own in ours]
    bars = axes.barh(labels, lengths, color=colours, height=0.6)
    axes.bar_label(
        bars, labels=[f"{length:,.3g}" if length < 1000 else f"{length:,.0f}" for length in lengths], padding=4
    )
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.12)
    axes.set(title=plot.title, xlabel=plot.y_label, ylabel=plot.x_label)
    if plot.log_y or plot.log_x:
        axes.set_xscale("log")


def _draw_curves(plot: Plot, axes: Any) -> None:
    for number, curve in enumerate(plot.curves):
        how = {"marker": "o" if len(curve.xs) < 30 else "", "markersize": 4} if curve.line else {"marker": "D"}
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(curve.xs, curve.ys, linestyle="-" if curve.line else "", color=colour, label=curve.label, **how)
    axes.set(title=plot.title, xlabel=plot.x_label, ylabel=plot.y_label)
    if plot.log_x:
        axes.set_xscale("log")
    if plot.log_y:
        axes.set_yscale("log")
    if len(plot.curves) > 5:
        axes.figure.legend(loc="outside right upper", frameon=False)
    elif len(plot.curves) > 1 or plot.curves[0].label:
        axes.legend(frameon=False)

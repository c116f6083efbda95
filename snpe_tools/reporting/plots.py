"""Pictures as SVG in the page's own colours: they follow light and dark, and print."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from snpe_tools.reporting.documents import Accuracy, LayerRow, Layers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT = "#010203", "#040506"
_KINDS = {
    "Softmax": ("#0a0b0c", "o"),
    "MatMul, Gemm": ("#0d0e0f", "^"),
    "LayerNorm": ("#101112", "s"),
    "others": ("#131415", "."),
}
_ENCODED, MARKED = "#161718", "#191a1b"
_VARIABLES = {
    INK: "--ink", FAINT: "--faint", _ENCODED: "--range", MARKED: "--seen",
    "#0a0b0c": "--softmax", "#0d0e0f": "--matmul", "#101112": "--norm", "#131415": "--other",
}  # fmt: skip
"""Colours that only stand for the page's CSS variables."""
_WIDTH = 4.7
_LARGEST_DB = 120.0


def draw_scores(accuracy: Accuracy) -> str:
    """The score of each runner with its 95 % interval, and the float model's on the same examples."""
    rows, label, examples = accuracy.runners, accuracy.metric.label, accuracy.words.examples
    figure, axes = new_figure(1.0 + 0.42 * len(rows))
    places = range(len(rows))[::-1]
    middle = [row.score for row in rows]
    low = [max(0.0, row.score - row.interval[0]) for row in rows]
    high = [max(0.0, row.interval[1] - row.score) for row in rows]
    axes.errorbar(middle, places, xerr=(low, high), fmt="o", color=INK, ecolor=FAINT, elinewidth=3, markersize=6,
                  label="stage")  # fmt: skip
    axes.plot([row.float_score for row in rows], places, "|", color=MARKED, markersize=14, markeredgewidth=2,
              label=f"float on the same {examples}")  # fmt: skip
    for place, row in zip(places, rows, strict=True):
        axes.annotate(f"{row.score:.1f}", (row.score, place), (0, 10), textcoords="offset points", ha="center")
    axes.set_yticks(list(places), [f"{row.runner}\n{row.examples} {examples}" for row in rows])
    axes.set(xlabel=f"{label}, {accuracy.metric.unit} (line: 95 % interval)", ylim=(-0.6, len(rows) - 0.2))
    show_grid(axes, "x")
    show_legend(figure, axes)
    return to_svg(figure, f"{label} of each stage with its 95 percent interval")


def draw_noise(found: Layers) -> str:
    """SQNR of each tensor, in order of execution."""
    figure, axes = new_figure(3.0)
    rows = [(place, row) for place, row in enumerate(found.layers) if row.sqnr_db is not None]
    for kind, (colour, marker) in _KINDS.items():
        mine = [(place, min(row.sqnr_db or 0.0, _LARGEST_DB)) for place, row in rows if _kind(row) == kind]
        if mine:
            axes.plot(*zip(*mine, strict=True), marker, color=colour, markersize=4, label=kind)
    axes.axhline(found.threshold_db, color=INK, linestyle="--", linewidth=1)
    axes.annotate(f"{found.threshold_db:g} dB: diverges below", (0, found.threshold_db), (0, 3),
                  textcoords="offset points")  # fmt: skip
    axes.set(xlabel=f"tensor, in order of execution (of {len(found.layers)})", ylabel="SQNR, dB")
    axes.set_ylim(bottom=min([0.0, *(row.sqnr_db or 0.0 for _, row in rows)]))
    show_grid(axes, "y")
    show_legend(figure, axes)
    return to_svg(figure, "Signal to quantization noise ratio of every tensor in order of execution")


def draw_ranges(found: Layers, examples: str) -> str:
    """What each tensor's encoding can hold, and the values that came."""
    figure, axes = new_figure(3.0)
    rows = [row for row in found.layers if row.grid and row.low is not None and row.high is not None]
    places = range(len(rows))
    encoded = _ends((row.grid.low, row.grid.high) for row in rows if row.grid)
    seen = _ends((row.low or 0.0, row.high or 0.0) for row in rows)
    axes.fill_between(places, *encoded, step="mid", color=_ENCODED, linewidth=0, label="encoding")
    axes.vlines(places, *seen, color=MARKED, linewidth=0.7, label=f"values of these {examples}")
    axes.set_yscale("symlog", linthresh=1)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set(xlabel=f"tensor, in order of execution (of {len(rows)})", ylabel="value (linear within ±1)")
    show_grid(axes, "y")
    show_legend(figure, axes)
    return to_svg(figure, "Range of the values of every tensor against the range of its encoding")


def _ends(pairs: Iterable[tuple[float, float]]) -> tuple[list[float], list[float]]:
    listed = list(pairs)
    return [low for low, _ in listed], [high for _, high in listed]


def _kind(row: LayerRow) -> str:
    if row.op == "Softmax":
        return "Softmax"
    if row.op in {"MatMul", "Gemm", "FullyConnected"}:
        return "MatMul, Gemm"
    return "LayerNorm" if row.op.startswith("LayerNorm") else "others"


def new_figure(height: float) -> tuple[Figure, Axes]:
    """An empty picture, so many inches high."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    return figure, axes


def show_grid(axes: Axes, axis: Literal["x", "y"]) -> None:
    """Faint lines across."""
    axes.grid(visible=True, axis=axis, color=FAINT, alpha=0.4, linewidth=0.6)


def show_legend(figure: Figure, axes: Axes) -> None:
    """What the marks mean, above the picture."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=4, frameon=False, handletextpad=0.3,
                  columnspacing=1.0)  # fmt: skip


def to_svg(figure: Figure, title: str) -> str:
    """The picture as an `<svg>` element that scales, without numbers that change from run to run."""
    from matplotlib import rc_context

    stream = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', rf'\1 role="img" aria-label="{title}"', text, count=1)
    text = text.replace("#000000", INK).replace("font: 10px 'DejaVu Sans'", "font: 10px sans-serif")
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "sans-serif", text)
    text = re.sub(r"<text style=\"", f'<text style="fill: {INK}; ', text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return _unique_ids(text, title)


def _unique_ids(text: str, title: str) -> str:
    """Several pictures share one page: their ids must differ."""
    prefix = re.sub(r"\W+", "-", title.lower())[:24]
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    return re.sub(r'(url\(#|href="#)', rf"\1{prefix}-", text)

"""The loss curve as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snpe_tools.core.files import whole_file

_SMOOTHED_OVER = 0.02
_SMOOTHED_STEPS = 20
CROSS_ENTROPY = "cross-entropy (nats)"


def draw_curve(losses: Mapping[str, Sequence[float]], target: Path, title: str) -> None:
    """Write the loss of every step, and its running mean over 2 % of the steps (20 at least), as SVG.

    Args:
        losses: of one run, or of several in their order, each by what it measures.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7 if len(losses) == 1 else 5 * len(losses), 3.5), layout="constrained")
    FigureCanvasSVG(figure)
    figure.suptitle(title)
    for axes, (measure, values) in zip(figure.subplots(1, len(losses), squeeze=False)[0], losses.items(), strict=True):
        _draw(axes, values)
        axes.set(xlabel="step", ylabel=measure, xlim=(0, len(values) + 1), ylim=(0, None))
    with whole_file(target) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def _draw(axes: Any, losses: Sequence[float]) -> None:  # noqa: ANN401 - matplotlib's axes
    steps = np.arange(1, len(losses) + 1)
    window = min(len(losses), max(_SMOOTHED_STEPS, round(_SMOOTHED_OVER * len(losses))))
    axes.plot(steps, losses, color="0.8", linewidth=0.6, label="each step")
    axes.plot(steps[window - 1 :], _running_mean(losses, window), color="#0b62a4", label=f"mean of {window} steps")
    axes.grid(visible=True, color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def _running_mean(losses: Sequence[float], window: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.convolve(np.asarray(losses, np.float64), np.full(window, 1 / window), mode="valid")

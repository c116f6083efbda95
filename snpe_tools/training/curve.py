"""The loss curve as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from snpe_tools.files import whole_file

_SMOOTHED_OVER = 0.02
_SMOOTHED_STEPS = 20


def draw_curve(losses: Sequence[float], target: Path, title: str) -> None:
    """Write the loss of every step, and its running mean over 2 % of the steps (20 at least), as SVG."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    steps = np.arange(1, len(losses) + 1)
    window = min(len(losses), max(_SMOOTHED_STEPS, round(_SMOOTHED_OVER * len(losses))))
    axes.plot(steps, losses, color="0.8", linewidth=0.6, label="each step")
    axes.plot(steps[window - 1 :], _running_mean(losses, window), color="#0b62a4", label=f"mean of {window} steps")
    axes.set(title=title, xlabel="step", ylabel="cross-entropy (nats)", xlim=(0, len(losses) + 1), ylim=(0, None))
    axes.grid(visible=True, color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with whole_file(target) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def _running_mean(losses: Sequence[float], window: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.convolve(np.asarray(losses, np.float64), np.full(window, 1 / window), mode="valid")

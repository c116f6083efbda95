"""What a search for a mixed precision tried, as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from snpe_tools.reporting.plots import FAINT, INK, MARKED, new_figure, show_grid, show_legend, to_svg
from snpe_tools.tuning.trial import Trial, Tuning


def frontier(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that no other one beats in both F1 and the share of 16-bit activations, the cheapest first."""
    kept: list[Trial] = []
    for trial in sorted(trials, key=lambda one: (one.wide, -one.f1)):
        if not kept or trial.f1 > kept[-1].f1:
            kept.append(trial)
    return kept


def draw_trials(tuning: Tuning) -> str:
    """F1 against the share of activations that have 16 bits."""
    figure, axes = new_figure(3.0)
    best, line = tuning.trials[tuning.best], frontier(tuning.trials)
    axes.axhline(tuning.float_f1, color=FAINT, linewidth=1, label="float")
    axes.plot([trial.wide for trial in line], [trial.f1 for trial in line], color=FAINT, drawstyle="steps-post")
    axes.plot(
        [trial.wide for trial in tuning.trials], [trial.f1 for trial in tuning.trials], ".", color=INK, label="trial"
    )
    axes.plot([best.wide], [best.f1], "o", color=MARKED, markersize=9, fillstyle="none", label="chosen")
    axes.set(xlabel="activations in 16 bits, percent", ylabel="F1, percent")
    show_grid(axes, "y")
    show_legend(figure, axes)
    return to_svg(figure, "F1 of every trial against its share of 16-bit activations")

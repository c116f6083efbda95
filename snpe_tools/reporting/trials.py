"""What a search for a mixed precision tried, as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from snpe_tools.reporting.plots import FAINT, INK, MARKED, new_figure, show_grid, show_legend, to_svg
from snpe_tools.tuning.trial import Trial, Tuning

_SHOWN = 12


def frontier(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that no other one beats in both loss and the share of 16-bit activations, the cheapest first."""
    kept: list[Trial] = []
    for trial in sorted(trials, key=lambda one: (one.wide, one.drop)):
        if not kept or trial.drop < kept[-1].drop:
            kept.append(trial)
    return kept


def draw_trials(tuning: Tuning, metric: str) -> str:
    """The metric likely lost against float, by the share of activations that have 16 bits."""
    figure, axes = new_figure(3.2)
    best, line = tuning.trials[tuning.best], frontier(tuning.trials)
    axes.axhline(tuning.max_drop, color=FAINT, linewidth=1, label=f"{tuning.max_drop:g} may be lost")
    axes.plot([trial.wide for trial in line], [trial.drop for trial in line], color=FAINT, drawstyle="steps-post")
    axes.plot(
        [trial.wide for trial in tuning.trials], [trial.drop for trial in tuning.trials], ".", color=INK, label="trial"
    )
    axes.plot([best.wide], [best.drop], "o", color=MARKED, markersize=9, fillstyle="none", label="chosen")
    axes.set_yscale("symlog", linthresh=1)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.invert_yaxis()
    axes.set(xlabel="activations in 16 bits, percent", ylabel=f"{metric} likely lost\n(linear within ±1)")
    show_grid(axes, "y")
    show_legend(figure, axes)
    return to_svg(
        figure, f"{metric} that every trial is likely to lose against float, by its share of 16-bit activations"
    )


def draw_costs(tuning: Tuning, predictions: str) -> str:
    """What the dearest operations cost at 8 bits, with ranges clipped, and what those that are not shown cost."""
    shown = tuning.costs[:_SHOWN]
    figure, axes = new_figure(0.9 + 0.24 * (len(shown) + 1))
    rest = sum(cost.noise for cost in tuning.costs[_SHOWN:])
    names = [*(cost.operation for cost in shown), f"{len(tuning.costs) - len(shown)} others together"]
    places = range(len(names))[::-1]
    values = [1000 * noise for noise in (*(cost.noise for cost in shown), rest)]
    axes.barh(places, values, color=[INK] * len(shown) + [FAINT], height=0.6)
    axes.set_yticks(list(places), names)
    axes.set(xlabel=f"divergence of {predictions}, 1/1000 nat")
    show_grid(axes, "x")
    return to_svg(figure, "What each operation costs at 8 bits")

"""How far off the model is: tables and the plot of predicted against measured, from networks that it did not see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from snpe_tools.estimation.chips import DEVICES
from snpe_tools.estimation.features import FEATURES, WIDTHS
from snpe_tools.estimation.intervals import COVERED, UNUSABLE, covering
from snpe_tools.estimation.latency_model import LatencyModel, Measured

_NAMES = {"fp16": "fp16", "a16": "w8a16", "a8": "w8a8"}
_PLOTTED = "sm8750"


def report(model: LatencyModel, plot: Path) -> None:
    """Print every figure of docs/estimate.md, in Markdown, and draw its plot."""
    every = model.measured
    networks, families = {one.network for one in every}, {one.family for one in every}
    figures = sum(len(one.milliseconds) for one in every)
    print(f"{len(networks)} networks of {len(families)} families, {figures} figures. {model.source}\n")
    _table("precision", [(_NAMES[width], [one for one in every if one.width == width]) for width in WIDTHS])
    _table("family", [(name, [one for one in every if one.family == name]) for name in sorted(families)])
    _by_chip(every)
    _prices(model)
    _furthest(every)
    draw(model, plot)


def _table(title: str, groups: Iterable[tuple[str, Sequence[Measured]]]) -> None:
    rows = list(groups)
    rows.append(("all", [one for _, several in rows for one in several]))
    print(
        f"| {title} | networks | left out: median | 90 % | family left out: median | 90 % |\n|---|---|---|---|---|---|"
    )
    for name, several in rows:
        near = [error for one in several for error in one.unseen.values()]
        far = [error for one in several for error in one.family_unseen.values()]
        count = len({one.network for one in several})
        shares = " | ".join(_within(errors, share) for errors in (near, far) for share in (50, 90))
        print(f"| {name} | {count} | {shares} |")
    print()


def _within(errors: Sequence[float], share: int) -> str:
    return f"{np.exp(np.percentile(np.abs(errors), share)):.2f}" if errors else "-"


def _by_chip(every: Sequence[Measured]) -> None:
    print("| SoC | device | precision | networks | median | 90 % | interval | covered | families covered |")
    print("|---|---|---|---|---|---|---|---|---|")
    for chip, device in DEVICES.items():
        for width in WIDTHS:
            found = [one for one in every if one.width == width and chip in one.unseen]
            if found:
                print(f"| {chip} | {device} | {_NAMES[width]} | {' | '.join(_columns(found, chip))} |")
    print(f"\nIntervals are made for {100 * COVERED:.0f} % of the networks.\n")


def _columns(found: Sequence[Measured], chip: str) -> list[str]:
    near = [one.unseen[chip] for one in found]
    interval = covering(near)
    told = f"x/÷ {interval:.2f}" if interval <= UNUSABLE else "none"
    covered = [_covered(found, chip, label) for label in (lambda one: one.network, lambda one: one.family)]
    return [str(len(found)), _within(near, 50), _within(near, 90), told, *covered]


def _covered(found: Sequence[Measured], chip: str, label: Callable[[Measured], str]) -> str:
    """The share of networks inside an interval that was made without them, or without their family."""
    inside = []
    for one in found:
        others = [other.unseen[chip] for other in found if label(other) != label(one)]
        error = one.unseen[chip] if label(one) == one.network else one.family_unseen.get(chip)
        if error is not None:
            inside.append(abs(error) <= np.log(covering(others)))
    return f"{100 * float(np.mean(inside)):.0f} %" if inside else "-"


def _prices(model: LatencyModel) -> None:
    print("| precision | " + " | ".join(FEATURES) + " |\n|" + "---|" * (len(FEATURES) + 1))
    for width in WIDTHS:
        print(f"| {_NAMES[width]} | " + " | ".join(f"{price:.2g}" for price in model.prices[width]) + " |")
    print()


def _furthest(every: Sequence[Measured]) -> None:
    """Networks that the model misses by more than a factor of 2 in the median over SoCs."""
    print("| network | precision | measured | estimate |\n|---|---|---|---|")
    for one in every:
        middle = float(np.median(list(one.unseen.values()))) if one.unseen else 0.0
        if abs(middle) > np.log(2) and _PLOTTED in one.unseen:
            taken = one.milliseconds[_PLOTTED]
            said = taken * np.exp(one.unseen[_PLOTTED])
            print(f"| {one.network} | {_NAMES[one.width]} | {taken:.2f} ms | {said:.2f} ms |")
    print()


def draw(model: LatencyModel, plot: Path) -> None:
    """Predicted against measured on one SoC, each network estimated by a fit without it."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.2, 6.4), layout="constrained")
    groups = defaultdict[str, list[tuple[float, float]]](list)
    for one in model.measured:
        if _PLOTTED in one.unseen:
            taken = one.milliseconds[_PLOTTED]
            groups[one.family].append((taken, taken * float(np.exp(one.unseen[_PLOTTED]))))
    ends = np.array([min(min(pair) for found in groups.values() for pair in found) / 1.5,
                     max(max(pair) for found in groups.values() for pair in found) * 1.5])  # fmt: skip
    axes.fill_between(ends, ends / 2, ends * 2, color="0.92", label="within a factor of 2")
    axes.fill_between(ends, ends / 1.3, ends * 1.3, color="0.82", label="within a factor of 1.3")
    axes.plot(ends, ends, color="0.4", linewidth=1)
    for index, (family, found) in enumerate(sorted(groups.items())):
        marker = "os^Dv<>Pp*Xhd"[index % 13]
        axes.scatter(*zip(*found, strict=True), s=26, marker=marker, label=family, alpha=0.85, zorder=3)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="measured, ms on Galaxy S25 (Snapdragon 8 Elite)",
             ylabel="estimated by a model that never saw this network, ms")  # fmt: skip
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    figure.savefig(plot, dpi=130)
    print(f"{plot}: drawn")

"""Fits prices and speeds to published latencies, and tells how far off the result is for networks that it never saw.

Errors are ratios, so everything is fitted in logarithms, with a loss that grows linearly for far outliers. Every
network counts the same in a width, however many chips it was measured on; a user's own measurement counts more.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snpe_tools.core.progress import Advance, unwatched
from snpe_tools.estimation.chips import DEVICES, REFERENCE
from snpe_tools.estimation.features import FEATURES, WIDTHS, Array
from snpe_tools.estimation.latency_model import GROUP_OF, GROUPS, LatencyModel, Measured
from snpe_tools.estimation.work import Width

LEAST = 8
"""Networks without which no speeds are fitted for a chip and a width."""
_SHARED, _FREE, _SPEED = 0.3, 0.1, 0.3
"""How strongly widths are held to a common price, prices to their prior, and speeds of a chip to one factor."""
_PRIOR = (0.05, 0.001, 0.05, 2.0, 0.015, 0.005, 0.005, 0.005, 0.015)
"""Orders of magnitude, in milliseconds for one unit of each of `FEATURES`: 20 tera multiply-accumulates a second on the
matrix unit and 0.5 on the vector unit, 66 GB/s from memory, 200 GB/s between the units and the memory beside them.
"""
_OUTLIER = 0.4
"""Residuals above it (a factor of 1.5) count linearly."""
_ROUNDS = 30

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Figures:
    """What is fitted: n networks in one width each, c chips.

    Attributes:
        amounts: (n, 9). logs: (n, c), of milliseconds, NaN where not measured. widths: (n,), indices into `WIDTHS`.
        weights: (n,).
    """

    chips: tuple[str, ...]
    amounts: Array
    logs: Array
    widths: npt.NDArray[np.int64]
    weights: Array

    @classmethod
    def of(cls, measured: Sequence[Measured]) -> Figures:
        """The figures of these networks."""
        chips = tuple(DEVICES)
        logs = [[np.log(one.milliseconds.get(chip, np.nan)) for chip in chips] for one in measured]
        return cls(
            chips,
            np.array([one.amounts for one in measured], float).reshape(-1, len(FEATURES)),
            np.array(logs, float).reshape(-1, len(chips)),
            np.array([WIDTHS.index(one.width) for one in measured], np.int64),
            np.array([one.weight for one in measured], float),
        )

    def only(self, kept: Flags) -> Figures:
        """Those of some networks."""
        return Figures(self.chips, self.amounts[kept], self.logs[kept], self.widths[kept], self.weights[kept])


@dataclass(frozen=True)
class Fit:
    """Prices (3, 9) and speeds (c, 3, 3); NaN speeds where a width was not measured on a chip."""

    prices: Array
    speeds: Array

    def log_estimates(self, figures: Figures) -> Array:
        """log(milliseconds), (n, c)."""
        parts = self.prices[figures.widths] * figures.amounts
        sums = np.stack([parts[:, group == GROUP_OF].sum(1) for group in range(len(GROUPS))], 1)
        return np.asarray(np.log((sums[:, None, :] * self.speeds[:, figures.widths].transpose(1, 0, 2)).sum(2)))


def fit(figures: Figures) -> Fit:
    """Prices from what each network takes on the reference chip, then each chip's speeds."""
    prices = _fit_prices(figures, _on_reference(figures))
    parts = prices[figures.widths] * figures.amounts
    sums = np.stack([parts[:, group == GROUP_OF].sum(1) for group in range(len(GROUPS))], 1)
    speeds = np.full((len(figures.chips), len(WIDTHS), len(GROUPS)), np.nan)
    for chip in range(len(figures.chips)):
        for width in range(len(WIDTHS)):
            chosen = (figures.widths == width) & ~np.isnan(figures.logs[:, chip])
            if chosen.sum() >= LEAST:
                speeds[chip, width] = _fit_speeds(sums[chosen], figures.logs[chosen, chip], figures.weights[chosen])
    return Fit(prices, speeds)


def _on_reference(figures: Figures) -> Array:
    """log(milliseconds) of each network on the reference chip, (n,): `logs = network + chip`, by medians in turn."""
    reference, offsets = figures.chips.index(REFERENCE), np.zeros((len(WIDTHS), len(figures.chips)))
    networks = np.zeros(len(figures.widths))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # chips without any figure in a width
        for _ in range(_ROUNDS):
            networks = np.nanmedian(figures.logs - offsets[figures.widths], 1)
            for width in range(len(WIDTHS)):
                offsets[width] = np.nanmedian((figures.logs - networks[:, None])[figures.widths == width], 0)
            offsets -= offsets[:, [reference]]
    return networks


def _fit_prices(figures: Figures, wanted: Array) -> Array:
    """Prices (3, 9): a common one for each feature, and each width's deviation from it."""
    from scipy.optimize import least_squares

    count, columns = figures.amounts.shape
    shared, own = np.arange(columns), columns + figures.widths[:, None] * columns + np.arange(columns)
    strength = np.sqrt(count / 100) * np.concatenate([np.full(columns, _FREE), np.full(3 * columns, _SHARED)])
    centre = np.concatenate([np.log(_PRIOR), np.zeros(3 * columns)])

    def terms(point: Array) -> Array:
        return np.asarray(np.exp(point[:columns] + point[own]) * figures.amounts)

    def residuals(point: Array) -> Array:
        off = np.log(terms(point).sum(1)) - wanted
        return np.concatenate([off * figures.weights, strength * (point - centre)])

    def slopes(point: Array) -> Array:
        made = terms(point)
        share = made / made.sum(1, keepdims=True) * figures.weights[:, None]
        jacobian = np.zeros((count, 4 * columns))
        jacobian[:, shared] = share
        np.put_along_axis(jacobian, own, share, 1)
        return np.vstack([jacobian, np.diag(strength)])

    found = least_squares(residuals, centre, slopes, loss="soft_l1", f_scale=_OUTLIER, max_nfev=200).x
    return np.asarray(np.exp(found[:columns] + found[columns:].reshape(len(WIDTHS), columns)))


def _fit_speeds(sums: Array, logs: Array, weights: Array) -> Array:
    """Three factors, (3,), for the milliseconds (n, 3) of the groups: one for all, and each group's deviation."""
    from scipy.optimize import least_squares

    strength = _SPEED * np.sqrt(len(logs) / 20) * np.eye(len(GROUPS))

    def made(point: Array) -> Array:
        return np.asarray(sums * np.exp(point[0] + point[1:]))

    def residuals(point: Array) -> Array:
        return np.concatenate([(np.log(made(point).sum(1)) - logs) * weights, strength @ point[1:]])

    def slopes(point: Array) -> Array:
        terms = made(point)
        share = terms / terms.sum(1, keepdims=True) * weights[:, None]
        upper = np.hstack([weights[:, None], share])
        return np.vstack([upper, np.hstack([np.zeros((len(GROUPS), 1)), strength])])

    start = np.zeros(1 + len(GROUPS))
    start[0] = np.median(logs - np.log(sums.sum(1)))
    found = least_squares(residuals, start, slopes, loss="soft_l1", f_scale=_OUTLIER, max_nfev=100).x
    return np.asarray(np.exp(found[0] + found[1:]))


def left_out(figures: Figures, labels: Sequence[str], advance: Advance) -> Array:
    """log(estimate / measurement), (n, c): the networks of each label estimated by a fit without them."""
    errors = np.full(figures.logs.shape, np.nan)
    for label in dict.fromkeys(labels):
        outside = np.array([one != label for one in labels])
        estimates = fit(figures.only(outside)).log_estimates(figures.only(~outside))
        errors[~outside] = estimates - figures.logs[~outside]
        advance()
    return errors


def fits_of(measured: Sequence[Measured]) -> int:
    """How many fits `fit_model` makes: one without each network, and one without each family."""
    return len({one.network for one in measured}) + len({one.family for one in measured})


def fit_model(measured: Sequence[Measured], source: str, advance: Advance = unwatched) -> LatencyModel:
    """The model of these networks, with the errors of estimates without each network and without each family."""
    figures = Figures.of(measured)
    found = fit(figures)
    unseen = left_out(figures, [one.network for one in measured], advance)
    family = left_out(figures, [one.family for one in measured], advance)
    return LatencyModel(
        source=source,
        prices={width: _rounded(found.prices[index]) for index, width in enumerate(WIDTHS)},
        speeds=_speeds(figures.chips, found.speeds),
        measured=[
            one.model_copy(update={"unseen": _named(figures.chips, near), "family_unseen": _named(figures.chips, far)})
            for one, near, far in zip(measured, unseen, family, strict=True)
        ],
    )


def _speeds(chips: Sequence[str], speeds: Array) -> dict[str, dict[Width, list[float]]]:
    return {
        chip: {width: _rounded(speeds[row, index]) for index, width in enumerate(WIDTHS) if speeds[row, index, 0] > 0}
        for row, chip in enumerate(chips)
    }


def _named(chips: Sequence[str], errors: Array) -> dict[str, float]:
    return {chip: round(float(error), 3) for chip, error in zip(chips, errors, strict=True) if np.isfinite(error)}


def _rounded(values: Array) -> list[float]:
    return [float(f"{value:.4g}") for value in values]

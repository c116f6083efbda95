"""Milliseconds of a graph on SoCs, each with an interval that 8 of 10 measurements fall into, or a reason for none."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snpe_tools.core.errors import UsageError
from snpe_tools.core.precision import NARROW_BITS, Precision
from snpe_tools.core.socs import BY_NAME, Soc
from snpe_tools.estimation.chips import REFERENCE, measured_as, require_measured
from snpe_tools.estimation.features import FEATURES, WIDTHS, Array, features, vector, width_of
from snpe_tools.estimation.intervals import UNUSABLE, error_factor, transfer_factor
from snpe_tools.estimation.latency_model import LatencyModel
from snpe_tools.estimation.likeness import Witness, is_far, witnesses
from snpe_tools.estimation.work import Width, Work

_MOST_UNKNOWN = 0.1
"""Share of what is read and written by operations without a cost model, above which there is no estimate."""
_SHOWN = 5
_BEYOND = 2.0
"""How far from the fastest and the slowest measured network an estimate may be, as a factor."""
_BOUNDS = {
    "multiply-accumulates": ("matrix", "depthwise"),
    "element-wise operations": ("elementwise", "normalization"),
    "moving data": ("movement",),
    "memory": ("weights", "overflow"),
    "number of operations": ("start", "operations"),
}
"""What bounds an estimate, in words, and the features behind each."""


@dataclass(frozen=True)
class Costly:
    """Operations of one type: how many, and their milliseconds together."""

    type: str
    count: int
    milliseconds: float


@dataclass(frozen=True)
class Estimate:
    """One SoC in one precision.

    Attributes:
        milliseconds: of one inference; None where there is a refusal.
        low, high: of 10 such networks that the model never saw, 8 were measured between.
        bound_by: shares of the milliseconds, largest first.
        refusal: why there is no number.
        measured: whether this is the user's own measurement.
    """

    soc: str
    product: str
    precision: str
    milliseconds: float | None
    low: float | None
    high: float | None
    bound_by: Mapping[str, float]
    refusal: str = ""
    measured: bool = False


@dataclass(frozen=True)
class Estimates:
    """A model's estimates.

    Attributes:
        rows: one for each precision and SoC.
        costly: the types of operations that take longest, on the first SoC that has a number.
        uncosted: operations without a cost model by type; they count as element-wise.
        uncosted_share: of the bytes that all operations read and write.
        witnesses: measured networks that are made up alike, nearest first.
        source: where the figures behind it were published.
    """

    rows: tuple[Estimate, ...]
    costly: tuple[Costly, ...]
    uncosted: Mapping[str, int]
    uncosted_share: float
    witnesses: tuple[Witness, ...]
    source: str


def estimate(
    works: Sequence[Work],
    model: LatencyModel,
    socs: Sequence[Soc],
    precisions: Sequence[Precision | None] = (None,),
    measured: Mapping[Soc, float] | None = None,
) -> Estimates:
    """Estimates of a graph whose work is known.

    Args:
        precisions: what to compute in; None is as the file has it.
        measured: milliseconds of this very graph on some SoC, from which those on all others follow.

    Raises:
        UsageError: a SoC without published figures, an empty graph, or a measurement that cannot be used.
    """
    require_measured([*socs, *(measured or {})])
    if not works:
        raise UsageError("The graph holds no operation that takes time.", "Pass a DLC with a graph.")
    if measured and len(precisions) > 1:
        raise UsageError("A measurement belongs to one precision.", "Name one: --precision w8a16.")
    if any(precision and precision.mixed for precision in precisions):
        raise UsageError("Which operations are mixed is known once the model is built.", "Pass the mixed DLC itself.")
    rows: list[Estimate] = []
    for precision in precisions:
        rows += _Table(works, model, precision, measured or {}).rows(socs)
    first = next((row for row in rows if row.milliseconds is not None), None)
    chip = first.soc if first else REFERENCE
    return Estimates(
        rows=tuple(rows),
        costly=_costly(works, model, _chip(chip), precisions[0]),
        uncosted=dict(Counter(work.type for work in works if work.kind == "unknown").most_common()),
        uncosted_share=_uncosted_share(works),
        witnesses=tuple(witnesses(model, features(works, precisions[0]), _chip(chip))),
        source=model.source,
    )


class _Table:
    """The rows of one precision."""

    def __init__(
        self, works: Sequence[Work], model: LatencyModel, precision: Precision | None, measured: Mapping[Soc, float]
    ) -> None:
        self.model, self.amounts = model, features(works, precision)
        self.widths: list[Width] = [width for index, width in enumerate(WIDTHS) if self.amounts[index].any()]
        self.name = str(precision) if precision else _name_of(self.amounts)
        self.main = max(self.widths, key=lambda width: self.amounts[WIDTHS.index(width), FEATURES.index("operations")])
        self.uncosted, self.wide = _uncosted_share(works), _wide_weights(works, precision)
        self.measured = {measured_as(soc): figure for soc, figure in measured.items()}

    def rows(self, socs: Sequence[Soc]) -> list[Estimate]:
        return [self._row(soc) for soc in socs]

    def _row(self, soc: Soc) -> Estimate:
        chip = measured_as(soc)
        if refusal := self._refusal(soc, chip):
            return Estimate(soc.name, soc.marketing, self.name, None, None, None, {}, refusal)
        parts = self.model.parts(self.amounts, chip)
        bounds = _bounds(parts)
        if chip in self.measured:
            own = self.measured[chip]
            return Estimate(soc.name, soc.marketing, self.name, own, own, own, bounds, measured=True)
        if refusal := _out_of_range(self.model, chip, self.main, float(parts.sum())):
            return Estimate(soc.name, soc.marketing, self.name, None, None, None, {}, refusal)
        middle, factor = self._middle(chip, float(parts.sum()))
        if factor > UNUSABLE:
            why = f"{factor:.1f} times too much or too little is possible, more than a factor of {UNUSABLE:g}"
            return Estimate(soc.name, soc.marketing, self.name, None, None, None, {}, why)
        return Estimate(soc.name, soc.marketing, self.name, middle, middle / factor, middle * factor, bounds)

    def _middle(self, chip: str, milliseconds: float) -> tuple[float, float]:
        """The estimate and its error as a factor; with measurements, scaled by how far they are from their own."""
        if not self.measured:
            return milliseconds, error_factor(self.model, chip, self.main, far=is_far(self.model, self.amounts))
        usable = {known: own for known, own in self.measured.items() if not self._unknown_width(known)}
        if not usable:
            raise UsageError(
                f"{', '.join(self.measured)}: this precision was not measured there, so nothing follows from it.",
                "Measure on another SoC, or leave --measured out.",
            )
        offs = [math.log(own / float(self.model.parts(self.amounts, known).sum())) for known, own in usable.items()]
        factor = transfer_factor(self.model, list(usable), chip, self.main)
        return milliseconds * math.exp(float(np.mean(offs))), factor

    def _unknown_width(self, chip: str) -> str:
        missing = [width for width in self.widths if not self.model.knows(chip, width)]
        return _WORDS[missing[0]] if missing else ""

    def _refusal(self, soc: Soc, chip: str) -> str:
        if "fp16" in self.widths and not soc.compiles_float:
            return f"it has float operations, and the HTP of {soc} computes no float"
        if missing := self._unknown_width(chip):
            return f"too few networks with {missing} are published for {soc}"
        if self.wide:
            return "no network with 16-bit integer weights is published"
        if self.uncosted > _MOST_UNKNOWN:
            return f"{100 * self.uncosted:.0f} % of the data goes through operations that have no cost model"
        return ""


def _out_of_range(model: LatencyModel, chip: str, width: Width, milliseconds: float) -> str:
    """Why an estimate is too far from everything that was measured; "" where it is not."""
    figures = [one.milliseconds[chip] for one in model.measured if one.width == width and chip in one.milliseconds]
    shortest, longest = min(figures, default=0.0), max(figures, default=math.inf)
    if milliseconds < shortest / _BEYOND:
        return f"it is much smaller than every measured network, the fastest of which takes {shortest:.2g} ms"
    if milliseconds > longest * _BEYOND:
        return f"it is much larger than every measured network, the slowest of which takes {longest:.0f} ms"
    return ""


_WORDS: dict[Width, str] = {"fp16": "float operations", "a16": "16-bit activations", "a8": "8-bit activations"}


def _chip(soc: str) -> str:
    return measured_as(BY_NAME[soc])


def _name_of(amounts: Array) -> str:
    """Words for the precision of a file: "fp16", "8-bit", "16-bit with 4 % 8-bit"."""
    names: dict[Width, str] = {"fp16": "fp16", "a16": "16-bit", "a8": "8-bit"}
    counts = amounts[:, FEATURES.index("operations")]
    shares = {names[width]: float(count) for width, count in zip(WIDTHS, counts / counts.sum(), strict=True) if count}
    main = max(shares, key=lambda name: shares[name])
    rest = [f"{100 * share:.0f} % {name}" for name, share in shares.items() if name != main and share >= 0.01]  # noqa: PLR2004
    return f"{main} with {' and '.join(rest)}" if rest else main


def _bounds(parts: Array) -> dict[str, float]:
    total = float(parts.sum())
    found = {
        name: float(sum(parts[:, FEATURES.index(column)].sum() for column in columns)) / total
        for name, columns in _BOUNDS.items()
    }
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _wide_weights(works: Sequence[Work], precision: Precision | None) -> bool:
    """Whether integer maths reads weights of more than 8 bits."""
    if precision is not None:
        return precision.weights > NARROW_BITS
    large = [work for work in works if work.kind in {"matrix", "depthwise"} and work.width != "fp16" and work.weights]
    return any(work.weight_bits > NARROW_BITS for work in large)


def _uncosted_share(works: Sequence[Work]) -> float:
    total = sum(work.plain_elements for work in works)
    return sum(work.plain_elements for work in works if work.kind == "unknown") / max(1, total)


def _costly(works: Sequence[Work], model: LatencyModel, chip: str, precision: Precision | None) -> tuple[Costly, ...]:
    """The types of operations that take longest; () where a width has no price on this chip."""
    times, counts = Counter[str](), Counter[str]()
    for work in works:
        width: Width = work.width if precision is None else width_of(precision)
        if not model.knows(chip, width):
            return ()
        times[work.type] += float(vector(work, precision) @ model.prices_on(chip, width))  # type: ignore[assignment]
        counts[work.type] += 1
    return tuple(Costly(name, counts[name], float(time)) for name, time in times.most_common(_SHOWN))

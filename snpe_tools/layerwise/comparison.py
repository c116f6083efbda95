"""All matched tensors of two models on the same inferences, a group of tensors at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from snpe_tools.core.errors import UsageError
from snpe_tools.core.progress import progress
from snpe_tools.layerwise.causes import Known, likely_cause
from snpe_tools.layerwise.figures import Figures
from snpe_tools.layerwise.layer import Grid, Reader, Source
from snpe_tools.layerwise.match import Matching, Pair, match

DEFAULT_THRESHOLD_DB = 20.0
"""Error energy of 1 % of the signal's: about a tenth of the typical value."""
GROUP_BYTES = 128 << 20
"""Tensors of one model that are held at once, in float32."""


@dataclass(frozen=True)
class LayerDifference:
    """How far one tensor of B is from A's, over all inferences.

    Attributes:
        tensor: the name both share; `first` and `second` are its names in A and in B.
        op: type of the node that writes it, in A; `node` its name.
        cosine, sqnr_db, largest, mean, equal, not_finite: as in `snpe_tools.steps.compare.Difference`.
        low, high, rms: of A's values.
        grid: B's encoding.
        outside: share of A's values that the encoding cannot hold, percent.
        input_db: SQNR of the worst tensor that the op reads; None where those that were compared are equal.
        inputs_compared: whether all tensors that the op reads are the model's inputs, or were compared.
        added: noise that this op adds, as a share of its output's energy: 0.01 is 20 dB.
        cause: the likely one, in words.
    """

    tensor: str
    first: str
    second: str
    op: str
    node: str
    shape: tuple[int, ...]
    cosine: float
    sqnr_db: float | None
    largest: float
    mean: float
    equal: float
    not_finite: tuple[int, int]
    low: float
    high: float
    rms: float
    grid: Grid | None
    outside: float
    input_db: float | None
    inputs_compared: bool
    added: float
    cause: str

    def diverges(self, threshold_db: float) -> bool:
        """Whether B is worse than `threshold_db` here, or not finite where A is."""
        if self.not_finite[1] > self.not_finite[0]:
            return True
        return self.sqnr_db is not None and math.isfinite(self.sqnr_db) and self.sqnr_db < threshold_db


@dataclass(frozen=True)
class LayerComparison:
    """Two models tensor by tensor.

    Attributes:
        first, second: file names; `runtimes` says what computed them.
        inferences: how many.
        layers: in A's order of execution.
        diverged: the first tensor that diverges, "" when none does.
        renamed, moved: how many of `layers` have another name, or their axes in another order, in B.
        reshaped, first_only, second_only: what could not be matched; see `Matching`.
    """

    first: str
    second: str
    runtimes: tuple[str, str]
    inferences: int
    threshold_db: float
    layers: tuple[LayerDifference, ...]
    diverged: str
    renamed: int
    moved: int
    reshaped: tuple[str, ...]
    first_only: tuple[str, ...]
    second_only: tuple[str, ...]

    def worst(self, count: int) -> list[LayerDifference]:
        """The ops that add most noise, the worst first."""
        ranked = sorted(self.layers, key=lambda layer: (-sum(layer.not_finite), -layer.added))
        return [layer for layer in ranked if layer.added > 0 or layer.not_finite[1]][:count]

    def verdict(self) -> str:
        """The first operation that diverges, or that none does, in a sentence."""
        row = next((row for row in self.layers if row.tensor == self.diverged), None) if self.diverged else None
        if row is None:
            return f"No op diverges: every tensor that was matched keeps {self.threshold_db:g} dB or more."
        bad = f", {row.not_finite[1]} NaN/Inf" if row.not_finite[1] else ""
        figure = "equal" if row.sqnr_db is None else f"{row.sqnr_db:.1f}"
        return (
            f"The first op that diverges (below {self.threshold_db:g} dB): {row.op} {row.node}, {row.shape}, "
            f"{figure} dB, range [{row.low:.4g}, {row.high:.4g}]{bad}: {row.cause}."
        )


def compare_sources(
    first: Source, second: Source, inferences: int, *, threshold_db: float = DEFAULT_THRESHOLD_DB
) -> LayerComparison:
    """Compare every tensor that both models have.

    Raises:
        UsageError: there is none.
        SnpeToolsError: a model does not run.
    """
    matching = match(first, second)
    if not matching.pairs:
        raise UsageError(f"{first.name} and {second.name} have no tensor in common.", "Are they of the same model?")
    rows = _rows(matching, _figures(matching.pairs, first, second, inferences))
    return LayerComparison(
        first=first.name,
        second=second.name,
        runtimes=(first.kind, second.kind),
        inferences=inferences,
        threshold_db=threshold_db,
        layers=tuple(rows),
        diverged=next((row.tensor for row in rows if row.diverges(threshold_db)), ""),
        renamed=matching.renamed,
        moved=matching.moved,
        reshaped=matching.reshaped,
        first_only=matching.first_only,
        second_only=matching.second_only,
    )


def _figures(pairs: Sequence[Pair], first: Source, second: Source, inferences: int) -> list[Figures]:
    figures = {pair.one.key: Figures(pair.other.grid) for pair in pairs}
    names = [pair.one.name for pair in pairs], [pair.other.name for pair in pairs]
    with (
        first.run(names[0]) as read_first,
        second.run(names[1]) as read_second,
        progress("comparing tensors", len(pairs) * inferences) as advance,
    ):
        for group in groups(pairs):
            for index in range(inferences):
                _add(figures, group, read_first, read_second, index)
                advance(len(group))
    return list(figures.values())


def groups(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """Consecutive pairs whose tensors together stay below `GROUP_BYTES`."""
    group: list[Pair] = []
    held = 0
    for pair in pairs:
        size = 4 * pair.one.elements
        if group and held + size > GROUP_BYTES:
            yield group
            group, held = [], 0
        group.append(pair)
        held += size
    if group:
        yield group


def _add(figures: dict[str, Figures], group: Sequence[Pair], first: Reader, second: Reader, index: int) -> None:
    wanted = first([pair.one.name for pair in group], index)
    got = second([pair.other.name for pair in group], index)
    for pair in group:
        figures[pair.one.key].add(wanted[pair.one.name], pair.aligned(got[pair.other.name]))


def _rows(matching: Matching, figures: Sequence[Figures]) -> list[LayerDifference]:
    known = {pair.one.key: (pair.other, found) for pair, found in zip(matching.pairs, figures, strict=True)}
    return [_row(pair, known[pair.one.key][1], known) for pair in matching.pairs]


def _row(pair: Pair, found: Figures, known: Known) -> LayerDifference:
    one, other = pair.one, pair.other
    noises = [_noise(known[name][1]) for name in one.inputs if name in known]
    worst = max(noises, default=0.0)
    row = LayerDifference(
        tensor=one.key,
        first=one.name,
        second=other.name,
        op=one.op,
        node=one.node,
        shape=one.shape,
        cosine=found.cosine,
        sqnr_db=found.sqnr_db,
        largest=found.largest,
        mean=found.absolute / found.count if found.count else math.nan,
        equal=found.share(found.equal),
        not_finite=found.not_finite,
        low=found.low,
        high=found.high,
        rms=found.rms,
        grid=other.grid,
        outside=found.share(found.outside),
        input_db=-10 * math.log10(worst) if worst else None,
        inputs_compared=len(noises) == len(one.inputs),
        added=max(0.0, _noise(found) - worst),
        cause="",
    )
    # The op of A and the constants of B: converters rename ops, and quantize weights.
    bits = 0 if one.weight_bits == other.weight_bits else other.weight_bits
    judged = replace(other, op=one.op, inputs=one.inputs, weight_bits=bits)
    return replace(row, cause=likely_cause(judged, found, known))


def _noise(found: Figures) -> float:
    """Energy of the difference over A's; 1 where A is all zero and B is not."""
    if not found.noise:
        return 0.0
    return found.noise / found.signal if found.signal else 1.0

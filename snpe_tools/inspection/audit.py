"""Which of the encodings that were asked for a DLC really has."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from snpe_tools.dlc.model import Dlc
from snpe_tools.inspection.aimet import AimetEncoding, encodings_of, plain_name, plain_weight_name

Verdict = Literal["applied", "changed", "ignored"]
_DECORATIONS = ("{}", "{}_q", "QcQuantizeOp_{}_q", "{}_quantized", "{}_QuantizeLinear_Output")
"""Names that converters give the quantized copy of a tensor; the plain name comes first."""
_RELATIVE = 1e-5
"""Scales are float32 in a DLC and decimal in the file."""


@dataclass(frozen=True)
class Audited:
    """What became of one encoding.

    Attributes:
        name: the tensor in the encodings file.
        tensor: the tensor of the DLC that carries it, "" when there is none.
        why: how it differs, or why it was ignored.
    """

    name: str
    verdict: Verdict
    tensor: str = ""
    why: str = ""


@dataclass(frozen=True)
class Audit:
    """What became of every encoding asked for.

    Attributes:
        rows: one for each entry of the encodings file, ignored ones first, then changed ones.
        unasked: tensors of the DLC with an encoding that no entry asks for.
    """

    rows: tuple[Audited, ...]
    unasked: tuple[str, ...]

    def counts(self) -> dict[Verdict, int]:
        """Entries by verdict."""
        verdicts: tuple[Verdict, ...] = ("applied", "changed", "ignored")
        return {verdict: sum(row.verdict == verdict for row in self.rows) for verdict in verdicts}


def audit(dlc: Dlc, asked: list[AimetEncoding]) -> Audit:
    """Compare the encodings of a DLC with those that were asked for."""
    present = {row.name: row for row in encodings_of(dlc)}
    tensors = {name for graph in dlc.graphs for name in graph.tensors}
    turned = _turned(present.values())
    rows = [_judge(entry, present, tensors, turned) for entry in asked]
    order = ("ignored", "changed", "applied")
    taken = {row.tensor for row in rows} | {name for row in rows for name in turned.get(row.name, ())}
    unasked = tuple(name for name in present if name not in taken)
    return Audit(tuple(sorted(rows, key=lambda row: order.index(row.verdict))), unasked)


def _turned(present: Iterable[AimetEncoding]) -> dict[str, list[str]]:
    """Copies of weights whose axes the converter exchanged, by the name of the weight."""
    found: dict[str, list[str]] = {}
    for row in present:
        if row.is_parameter and (plain := plain_weight_name(row.name)) != plain_name(row.name):
            found.setdefault(plain, []).append(row.name)
    return found


def _judge(
    entry: AimetEncoding, present: Mapping[str, AimetEncoding], tensors: set[str], turned: Mapping[str, list[str]]
) -> Audited:
    names = [*(decoration.format(entry.name) for decoration in _DECORATIONS), *turned.get(entry.name, ())]
    tensor = next((name for name in names if name in present), "")
    if not tensor:
        known = next((name for name in names if name in tensors), "")
        if known and entry.is_float:
            return Audited(entry.name, "applied", known)
        why = "the tensor has no encoding" if known else "the DLC has no such tensor"
        return Audited(entry.name, "ignored", known, why)
    changes = "; ".join(_changes(entry, present[tensor]))
    return Audited(entry.name, "changed" if changes else "applied", tensor, changes)


def _changes(asked: AimetEncoding, found: AimetEncoding) -> Iterator[str]:
    if asked.is_float:
        yield f"float {asked.bits} → {found.bits}-bit integers"
        return
    if asked.bits != found.bits:
        yield f"{asked.bits} → {found.bits} bits"
    if len(asked.scales) != len(found.scales):
        yield f"{len(asked.scales)} → {len(found.scales)} scales"
        return
    rows = list(zip(asked.scales, found.scales, strict=True))
    moved = [row for row in rows if not math.isclose(*row, rel_tol=_RELATIVE)]
    if moved:
        worst = max(moved, key=lambda row: abs(math.log((abs(row[0]) or 1e-45) / (abs(row[1]) or 1e-45))))
        yield f"scale {worst[0]:.6g} → {worst[1]:.6g}" + (f" and {len(moved) - 1} more" if len(moved) > 1 else "")
    if asked.offsets != found.offsets:
        first = next(row for row in zip(asked.offsets, found.offsets, strict=True) if row[0] != row[1])
        yield f"offset {first[0]} → {first[1]}"

"""What a plan does to a float graph, and to the ranges observed on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snpe_tools.core.tensor_spec import Array
from snpe_tools.graph.ranges import Ranges
from snpe_tools.graph.scales import fold_scales
from snpe_tools.quantization.operations import Operation, select
from snpe_tools.quantization.plan import Plan
from snpe_tools.quantization.simulator import Simulator

if TYPE_CHECKING:
    import onnx


def prepared(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    """A copy of the float graph as it is quantized: it computes the same."""
    copy = type(model)()
    copy.CopyFrom(model)
    while plan.fold_scales and fold_scales(copy):  # a factor may stand before another
        pass
    return copy


def adjusted(
    ranges: Ranges, plan: Plan, operations: Sequence[Operation], floors: Mapping[str, float] | None = None
) -> Ranges:
    """The ranges that a plan wants.

    Args:
        ranges: as observed on the prepared graph.
        operations: of that graph.
        floors: of attention scores, see `score_floors`.

    Raises:
        RecipeError: the plan names an operation that the graph does not have.
    """
    found = ranges.as_dict()
    for tensor, floor in (floors or {}).items():
        low, high = found[tensor]
        found[tensor] = (max(low, min(floor, high)), high)
    for name, (kept_low, kept_high) in plan.clip.items():
        for operation in select(operations, [name]):
            if operation.tensor in found:
                low, high = found[operation.tensor]
                found[operation.tensor] = (low * kept_low, high * kept_high)
    return Ranges.from_dict(found, ranges.windows)


@dataclass(frozen=True)
class Layout:
    """The width and the range of every activation.

    What has 16 bits spans all that was observed: only its readers of 8 bits, behind a Convert, see a narrower range.

    Attributes:
        wide: tensors of 16 bits.
        ranges: of all tensors.
        narrow: (low, high) that 8 bits shall span, by wide tensor.
    """

    wide: tuple[str, ...]
    ranges: Ranges
    narrow: Mapping[str, tuple[float, float]]

    def apply(self, simulator: Simulator, constants: Mapping[str, Array]) -> None:
        """Set all encodings of a simulator; `constants`: float constants of its model."""
        simulator.widen(self.wide, self.narrow)
        simulator.calibrate_from_ranges(self.ranges, constants)


def lay_out(operations: Sequence[Operation], plan: Plan, ranges: Ranges, floors: Mapping[str, float]) -> Layout:
    """What a plan wants of a graph with these operations.

    Args:
        ranges, floors: observed on the prepared graph.

    Raises:
        RecipeError: the plan names an operation that the graph does not have.
    """
    observed, wanted = ranges.as_dict(), adjusted(ranges, plan, operations, floors).as_dict()
    wide = wide_tensors(operations, plan)
    final = wanted | {tensor: observed[tensor] for tensor in wide if tensor in observed}
    narrow = {tensor: wanted[tensor] for tensor in wide if tensor in observed}
    return Layout(tuple(wide), Ranges.from_dict(final, ranges.windows), narrow)


def wide_tensors(operations: Sequence[Operation], plan: Plan) -> list[str]:
    """The tensors that get 16 bits.

    Raises:
        RecipeError: the plan names an operation that the graph does not have.
    """
    return [operation.tensor for operation in select(operations, plan.wide)]

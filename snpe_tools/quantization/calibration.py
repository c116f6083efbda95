"""How a simulator gets its encodings: the inferences of an input list, observed ranges, a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.core.errors import UsageError
from snpe_tools.core.precision import NARROW_BITS
from snpe_tools.core.progress import progress, warn
from snpe_tools.core.raw_files import InputList, check_list, named, read_inputs
from snpe_tools.core.tensor_spec import Array
from snpe_tools.graph.fingerprint import weights_fingerprint
from snpe_tools.graph.loading import constant_tensors, input_specs
from snpe_tools.graph.mask import find_mask_constants
from snpe_tools.graph.ranges import Ranges, collect_ranges
from snpe_tools.graph.ranges_file import warn_outside_fp16
from snpe_tools.quantization.mixing import lay_out, wide_tensors
from snpe_tools.quantization.norm_offsets import settle_norm_offsets
from snpe_tools.quantization.padding import with_padding
from snpe_tools.quantization.plan import Plan
from snpe_tools.quantization.score_floor import score_floors
from snpe_tools.quantization.simulator import QuantizationOptions, Simulator

if TYPE_CHECKING:
    import onnx

FLOOR_WINDOWS = 16


Calibrate = Callable[[Simulator, "onnx.ModelProto"], None]
"""Calibrates a simulator of a model."""


def checked_plan(options: QuantizationOptions) -> Plan:
    """The plan, an empty one where there is none.

    Raises:
        UsageError: it does not fit the precision or the method, or a mixed precision has none.
    """
    plan, precision = options.plan or Plan(), options.precision
    if precision.mixed and not options.plan:
        raise UsageError(f"{precision} needs a plan.", "Pass --plan FILE.")
    if options.plan and not precision.takes_plan:
        raise UsageError(f"{precision} takes no plan.", "Pass --plan with --precision w8a8 or w8a8-mixed.")
    if plan.wide and not precision.mixed:
        raise UsageError(
            f"The plan has operations in 16 bits; {precision} has none.", "Pass it with --precision w8a8-mixed."
        )
    if options.method != "min-max" and (plan.clip or plan.score_floor):
        raise UsageError(
            f"The plan sets ranges of its own, which the method {options.method!r} would not keep.",
            "Use METHOD=min-max (--method), or take clip and score_floor out of the plan.",
        )
    return plan


def warn_of_other_weights(model: onnx.ModelProto, plan: Plan) -> None:
    """Say so where a plan's ranges were found for other weights than the model's."""
    if plan.clip and plan.weights and plan.weights != weights_fingerprint(model):
        warn("the plan's ranges were found for other weights; `snpe-tools tune` finds those of these.")


def lint_constants(model: onnx.ModelProto) -> None:
    """Warn of constants that ruin the ranges of what they are added to."""
    for constant in find_mask_constants(model):
        warn(f"{constant}: such a constant ruins 8- and 16-bit ranges; `snpe-tools export` replaces it.")


def simulate(
    model: onnx.ModelProto, options: QuantizationOptions, calibrate: Calibrate
) -> tuple[Simulator, onnx.ModelProto]:
    """A calibrated simulator, and the float graph that it quantizes: the model, with offsets as the HTP adds them.

    Where none is changed, the graph is the model itself; else both are calibrated.
    """
    simulator = Simulator(model, options)
    calibrate(simulator, model)
    settled = type(model)()
    settled.CopyFrom(model)
    if not settle_norm_offsets(settled, simulator.steps(NARROW_BITS)):
        return simulator, model
    simulator = Simulator(settled, options)
    calibrate(simulator, settled)
    return simulator, settled


def calibrator(options: QuantizationOptions, calibration: Calibration, ranges: Ranges | None) -> Calibrate:
    """How to calibrate by the options' method; for min-max all is observed once, however many are calibrated."""
    plan = options.plan or Plan()
    if options.method != "min-max":
        return partial(_calibrate_on, calibration, plan)

    @cache
    def observed() -> tuple[Ranges, Mapping[str, float]]:
        found = ranges or calibration.observe()
        if ranges is None:
            warn_outside_fp16(found)
        return found, calibration.score_floors() if plan.score_floor else {}

    def calibrate(simulator: Simulator, model: onnx.ModelProto) -> None:
        found, floors = observed()
        layout = lay_out(simulator.operations, plan, with_padding(found, model), floors)
        layout.apply(simulator, constants(model))

    return calibrate


def _calibrate_on(calibration: Calibration, plan: Plan, simulator: Simulator, _: onnx.ModelProto) -> None:
    """By AIMET's own pass."""
    simulator.widen(wide_tensors(simulator.operations, plan))
    with progress(f"calibrating ({simulator.options.method})", len(calibration)) as advance:
        simulator.calibrate(calibration.windows(), advance)


class Calibration:
    """The inferences of an input list, read one at a time.

    Args:
        aliases: names in the list of tensors that are called otherwise in the model, by the name there.
    """

    def __init__(
        self, model: onnx.ModelProto, inputs: InputList, *, native: bool, aliases: Mapping[str, str] | None = None
    ) -> None:
        self._model, self._inputs, self._native = model, inputs, native
        named_so = aliases or {}
        self._specs = [replace(spec, name=named_so.get(spec.name, spec.name)) for spec in input_specs(model)]
        self._inner = {name: alias for alias, name in named_so.items()}
        check_list(inputs, self._specs, native=native)

    def __len__(self) -> int:
        return len(self._inputs.lines)

    def windows(self) -> Iterator[Mapping[str, Array]]:
        """Inputs by name, in the model's own types."""
        for index, line in enumerate(self._inputs.lines):
            files = named(line, self._specs, self._inputs.path, index)
            arrays = read_inputs(files, self._specs, native=self._native)
            yield {self._inner.get(name, name): array for name, array in arrays.items()}

    def observe(self) -> Ranges:
        """Ranges over all inferences."""
        with progress("observing ranges", len(self)) as advance:
            return collect_ranges(self._model, self.windows(), advance)

    def score_floors(self) -> dict[str, float]:
        """Where the ranges of attention scores may end, from the first inferences."""
        count = min(len(self), FLOOR_WINDOWS)
        with progress("observing attention scores", count) as advance:
            return score_floors(self._model, islice(self.windows(), count), advance)


def constants(model: onnx.ModelProto) -> dict[str, Array]:
    """Float constants of the graph by tensor name."""
    from onnx import numpy_helper

    arrays = {name: numpy_helper.to_array(tensor) for name, tensor in constant_tensors(model)}
    return {name: array for name, array in arrays.items() if array.dtype == np.float32}

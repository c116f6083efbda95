"""The model that is searched on: the same graph for shorter windows, quantized by AIMET as the real one."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.core.sqnr import sqnr_db
from snpe_tools.core.tensor_spec import Array
from snpe_tools.execution.onnx_cpu import parallel
from snpe_tools.graph.dequantized import dequantize_constants
from snpe_tools.graph.loading import infer_types, input_specs
from snpe_tools.graph.ranges import Ranges
from snpe_tools.graph.session import plain_session
from snpe_tools.quantization.calibration import constants
from snpe_tools.quantization.mixing import lay_out, wide_tensors
from snpe_tools.quantization.plan import Plan
from snpe_tools.quantization.simulator import QuantizationOptions, Simulator
from snpe_tools.tasks import Batch, Outputs, Task
from snpe_tools.tasks.batch import FloatArray
from snpe_tools.tasks.metric import Floats
from snpe_tools.tuning.trial import Trial

if TYPE_CHECKING:
    import onnx

_CONVERT = "_as_uint"


@dataclass(frozen=True)
class Variant:
    """A float graph to quantize, and what was observed on it."""

    model: onnx.ModelProto
    ranges: Ranges
    floors: Mapping[str, float]


class Candidate:
    """One variant in AIMET's simulator; every plan on it changes encodings only."""

    def __init__(self, variant: Variant, options: QuantizationOptions) -> None:
        self.variant = variant
        self.simulator = Simulator(variant.model, options)
        self.operations = self.simulator.operations

    def quantized(self, plan: Plan) -> onnx.ModelProto:
        """The QDQ model of a plan."""
        floors = self.variant.floors if plan.score_floor else {}
        lay_out(self.operations, plan, self.variant.ranges, floors).apply(self.simulator, constants(self.variant.model))
        return self.simulator.qdq_model()

    @cached_property
    def macs(self) -> dict[str, int]:
        """Multiply-accumulates of each matrix product, by the tensor it writes."""
        shapes = _shapes(self.variant.model)
        found = {}
        for node in self.variant.model.graph.node:
            if node.op_type in {"Gemm", "MatMul"}:
                left = shapes[node.input[0]]
                turned = any(entry.name == "transA" and entry.i for entry in node.attribute)
                found[node.output[0]] = math.prod(shapes[node.output[0]]) * left[-2 if turned else -1]
        return found

    def wide_macs(self, plan: Plan) -> float:
        """Share of multiply-accumulates that are computed in 16 bits, percent."""
        wide = set(wide_tensors(self.operations, plan))
        total = sum(self.macs.values())
        return 100 * sum(count for name, count in self.macs.items() if name in wide) / total if total else 0.0

    def wide_share(self, plan: Plan) -> float:
        """Share of activation tensors that have 16 bits, percent."""
        return 100 * len(wide_tensors(self.operations, plan)) / len(self.operations)


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    graph = infer_types(model).graph
    return {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
    }


class Judge:
    """Asks the search examples, and compares with the float model's predictions."""

    def __init__(self, model: onnx.ModelProto, batch: Batch, task: Task) -> None:
        self.batch, self._task = batch, task
        self._names = [spec.name for spec in input_specs(model)]
        self._float = self._outputs(model)
        self._wanted = self._expected(self._float)
        predictions = task.predict(self._float, batch)
        self.predictions = [prediction.text for prediction in predictions]
        self.score = task.score(batch, predictions).value

    def inputs(self, row: int) -> dict[str, Array]:
        """The model's inputs of one inference."""
        return self.batch.inputs(slice(row, row + 1), self._names)

    def judge(self, label: str, candidate: Candidate, plan: Plan) -> Trial:
        """Score a plan."""
        started = time.perf_counter()
        model = candidate.quantized(plan)
        size = model.ByteSize()
        converts = sum(node.op_type == "QuantizeLinear" and _CONVERT in node.output[0] for node in model.graph.node)
        dequantize_constants(model)
        outputs = self._outputs(model)
        predictions = self._task.predict(outputs, self.batch)
        same = [one.text == other for one, other in zip(predictions, self.predictions, strict=True)]
        return Trial(
            label=label,
            plan=plan,
            score=self._task.score(self.batch, predictions).value,
            drop=float(np.mean(self._wanted - self._expected(outputs))),
            same=100 * float(np.mean(same)),
            sqnr_db=sqnr_db(self._float.values(self.batch), outputs.values(self.batch)),
            divergence=self._task.divergence(self._float, outputs, self.batch),
            wide=candidate.wide_share(plan),
            bytes=size,
            wide_macs=candidate.wide_macs(plan),
            converts=converts,
            seconds=time.perf_counter() - started,
        )

    def _outputs(self, model: onnx.ModelProto) -> Outputs:
        """Of a model in memory, computed node by node."""
        session, names = plain_session(model, threads=1), list(self._task.outputs)
        found: list[list[FloatArray]] = [[] for _ in range(len(self.batch))]

        def infer(row: int) -> None:
            found[row] = session.run(names, self.inputs(row))

        for _ in parallel(infer, range(len(self.batch))):
            pass
        columns = zip(*found, strict=True)
        return Outputs({name: np.concatenate(parts) for name, parts in zip(names, columns, strict=True)})

    def _expected(self, outputs: Outputs) -> Floats:
        """What each prediction is likely to score; what it scores, where the task has no smooth twin of its metric."""
        expected = self._task.expected_score(outputs, self.batch)
        if expected is not None:
            return expected
        return self._task.score(self.batch, self._task.predict(outputs, self.batch)).each

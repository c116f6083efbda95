"""The model that is searched on: the same graph for shorter windows, quantized by AIMET as the real one."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snpe_tools.core.sqnr import sqnr_db
from snpe_tools.graph.dequantized import dequantize_constants
from snpe_tools.graph.loading import infer_types, input_specs
from snpe_tools.graph.ranges import Ranges
from snpe_tools.graph.session import plain_session
from snpe_tools.quantization.calibration import constants
from snpe_tools.quantization.mixing import lay_out, wide_tensors
from snpe_tools.quantization.plan import Plan
from snpe_tools.quantization.simulator import QuantizationOptions, Simulator
from snpe_tools.tasks.question_answering.answers import FloatArray, find_answers
from snpe_tools.tasks.question_answering.features import IntArray, Windows
from snpe_tools.tasks.question_answering.inference import LOGITS, parallel
from snpe_tools.tasks.question_answering.likely import likely_f1
from snpe_tools.tasks.question_answering.metrics import evaluate, has_unanswerable
from snpe_tools.tuning.trial import Trial

if TYPE_CHECKING:
    import onnx

_CONVERT = "_as_uint"


@dataclass(frozen=True)
class Variant:
    """A float graph to quantize, what was observed on it, and the questions in windows of its length."""

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


def divergence(first: FloatArray, second: FloatArray, real: NDArray[np.bool_]) -> float:
    """Kullback-Leibler divergence, in nats, of the second logits' answers from the first's: mean over windows.

    That of the first and that of the last token are added.

    Args:
        first, second: logits (2, windows, tokens).
        real: (windows, tokens), what is no padding.
    """
    from scipy.special import log_softmax

    logs, others = (
        log_softmax(np.where(real, logits.astype(np.float64), -np.inf), axis=-1)[:, real] for logits in (first, second)
    )
    return float(np.sum(np.exp(logs) * (logs - others)) / len(real))


class Judge:
    """Asks the search questions, and compares with the float model's answers."""

    def __init__(self, model: onnx.ModelProto, windows: Windows) -> None:
        self.windows = windows
        self._names = [spec.name for spec in input_specs(model)]
        self._empty = has_unanswerable(windows.questions)
        self._float = self._logits(model)
        self._likely = self._likely_f1(self._float)
        self.answers = self._texts(self._float)
        self.f1 = evaluate(windows.questions, self.answers).f1

    def inputs(self, row: int) -> dict[str, IntArray]:
        """The model's inputs of one window."""
        return self.windows.inputs(slice(row, row + 1), self._names)

    def judge(self, label: str, candidate: Candidate, plan: Plan) -> Trial:
        """Score a plan."""
        started = time.perf_counter()
        model = candidate.quantized(plan)
        size = model.ByteSize()
        converts = sum(node.op_type == "QuantizeLinear" and _CONVERT in node.output[0] for node in model.graph.node)
        dequantize_constants(model)
        logits = self._logits(model)
        texts = self._texts(logits)
        f1 = evaluate(self.windows.questions, texts).f1
        real = self.windows.attention_mask > 0
        return Trial(
            label=label,
            plan=plan,
            f1=f1,
            drop=float(np.mean(self._likely - self._likely_f1(logits))),
            same=100 * float(np.mean([one == other for one, other in zip(texts, self.answers, strict=True)])),
            sqnr_db=sqnr_db(self._float[:, real], logits[:, real]),
            divergence=divergence(self._float, logits, real),
            wide=candidate.wide_share(plan),
            bytes=size,
            wide_macs=candidate.wide_macs(plan),
            converts=converts,
            seconds=time.perf_counter() - started,
        )

    def _logits(self, model: onnx.ModelProto) -> FloatArray:
        session = plain_session(model, threads=1)
        result = np.zeros((2, *self.windows.input_ids.shape), np.float32)

        def infer(row: int) -> None:
            result[:, row] = np.concatenate(session.run(list(LOGITS), self.inputs(row)))

        for _ in parallel(infer, range(len(self.windows))):
            pass
        return result

    def _likely_f1(self, logits: FloatArray) -> NDArray[np.float64]:
        return likely_f1(logits[0], logits[1], self.windows, may_be_empty=self._empty)

    def _texts(self, logits: FloatArray) -> list[str]:
        found = find_answers(logits[0], logits[1], self.windows, may_be_empty=self._empty)
        return [answer.text for answer in found]

"""The HTP rounds offsets of LayerNormalization to steps of the output: seen on the emulator, and mended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from snpe_tools import convert, inputs, quantize
from snpe_tools.core.precision import Precision
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import constant_tensors, load, save
from snpe_tools.graph.ranges import Ranges
from snpe_tools.graph.sharing import unshare_vectors
from snpe_tools.quantization.calibration import constants
from snpe_tools.quantization.simulator import QuantizationOptions, Simulator
from snpe_tools.quantization.writing import float_path, write_quantized
from snpe_tools.steps.compare import compare
from snpe_tools.steps.compare_layers import compare_layers
from snpe_tools.steps.quantize import observe
from snpe_tools.tasks.question_answering.squad import SHIPPED_CALIBRATION, load_questions

W8A8 = QuantizationOptions(Precision.parse("w8a8"))


def with_offsets(model: Path, target: Path) -> Path:
    """A copy of a model whose LayerNormalizations add something, as trained ones do."""
    proto, numbers = use_int32_inputs(load(model)), np.random.default_rng(0)
    unshare_vectors(proto)
    stored = dict(constant_tensors(proto))
    for node in proto.graph.node:
        if node.op_type == "LayerNormalization":
            tensor = stored[node.input[2]]
            values = 0.2 * numbers.normal(size=tensor.dims)
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    save(proto, target)
    return target


def equal_in_the_first_norm(qdq: Path, listed: Path) -> float:
    """Share of values, in percent, that the DLC computes as its QDQ model, where both read the same."""
    dlc = convert(qdq, qdq.with_suffix(".dlc")).dlc
    rows = compare_layers(qdq, dlc, listed, limit=2).layers
    return next(row.equal for row in rows if row.op == "LayerNormalization")


@pytest.mark.parametrize("family", ["bert", "distilbert", "albert", "electra"])
def test_offsets_on_whole_steps_are_added_as_the_qdq_model_adds_them(
    family: str, exported: Callable[[str], Path], tmp_path: Path
) -> None:
    model = with_offsets(exported(family), tmp_path / "m.onnx")
    questions, tokenizer = load_questions(SHIPPED_CALIBRATION)[:4], exported(family).with_suffix(".tokenizer.json")
    listed = inputs(model, questions, tokenizer, tmp_path / "raws", limit=4).list_file
    made = quantize(model, listed, tmp_path / "m.qdq.onnx", W8A8)
    settled = constants(load(float_path(made.qdq)))
    norms = [node for node in load(model).graph.node if node.op_type == "LayerNormalization"]
    before = constants(load(model))
    assert all(not np.array_equal(before[node.input[2]], settled[node.input[2]]) for node in norms)
    assert all((row.sqnr_db or 999) > 90 for row in compare(model, float_path(made.qdq), listed))
    plain = _unsettled(model, observe(model, listed), tmp_path / "plain.qdq.onnx")
    assert equal_in_the_first_norm(made.qdq, listed) > 90
    assert equal_in_the_first_norm(plain, listed) < 85


def _unsettled(model: Path, ranges: Ranges, target: Path) -> Path:
    proto = load(model)
    simulator = Simulator(proto, W8A8)
    simulator.calibrate_from_ranges(ranges, constants(proto))
    return write_quantized(simulator, target, ranges.windows).qdq

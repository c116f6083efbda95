"""Every family, from a checkpoint to logits of its DLC on the emulator, at every precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import snpe_tools.dlc as dlc_format
from snpe_tools import convert, inputs, quantize
from snpe_tools.core.precision import Precision
from snpe_tools.graph.loading import load
from snpe_tools.graph.mask import find_mask_constants
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.steps.compare import compare
from snpe_tools.tasks.question_answering.squad import SHIPPED_CALIBRATION, load_questions
from tests.integration.conftest import FAMILIES, SEQUENCE

MARGIN_DB = 4
"""The rule of microsoft/onnxruntime#16916: the HTP must be about as close to float as the QDQ model on the CPU is."""
CEILING_DB = 40
"""fp16 maths reaches about 50 dB; w16a16 about 43, since the HTP takes one side of each product in 8 bits."""


@pytest.mark.parametrize("family", FAMILIES)
def test_the_exported_graph_is_fit_for_the_npu(family: str, exported: Callable[[str], Path]) -> None:
    model = load(exported(family))
    types = {node.op_type for node in model.graph.node}
    names = [value.name for value in model.graph.input]
    assert names == ["input_ids", "attention_mask"] + (["token_type_ids"] if family != "distilbert" else [])
    assert {value.type.tensor_type.elem_type for value in model.graph.input} == {6}
    assert find_mask_constants(model) == []
    assert not types & {"Where", "Expand", "Erf", "Sign"}


@pytest.mark.parametrize("precision", ["fp16", "w8a8", "w8a16", "w16a16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_becomes_logits_of_its_dlc(
    family: str, precision: str, exported: Callable[[str], Path], tmp_path: Path
) -> None:
    model, bits = exported(family), Precision.parse(precision)
    questions = load_questions(SHIPPED_CALIBRATION)[:4]
    written = inputs(model, questions, model.with_suffix(".tokenizer.json"), tmp_path / "raws", limit=4)
    source = model
    if not bits.is_float:
        source = quantize(model, written.list_file, tmp_path / "q.qdq.onnx", QuantizationOptions(bits)).qdq
    made = convert(source, tmp_path / f"{family}.dlc")
    assert made.graph == family
    assert made.float_steps == (0 if bits.is_float else 2), "only the two outputs may leave the integers"
    with dlc_format.open(made.dlc) as opened:
        assert {(tensor.shape, tensor.dtype.name) for tensor in opened.graph.inputs} == {((1, SEQUENCE), "Int_32")}
        assert {tensor.name for tensor in opened.graph.outputs} == {"start_logits", "end_logits"}
    simulated = compare(model, source, written.list_file)
    for of_simulation, of_dlc in zip(simulated, compare(model, made.dlc, written.list_file), strict=True):
        wanted = CEILING_DB if bits.is_float else min((of_simulation.sqnr_db or 0) - MARGIN_DB, CEILING_DB)
        assert of_dlc.not_finite == (0, 0)
        assert (of_dlc.sqnr_db or 0) > wanted


def test_checkpoints_do_not_answer_all_the_same(exported: Callable[[str], Path]) -> None:
    """The comparisons above would mean nothing on constant logits."""
    from snpe_tools.execution.onnx_cpu import run_onnx
    from snpe_tools.tasks.question_answering.features import load_tokenizer, make_windows

    model = exported("bert")
    windows = make_windows(
        load_questions(SHIPPED_CALIBRATION)[:6], load_tokenizer(model.with_suffix(".tokenizer.json")), SEQUENCE
    )
    start = run_onnx(model, windows, ["start_logits"]).arrays["start_logits"]
    assert len(set(np.argmax(start, axis=1).tolist())) > 3
    assert np.ptp(start) > 0.5

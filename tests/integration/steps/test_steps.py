"""The steps on any model, one after the other, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

import snpe_tools.dlc as dlc_format
from snpe_tools import convert, doctor, prepare, quantize, run
from snpe_tools.core.errors import (
    ConversionError,
    OnnxError,
    StorageError,
    UsageError,
)
from snpe_tools.core.precision import Precision
from snpe_tools.core.raw_files import write_inputs
from snpe_tools.core.soc_names import parse_socs
from snpe_tools.core.socs import DEFAULT
from snpe_tools.execution.emulator import read_results
from snpe_tools.graph.loading import input_specs, load, save
from snpe_tools.qnn.session import Session
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.steps.compare import compare
from snpe_tools.steps.simplify import simplify
from tests.conftest import make_model
from tests.integration.steps.cnn import make_cnn

W8A16 = Precision.parse("w8a16")


def test_an_image_model_goes_all_the_way(cnn: Path, images: Path, cnn_dlc: Path, tmp_path: Path) -> None:
    prepared = prepare(cnn_dlc, tmp_path / "p.dlc", parse_socs("sm8550,sm8650,sm8750"))
    assert list(prepared.caches) == ["sm8550", "sm8650", "sm8750"]
    assert all(size > 0 for size in prepared.caches.values())
    result = run(prepared.dlc, images, tmp_path / "out")
    assert (result.inferences, result.outputs, result.not_finite) == (6, ("scores",), 0)
    found = compare(cnn, cnn_dlc, images)
    assert (found[0].sqnr_db or 0) > 30
    scores = read_results(tmp_path / "out", "scores", (1, 10), 6)
    assert np.ptp(scores) > 0


def test_preparing_keeps_graph_and_weights(cnn_dlc: Path, tmp_path: Path) -> None:
    prepare(cnn_dlc, tmp_path / "p.dlc", [DEFAULT])
    with dlc_format.open(cnn_dlc) as before, dlc_format.open(tmp_path / "p.dlc") as after:
        for name in ("model", "model.params", "model.params.bin"):
            assert bytes(before.container.data(name)) == bytes(after.container.data(name))


def test_a_dynamic_model_is_refused_and_simplify_mends_it(tmp_path: Path) -> None:
    save(make_cnn("batch"), tmp_path / "dynamic.onnx")
    with pytest.raises(OnnxError, match=r"dynamic shape \(batch,3,8,8\)"):
        convert(tmp_path / "dynamic.onnx", tmp_path / "d.dlc")
    made = simplify(tmp_path / "dynamic.onnx", tmp_path / "fixed.onnx", {"image": (1, 3, 8, 8)})
    assert made.inputs[0].shape == (1, 3, 8, 8)
    assert convert(made.onnx, tmp_path / "d.dlc").operations
    with pytest.raises(OnnxError, match="has no input 'picture'"):
        simplify(tmp_path / "dynamic.onnx", tmp_path / "x.onnx", {"picture": (1, 3, 8, 8)})


def test_outputs_of_other_shapes_cannot_be_compared(cnn: Path, images: Path, tmp_path: Path) -> None:
    other = make_cnn()
    other.graph.initializer[2].CopyFrom(numpy_helper.from_array(np.zeros((8, 4), np.float32), "w2"))
    other.graph.initializer[3].CopyFrom(numpy_helper.from_array(np.zeros(4, np.float32), "b2"))
    other.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 4
    save(other, tmp_path / "other.onnx")
    with pytest.raises(UsageError, match="cannot be compared"):
        compare(cnn, tmp_path / "other.onnx", images)


def test_sixteen_bit_weights_are_refused_for_older_socs(cnn: Path, images: Path, tmp_path: Path) -> None:
    made = quantize(cnn, images, tmp_path / "q.qdq.onnx", QuantizationOptions(Precision.parse("w16a16")))
    dlc = convert(made.qdq, tmp_path / "m.dlc").dlc
    with pytest.raises(UsageError, match=r"needs 16-bit weights of .*, which the HTP of sm8450"):
        prepare(dlc, tmp_path / "p.dlc", parse_socs("sm8450"))


def test_a_cache_is_not_compiled_twice(cnn_dlc: Path, tmp_path: Path) -> None:
    prepare(cnn_dlc, tmp_path / "p.dlc", [DEFAULT])
    with pytest.raises(UsageError, match="already has a cache for sm8650"):
        prepare(tmp_path / "p.dlc", tmp_path / "again.dlc", [DEFAULT])


def test_each_step_says_how_it_was_made(cnn_dlc: Path) -> None:
    written = json.loads(cnn_dlc.with_name(f"{cnn_dlc.name}.provenance.json").read_text())
    assert written["step"] == "convert"
    assert written["inputs"]["onnx"]["sha256"]
    quantized = json.loads(next(cnn_dlc.parent.glob("*.qdq.onnx.provenance.json")).read_text())
    assert quantized["settings"]["precision"] == "w8a16"
    assert quantized["settings"]["method"] == "min-max"


def test_refused_operations_are_listed(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["r"], name="fine"), helper.make_node("Det", ["r"], ["y"], name="my_det")]
    save(make_model(nodes, {"x": (1, (4, 4))}, {"y": ()}), tmp_path / "m.onnx")
    words = r"refuses 1 operations(.|\n)*Det 'my_det' \(4,4\) → \(\): Operators of type `Det` are not"
    with pytest.raises(ConversionError, match=words):
        convert(tmp_path / "m.onnx", tmp_path / "m.dlc")
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


def test_float_models_are_refused_for_integer_only_socs_by_name(cnn: Path, tmp_path: Path) -> None:
    made = convert(cnn, tmp_path / "float.dlc")
    with pytest.raises(UsageError, match=r"needs float maths of .*, which the HTP of sm8350 \(v68\) does not have"):
        prepare(made.dlc, tmp_path / "p.dlc", parse_socs("sm8650,sm8350"))
    assert not (tmp_path / "p.dlc").exists()


def test_the_reader_agrees_with_the_runtime(cnn_dlc: Path) -> None:
    """`composeGraphs` must report the inputs, outputs and encodings that our own reader found."""
    with dlc_format.open(cnn_dlc) as opened, Session(cnn_dlc, DEFAULT) as session:
        ours = sorted(
            (tensor.spec for tensor in (*opened.graph.inputs, *opened.graph.outputs)), key=lambda one: one.name
        )
        theirs = sorted((*session.inputs, *session.outputs), key=lambda one: one.name)
    assert ours == theirs


def test_doctor_finds_this_machine_healthy() -> None:
    states = {finding.name: finding.state for finding in doctor()}
    assert {name for name, state in states.items() if state == "missing"} == set()


def test_a_full_disk_is_told_and_leaves_nothing(
    small_disk: Callable[[str], Path], exported: Callable[[str], Path]
) -> None:
    model, small = exported("bert"), small_disk("400k")
    with pytest.raises(StorageError, match="No space left while writing"):
        convert(model, small / "m.dlc")
    specs = input_specs(load(model))
    arrays = {spec.name: np.zeros((2000, *spec.shape[1:])) for spec in specs}
    with pytest.raises(StorageError, match="No space left while writing"):
        write_inputs(small / "raws", arrays, specs)
    assert list(small.iterdir()) == []

"""The steps on any model, their refusals, and what they must never leave behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import snpe_tools.dlc as dlc_format
from snpe_tools import convert, doctor, export, inputs, prepare, quantize, run
from snpe_tools.errors import (
    CheckpointError,
    ConversionError,
    DlcError,
    ExecutionError,
    OnnxError,
    StorageError,
    TensorError,
    UsageError,
)
from snpe_tools.graph.loading import input_specs, load, save
from snpe_tools.precision import Precision
from snpe_tools.qa.squad import SHIPPED_QUESTIONS, load_questions
from snpe_tools.qnn.session import Session
from snpe_tools.quantization.simulator import METHODS, QuantizationOptions
from snpe_tools.socs import BY_NAME, DEFAULT, parse_socs
from snpe_tools.stages.compare import compare
from snpe_tools.stages.run import read_results
from snpe_tools.stages.simplify import simplify
from snpe_tools.tensors import write_inputs
from tests.conftest import make_model
from tests.integration.conftest import SEQUENCE

W8A16 = Precision.parse("w8a16")


def _cnn(batch: int | str = 1) -> onnx.ModelProto:
    """A small image classifier: nothing about questions."""
    numbers = np.random.default_rng(0)
    constants: dict[str, np.ndarray] = {
        "w1": numbers.normal(size=(8, 3, 3, 3)).astype(np.float32) / 4,
        "b1": numbers.normal(size=8).astype(np.float32),
        "w2": numbers.normal(size=(8, 10)).astype(np.float32),
        "b2": numbers.normal(size=10).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["conv"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], name="conv"),
        helper.make_node("Relu", ["conv"], ["relu"], name="relu"),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"], name="pool"),
        helper.make_node("Flatten", ["pool"], ["flat"], name="flat"),
        helper.make_node("Gemm", ["flat", "w2", "b2"], ["scores"], name="gemm"),
    ]
    return make_model(nodes, {"image": (1, (batch, 3, 8, 8))}, {"scores": (batch, 10)}, constants)


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("cnn") / "cnn.onnx"
    save(_cnn(), file)
    return file


@pytest.fixture(scope="module")
def images(cnn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = np.random.default_rng(1).normal(size=(6, 3, 8, 8)).astype(np.float32)
    return write_inputs(
        tmp_path_factory.mktemp("images") / "raws", {"image": values}, input_specs(load(cnn)), ["scores"]
    )


@pytest.fixture(scope="module")
def cnn_dlc(cnn: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dlc")
    made = quantize(cnn, images, folder / "cnn.w8a16.qdq.onnx", QuantizationOptions(W8A16))
    return convert(made.qdq, folder / "cnn.w8a16.dlc").dlc


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
    save(_cnn("batch"), tmp_path / "dynamic.onnx")
    with pytest.raises(OnnxError, match=r"dynamic shape \(batch,3,8,8\)"):
        convert(tmp_path / "dynamic.onnx", tmp_path / "d.dlc")
    made = simplify(tmp_path / "dynamic.onnx", tmp_path / "fixed.onnx", {"image": (1, 3, 8, 8)})
    assert made.inputs[0].shape == (1, 3, 8, 8)
    assert convert(made.onnx, tmp_path / "d.dlc").operations
    with pytest.raises(OnnxError, match="has no input 'picture'"):
        simplify(tmp_path / "dynamic.onnx", tmp_path / "x.onnx", {"picture": (1, 3, 8, 8)})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("per_channel", [True, False])
def test_every_calibration_method_and_granularity(
    method: str, per_channel: bool, cnn: Path, images: Path, tmp_path: Path
) -> None:
    options = QuantizationOptions(Precision.parse("w8a8"), method, per_channel)  # type: ignore[arg-type]
    made = quantize(cnn, images, tmp_path / "q.qdq.onnx", options)
    current, legacy = json.loads(made.encodings.read_text()), json.loads(made.legacy_encodings.read_text())
    weights = {entry["name"]: entry for entry in current["param_encodings"]}
    assert len(weights["w1"]["scale"]) == (8 if per_channel else 1)
    assert len(legacy["param_encodings"]["w1"]) == (8 if per_channel else 1)
    assert {entry["bw"] for entry in current["activation_encodings"]} == {8}
    assert {"min", "max", "scale", "offset", "bitwidth"} <= set(legacy["activation_encodings"]["image"][0])
    dlc = convert(made.qdq, tmp_path / "m.dlc").dlc
    assert (compare(cnn, dlc, images)[0].sqnr_db or 0) > 15


def test_min_max_from_observed_ranges_equals_aimets_own_pass(cnn: Path, images: Path, tmp_path: Path) -> None:
    """The fast path must give the encodings that AIMET itself would, on a model whose weights do not change them."""
    from snpe_tools.quantization.simulator import Simulator
    from snpe_tools.stages.quantize import Calibration
    from snpe_tools.tensors import read_list

    proto = load(cnn)
    fast = quantize(cnn, images, tmp_path / "fast.onnx", QuantizationOptions(Precision.parse("w16a16")))
    slow = Simulator(proto, QuantizationOptions(Precision.parse("w16a16")))
    slow.calibrate(Calibration(proto, read_list(images), native=False).windows(), lambda: None)
    ours = {entry["name"]: entry["scale"] for entry in json.loads(fast.encodings.read_text())["activation_encodings"]}
    theirs = {entry["name"]: entry["scale"] for entry in slow.encodings("1.0.0")["activation_encodings"]}
    assert ours.keys() == theirs.keys()
    for name, scale in ours.items():
        assert scale == pytest.approx(theirs[name], rel=1e-3)


def test_calibration_methods_give_ranges_of_their_own(cnn: Path, images: Path, tmp_path: Path) -> None:
    scales = {}
    for method in METHODS:
        options = QuantizationOptions(Precision.parse("w8a8"), method, percentile=90)
        made = quantize(cnn, images, tmp_path / f"{method}.qdq.onnx", options)
        entries = json.loads(made.encodings.read_text())["activation_encodings"]
        scales[method] = {entry["name"]: entry["scale"][0] for entry in entries}
    assert scales["percentile"]["image"] < 0.8 * scales["min-max"]["image"]
    assert scales["mse"]["image"] != scales["min-max"]["image"]
    assert scales["mse"]["image"] != scales["percentile"]["image"]


@pytest.mark.parametrize("method", METHODS)
def test_inputs_that_are_not_numbers_are_refused(method: str, cnn: Path, tmp_path: Path) -> None:
    values = np.full((2, 3, 8, 8), np.nan, np.float32)
    listed = write_inputs(tmp_path / "raws", {"image": values}, input_specs(load(cnn)))
    options = QuantizationOptions(Precision.parse("w8a8"), method)  # type: ignore[arg-type]
    with pytest.raises(TensorError, match=r"192 numbers are NaN"):
        quantize(cnn, listed, tmp_path / "q.onnx", options)
    assert [file.name for file in tmp_path.iterdir()] == ["raws"]


def test_token_ids_beyond_the_vocabulary_are_named(exported: Callable[[str], Path], tmp_path: Path) -> None:
    model = exported("bert")
    specs = input_specs(load(model))
    arrays = {spec.name: np.full((1, *spec.shape), 1 if spec.name != "input_ids" else 10**6) for spec in specs}
    listed = write_inputs(tmp_path / "raws", arrays, specs)
    with pytest.raises(OnnxError, match="ONNX Runtime cannot run"):
        quantize(model, listed, tmp_path / "q.onnx", QuantizationOptions(W8A16))
    with pytest.raises(OnnxError, match="ONNX Runtime cannot run"):
        compare(model, model, listed)


def test_outputs_of_other_shapes_cannot_be_compared(cnn: Path, images: Path, tmp_path: Path) -> None:
    other = _cnn()
    other.graph.initializer[2].CopyFrom(numpy_helper.from_array(np.zeros((8, 4), np.float32), "w2"))
    other.graph.initializer[3].CopyFrom(numpy_helper.from_array(np.zeros(4, np.float32), "b2"))
    other.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 4
    save(other, tmp_path / "other.onnx")
    with pytest.raises(UsageError, match="cannot be compared"):
        compare(cnn, tmp_path / "other.onnx", images)


def test_an_export_that_answers_otherwise_leaves_nothing(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="questions otherwise than the checkpoint"):
        export(str(checkpoint("bert")), tmp_path / "m.onnx", sequence_length=SEQUENCE, mask_value=-0.001)
    assert list(tmp_path.iterdir()) == []


def test_raws_that_read_back_otherwise_are_refused(
    exported: Callable[[str], Path], checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that stores something else: the written file is changed behind our back."""
    from snpe_tools import tensors

    original = tensors._write_column

    def corrupt(folder: Path, values: Any, spec: Any, *, native: bool) -> None:
        original(folder, values, spec, native=native)
        for file in folder.iterdir() if spec.name == "input_ids" else ():
            file.write_bytes(bytes(file.stat().st_size))

    monkeypatch.setattr(tensors, "_write_column", corrupt)
    questions = load_questions(SHIPPED_QUESTIONS)[:2]
    with pytest.raises(TensorError, match="read back give other logits"):
        inputs(exported("bert"), questions, checkpoint("bert") / "tokenizer.json", tmp_path / "raws")
    assert list(tmp_path.iterdir()) == []


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


def test_fp16_needs_no_quantization(cnn: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fp16 needs no quantization"):
        quantize(cnn, images, tmp_path / "q.onnx", QuantizationOptions(Precision.parse("fp16")))


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


def test_quantized_models_run_on_integer_only_socs(cnn_dlc: Path, images: Path, tmp_path: Path) -> None:
    assert prepare(cnn_dlc, tmp_path / "p.dlc", parse_socs("sm8350")).caches["sm8350"] > 0
    assert run(cnn_dlc, images, tmp_path / "out", soc=BY_NAME["sm8350"]).inferences == 6


def test_the_reader_agrees_with_the_runtime(cnn_dlc: Path) -> None:
    """`composeGraphs` must report the inputs, outputs and encodings that our own reader found."""
    with dlc_format.open(cnn_dlc) as opened, Session(cnn_dlc, DEFAULT) as session:
        ours = sorted(
            (tensor.spec for tensor in (*opened.graph.inputs, *opened.graph.outputs)), key=lambda one: one.name
        )
        theirs = sorted((*session.inputs, *session.outputs), key=lambda one: one.name)
    assert ours == theirs


def test_results_do_not_depend_on_the_number_of_workers(cnn_dlc: Path, images: Path, tmp_path: Path) -> None:
    for workers in (1, 2, 3):
        run(cnn_dlc, images, tmp_path / str(workers), workers=workers)
    results = [read_results(tmp_path / str(workers), "scores", (1, 10), 6) for workers in (1, 2, 3)]
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


def test_native_files_give_the_same_results(
    exported: Callable[[str], Path], checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    """On a model with int32 inputs, where native and float32 files differ."""
    model, questions = exported("bert"), load_questions(SHIPPED_QUESTIONS)[:1]
    tokenizer, dlc = checkpoint("bert") / "tokenizer.json", convert(model, tmp_path / "m.dlc").dlc
    results = {}
    for native in (False, True):
        listed = inputs(model, questions, tokenizer, tmp_path / f"raws-{native}", limit=1, native=native).list_file
        stored = np.fromfile(listed.parent / "input_ids" / "0.raw", np.int32 if native else np.float32)
        assert stored.max() > 1
        run(dlc, listed, tmp_path / f"{native}", native_inputs=native)
        results[native] = read_results(tmp_path / f"{native}", "start_logits", (1, stored.size), 1)
    assert np.array_equal(results[False], results[True])


def test_native_outputs_are_the_stored_integers(cnn: Path, images: Path, tmp_path: Path) -> None:
    """A DLC whose output stays quantized: its file is half as large, and means the same numbers."""
    made = quantize(cnn, images, tmp_path / "q.qdq.onnx", QuantizationOptions(W8A16))
    model = onnx.load(made.qdq)
    last = next(node for node in model.graph.node if node.output[0] == model.graph.output[0].name)
    model.graph.output[0].name, model.graph.output[0].type.tensor_type.elem_type = last.input[0], TensorProto.UINT16
    model.graph.node.remove(last)
    save(model, tmp_path / "integer.onnx")
    dlc = convert(tmp_path / "integer.onnx", tmp_path / "integer.dlc").dlc
    with dlc_format.open(dlc) as opened:
        (output,) = opened.graph.outputs
    run(dlc, images, tmp_path / "real", outputs=[output.name])
    run(dlc, images, tmp_path / "stored", outputs=[output.name], native_outputs=True)
    (real,), (stored,) = (list((tmp_path / kind / "Result_0").glob("*.raw")) for kind in ("real", "stored"))
    native = np.fromfile(stored, output.dtype.numpy).reshape(output.shape)
    assert output.dtype.is_fixed_point
    assert np.array_equal(output.spec.to_real(native).ravel(), np.fromfile(real, np.float32))


def test_old_results_never_pass_for_new_ones(cnn_dlc: Path, images: Path, tmp_path: Path) -> None:
    stale = tmp_path / "Result_0" / "stale.raw"
    stale.parent.mkdir()
    stale.touch()
    run(cnn_dlc, images, tmp_path)
    assert [file.name for file in (tmp_path / "Result_0").iterdir()] == ["scores.raw"]


def test_an_unknown_output_is_refused_with_the_known_ones(cnn_dlc: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="It has: scores"):
        run(cnn_dlc, images, tmp_path / "out", outputs=["logits"])
    assert not (tmp_path / "out").exists()


def test_a_raw_of_the_wrong_size_is_found_before_anything_runs(cnn_dlc: Path, images: Path, tmp_path: Path) -> None:
    (tmp_path / "short.raw").write_bytes(bytes(100))
    (tmp_path / "list.txt").write_text(f"{images.parent}/image/0.raw\nshort.raw\n")
    with pytest.raises(TensorError, match=r"short\.raw has 100 bytes; input 'image' .* needs 768"):
        run(cnn_dlc, tmp_path / "list.txt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_a_cut_dlc_is_refused(cnn_dlc: Path, images: Path, tmp_path: Path, kept: float) -> None:
    data = cnn_dlc.read_bytes()
    (tmp_path / "cut.dlc").write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DlcError, match=r"cut\.dlc"):
        run(tmp_path / "cut.dlc", images, tmp_path / "out")


def test_a_damaged_dlc_ends_one_run_not_this_process(cnn_dlc: Path, images: Path, tmp_path: Path) -> None:
    """What our reader lets pass may still crash the library; the crash must stay in its process."""
    data = bytearray(cnn_dlc.read_bytes())
    place = data.find(b"FullyConnected")
    data[place : place + 4] = b"Wool"
    (tmp_path / "bad.dlc").write_bytes(data)
    with pytest.raises((ExecutionError, DlcError), match=r"bad\.dlc"):
        run(tmp_path / "bad.dlc", images, tmp_path / "out")


def test_a_killed_worker_is_reported_as_such(images: Path, cnn_dlc: Path, tmp_path: Path) -> None:
    from snpe_tools.qnn.isolation import isolated

    with pytest.raises(ExecutionError, match="crashed, or its process was killed"):
        isolated(_die, tmp_path / "m.dlc")
    assert run(cnn_dlc, images, tmp_path / "out").inferences == 6


def _die(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_float_models_do_not_run_on_integer_only_socs(cnn: Path, images: Path, tmp_path: Path) -> None:
    made = convert(cnn, tmp_path / "float.dlc")
    with pytest.raises(UsageError, match=r"needs float maths of .*, which the HTP of sm8350 \(v68\) does not have"):
        run(made.dlc, images, tmp_path / "out", soc=BY_NAME["sm8350"])


def test_a_checkpoint_without_the_head_is_refused(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    from transformers import AutoModel

    AutoModel.from_pretrained(checkpoint("bert")).save_pretrained(tmp_path / "headless")
    with pytest.raises(CheckpointError, match="no weights for qa_outputs"):
        export(str(tmp_path / "headless"), tmp_path / "m.onnx", sequence_length=48)


def test_damaged_and_wrong_checkpoints_are_refused(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    good = checkpoint("bert")
    (tmp_path / "bad").mkdir()
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        export(str(tmp_path / "bad"), tmp_path / "m.onnx")
    for file in good.iterdir():
        (tmp_path / "bad" / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "bad" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="bad cannot be loaded"):
        export(str(tmp_path / "bad"), tmp_path / "m.onnx", sequence_length=48)
    with pytest.raises(CheckpointError, match=r"reads 48 tokens at most(.|\n)*SEQ=48"):
        export(str(good), tmp_path / "m.onnx", sequence_length=64)
    assert not (tmp_path / "m.onnx").exists()


def test_doctor_finds_this_machine_healthy() -> None:
    states = {finding.name: finding.state for finding in doctor()}
    assert {name for name, state in states.items() if state == "missing"} == set()


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of 400 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    return folder


def test_a_full_disk_is_told_and_leaves_nothing(small_disk: Path, exported: Callable[[str], Path]) -> None:
    try:
        model = exported("bert")
        with pytest.raises(StorageError, match="No space left while writing"):
            convert(model, small_disk / "m.dlc")
        specs = input_specs(load(model))
        arrays = {spec.name: np.zeros((2000, *spec.shape[1:])) for spec in specs}
        with pytest.raises(StorageError, match="No space left while writing"):
            write_inputs(small_disk / "raws", arrays, specs)
        assert list(small_disk.iterdir()) == []
    finally:
        subprocess.run(["umount", small_disk], check=True)


def test_ctrl_c_in_a_run_ends_at_once_and_leaves_no_process(exported: Callable[[str], Path], tmp_path: Path) -> None:
    model = exported("bert")
    made = convert(model, tmp_path / "m.dlc")
    specs = input_specs(load(model))
    listed = write_inputs(tmp_path / "raws", {spec.name: np.ones((3000, *spec.shape[1:])) for spec in specs}, specs)
    command = [sys.executable, "-m", "snpe_tools", "run", str(made.dlc), "-i", str(listed), "-o", str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out/Result_*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, words = process.communicate(timeout=20)
    assert process.returncode == 130
    assert words.strip().endswith("Interrupted. Nothing half-written was kept.")
    assert not list(tmp_path.rglob("*.part"))
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.killpg(process.pid, 0)
            time.sleep(0.1)

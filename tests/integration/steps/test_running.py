"""Running a DLC: the same results every way, what is refused, and what breaks on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import snpe_tools.dlc as dlc_format
from snpe_tools import convert, inputs, prepare, quantize, run
from snpe_tools.core.errors import (
    DlcError,
    ExecutionError,
    TensorError,
    UsageError,
)
from snpe_tools.core.precision import Precision
from snpe_tools.core.raw_files import write_inputs
from snpe_tools.core.soc_names import parse_socs
from snpe_tools.core.socs import BY_NAME
from snpe_tools.execution.emulator import read_results
from snpe_tools.graph.loading import input_specs, load, save
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.tasks.question_answering.squad import SHIPPED_QUESTIONS, load_questions

W8A16 = Precision.parse("w8a16")


def test_quantized_models_run_on_integer_only_socs(cnn_dlc: Path, images: Path, tmp_path: Path) -> None:
    assert prepare(cnn_dlc, tmp_path / "p.dlc", parse_socs("sm8350")).caches["sm8350"] > 0
    assert run(cnn_dlc, images, tmp_path / "out", soc=BY_NAME["sm8350"]).inferences == 6


def test_float_models_do_not_run_on_integer_only_socs(cnn: Path, images: Path, tmp_path: Path) -> None:
    made = convert(cnn, tmp_path / "float.dlc")
    with pytest.raises(UsageError, match=r"needs float maths of .*, which the HTP of sm8350 \(v68\) does not have"):
        run(made.dlc, images, tmp_path / "out", soc=BY_NAME["sm8350"])


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


def test_ctrl_c_in_a_run_ends_at_once_and_leaves_no_process(exported: Callable[[str], Path], tmp_path: Path) -> None:
    model = exported("bert")
    made = convert(model, tmp_path / "m.dlc")
    specs = input_specs(load(model))
    listed = write_inputs(tmp_path / "raws", {spec.name: np.ones((3000, *spec.shape[1:])) for spec in specs}, specs)
    command = [sys.executable, "-m", "snpe_tools", "run", str(made.dlc), "-i", str(listed), "-o", str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("out/Result_*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130
    assert words.strip().endswith("Interrupted. Nothing half-written was kept.")
    assert not list(tmp_path.rglob("*.part"))
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.killpg(process.pid, 0)
            time.sleep(0.1)

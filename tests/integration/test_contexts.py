"""Compiled caches out of a DLC: as a context binary, and as the ONNX file by which an application loads it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import snpe_tools.dlc as dlc_format
from snpe_tools import convert, prepare, quantize
from snpe_tools.core.errors import UsageError
from snpe_tools.core.precision import Precision
from snpe_tools.core.raw_files import write_inputs
from snpe_tools.core.socs import BY_NAME
from snpe_tools.graph.loading import input_specs, load, save
from snpe_tools.qnn.context_info import read_context
from snpe_tools.qnn.isolation import isolated
from snpe_tools.qnn.session import Session
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.steps.extract import extract_context, write_epcontext
from tests.conftest import make_model

ROOT = Path(__file__).parents[2]
SOC = BY_NAME["sm8650"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A matrix product at w8a16, compiled for one SoC."""
    folder = tmp_path_factory.mktemp("context")
    numbers = np.random.default_rng(0)
    weight = numbers.normal(size=(8, 8)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="m")]
    save(make_model(nodes, {"x": (1, (1, 8))}, {"y": (1, 8)}, {"w": weight}), folder / "m.onnx")
    values = numbers.normal(size=(4, 1, 8)).astype(np.float32)
    listed = write_inputs(folder / "raws", {"x": values}, input_specs(load(folder / "m.onnx")), ["y"])
    made = quantize(folder / "m.onnx", listed, folder / "q.onnx", QuantizationOptions(Precision.parse("w8a16")))
    return prepare(convert(made.qdq, folder / "m.dlc").dlc, folder / "m.sm8650.dlc", [SOC]).dlc


def _product(dlc: Path, values: np.ndarray) -> np.ndarray:
    with Session(dlc, SOC, use_cache=True) as session:
        assert session.start == "cache"
        (output,) = session.execute({"x": values}).values()
        return np.asarray(output)


def test_the_context_binary_is_the_record_and_says_what_it_is(prepared: Path, tmp_path: Path) -> None:
    made = extract_context(prepared, SOC, tmp_path / "m.bin")
    with dlc_format.open(prepared) as opened:
        (cache,) = opened.caches
        assert made.file.read_bytes() == bytes(opened.container.data(cache.record.name))
        (graph,) = opened.graphs
        inputs, name = [(tensor.name, tensor.shape) for tensor in graph.inputs], graph.name
    found = isolated(read_context, made.file)
    assert (found.soc, found.bytes, found.built_by) == ("sm8650", made.bytes, made.built_by)
    assert [compiled.name for compiled in found.graphs] == [name]
    assert [(tensor.name, tensor.shape) for tensor in found.graphs[0].inputs] == inputs
    shown = subprocess.run([sys.executable, "-m", "snpe_tools", "info", made.file, "--json"], capture_output=True,
                           check=True, cwd=ROOT)  # fmt: skip
    assert json.loads(shown.stdout)["graphs"][0]["outputs"] == [{"name": "y", "shape": [1, 8], "dtype": "Float_32"}]


def test_a_soc_without_a_cache_is_named_with_those_that_have_one(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no compiled cache for sm8550; it has those of sm8650"):
        extract_context(prepared, BY_NAME["sm8550"], tmp_path / "m.bin")
    assert not (tmp_path / "m.bin").exists()


def test_the_documented_program_runs_the_epcontext_model(prepared: Path, tmp_path: Path) -> None:
    """The lines of docs/applications.md, in a folder with the two files and nothing else."""
    made = write_epcontext(prepared, SOC, tmp_path / "model.onnx")
    assert [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node] == ["EPContext"]
    assert made.file == tmp_path / "model.sm8650.bin"
    text = (ROOT / "docs" / "applications.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    values = np.linspace(-1, 1, 8, dtype=np.float32).reshape(1, 8)
    program = (
        program.replace("np.zeros(value.shape, np.float32)", "np.load('x.npy')") + "np.save('y.npy', outputs[0])\n"
    )
    np.save(tmp_path / "x.npy", values)
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, timeout=120)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), _product(prepared, values))

"""Latency estimates of ONNX models, which are converted for that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from snpe_tools.cli.main import app
from snpe_tools.core.errors import UsageError

_WIDTH = 256


def model(path: Path, length: int | str) -> Path:
    """Ten matrix products of (1, length, 256)."""
    weights = np.random.default_rng(1).normal(0, 0.05, (_WIDTH, _WIDTH)).astype(np.float32)
    nodes = [helper.make_node("MatMul", [f"x{index}", "w"], [f"x{index + 1}"], f"n{index}") for index in range(10)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, length, _WIDTH]) for name in ("x0", "x10")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def estimates(*arguments: str | Path) -> Any:
    done = CliRunner().invoke(app, ["estimate", *map(str, arguments), "--soc", "sm8750", "--json"])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return json.loads(done.stdout)


def test_lengths_of_a_dynamic_model_side_by_side(tmp_path: Path) -> None:
    found = estimates(model(tmp_path / "m.onnx", "length"), "--seq", "2048,8192")
    assert [one["length"] for one in found] == [2048, 8192]
    short, long = (one["rows"][0]["milliseconds"] for one in found)
    assert 2 < long / short < 8


def test_a_fixed_model_has_one_length(tmp_path: Path) -> None:
    file = model(tmp_path / "m.onnx", 2048)
    assert estimates(file)["rows"][0]["milliseconds"] > 0
    with pytest.raises(UsageError, match="fixed shapes"):
        estimates(file, "--seq", "128")

"""Calibration: every method, what it must equal, and inputs that are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from snpe_tools import convert, quantize
from snpe_tools.core.calibration_methods import METHODS
from snpe_tools.core.errors import (
    OnnxError,
    TensorError,
    UsageError,
)
from snpe_tools.core.precision import Precision
from snpe_tools.core.raw_files import write_inputs
from snpe_tools.graph.loading import input_specs, load
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.steps.compare import compare

W8A16 = Precision.parse("w8a16")


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
    from snpe_tools.core.raw_files import read_list
    from snpe_tools.quantization.calibration import Calibration
    from snpe_tools.quantization.simulator import Simulator

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


def test_fp16_needs_no_quantization(cnn: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fp16 needs no quantization"):
        quantize(cnn, images, tmp_path / "q.onnx", QuantizationOptions(Precision.parse("fp16")))

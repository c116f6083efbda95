"""The image classifier, its inputs, and its DLC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snpe_tools import convert, quantize
from snpe_tools.core.precision import Precision
from snpe_tools.core.raw_files import write_inputs
from snpe_tools.graph.loading import input_specs, load, save
from snpe_tools.quantization.simulator import QuantizationOptions
from tests.integration.steps.cnn import make_cnn


@pytest.fixture(scope="session")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("cnn") / "cnn.onnx"
    save(make_cnn(), file)
    return file


@pytest.fixture(scope="session")
def images(cnn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = np.random.default_rng(1).normal(size=(6, 3, 8, 8)).astype(np.float32)
    return write_inputs(
        tmp_path_factory.mktemp("images") / "raws", {"image": values}, input_specs(load(cnn)), ["scores"]
    )


@pytest.fixture(scope="session")
def cnn_dlc(cnn: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dlc")
    made = quantize(cnn, images, folder / "cnn.w8a16.qdq.onnx", QuantizationOptions(Precision.parse("w8a16")))
    return convert(made.qdq, folder / "cnn.w8a16.dlc").dlc

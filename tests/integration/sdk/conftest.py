"""SDKs, real and doubled, and what they are asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snpe_tools import quantize
from snpe_tools.core.precision import Precision
from snpe_tools.quantization.plan import Plan
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.toolchains import Quantization
from snpe_tools.toolchains.choosing import choose
from snpe_tools.toolchains.sdk import SdkTools
from snpe_tools.toolchains.sdk.versions import Family
from tests.conftest import REAL_SDK
from tests.integration.conftest import Tiny
from tests.sdk_double.install import VERSIONS, install

W8A16, MIXED = Precision.parse("w8a16"), Precision.parse("w8a8-mixed")

REAL = "real SDK"

Sdks = Callable[..., SdkTools]


@pytest.fixture
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sdks:
    """The toolchain of an SDK: a version of the double with a lie, or the real one."""

    def make(version: str = "QAIRT 2.3x", family: Family = "snpe", lie: str = "", **more: Any) -> SdkTools:
        if version == REAL:
            for name, place in REAL_SDK.items():
                monkeypatch.setenv(name, place)
            made = choose("sdk", sdk_tools=family, sdk_python=os.environ.get("SDK_PYTHON", ""))
        else:
            monkeypatch.setenv("SNPE_ROOT", str(install(tmp_path / "sdk", VERSIONS[version], lie, **more)))
            made = choose("sdk", sdk_tools=family, sdk_python=sys.executable)
        assert isinstance(made, SdkTools)
        return made

    return make


@pytest.fixture(scope="session")
def model(exported: Callable[[str], Path]) -> Path:
    return exported("bert")


@pytest.fixture(scope="session")
def encodings(tmp_path_factory: pytest.TempPathFactory, model: Path, tiny: Callable[[str, str], Tiny]) -> Path:
    """Ours, in the format that every SDK reads: with ranges of 90 percent, which no tool would find by itself."""
    options = QuantizationOptions(W8A16, "percentile", percentile=90)
    target = tmp_path_factory.mktemp("encodings") / "m.qdq.onnx"
    return quantize(model, tiny("bert", "w8a16").listed, target, options).legacy_encodings


@pytest.fixture(scope="session")
def asked(encodings: Path, tiny: Callable[[str, str], Tiny]) -> Quantization:
    return Quantization(QuantizationOptions(W8A16), tiny("bert", "w8a16").listed, encodings)


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory, model: Path, tiny: Callable[[str, str], Tiny]) -> Quantization:
    """Softmax and what is added before it in 16 bits: well under half of all activations."""
    listed, target = tiny("bert", "w8a16").listed, tmp_path_factory.mktemp("mixed") / "m.qdq.onnx"
    made = quantize(model, listed, target, QuantizationOptions(MIXED, plan=Plan(wide=("Add>Softmax", "Softmax"))))
    return Quantization(QuantizationOptions(MIXED), listed, made.legacy_encodings)

"""Both toolchains pass the suite that ships."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from snpe_tools.testing import ToolchainSuite
from snpe_tools.toolchains import Toolchain
from snpe_tools.toolchains.choosing import choose
from snpe_tools.toolchains.pypi import PyPI
from tests.sdk_double.install import VERSIONS, install


class TestPyPI(ToolchainSuite):
    @pytest.fixture
    def toolchain(self) -> Toolchain:
        return PyPI()


class TestSdkDouble(ToolchainSuite):
    @pytest.fixture
    def toolchain(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toolchain:
        monkeypatch.setenv("SNPE_ROOT", str(install(tmp_path / "sdk", VERSIONS["QAIRT 2.3x"])))
        return choose("sdk", sdk_python=sys.executable)

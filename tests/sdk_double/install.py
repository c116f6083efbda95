"""Installs the double: a folder as the SDK's zip unpacks to, for a version, truthful or with one lie."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
ARCHITECTURE = "x86_64-linux-clang"
VERSIONS = {
    "SNPE 2.10": "2.10.0.4541",
    "SNPE 2.17": "2.17.0.231124161510_65373",
    "QAIRT 2.2x": "2.22.6.240515",
    "QAIRT 2.3x": "2.31.0.250130",
    "QAIRT 2.4x": "2.41.0.251128",
}
_FIRST_QAIRT = (2, 20)
_SNPE = {"snpe-onnx-to-dlc": "snpe_onnx_to_dlc", "snpe-dlc-quant": "snpe_dlc_quant",
         "snpe-dlc-graph-prepare": "snpe_dlc_graph_prepare", "snpe-net-run": "snpe_net_run"}  # fmt: skip
_QAIRT = {"qairt-converter": "qairt_converter", "qairt-quantizer": "qairt_quantizer"}
_SCRIPTS = {"snpe-onnx-to-dlc", *_QAIRT}
"""Tools that are Python scripts; the others are native programs."""

_PYTHON_TOOL = """#!/usr/bin/env python3
import os, sys
sys.path.insert(0, {repository!r})
assert os.environ.get("PYTHONPATH", "").split(os.pathsep)[0] == {packages!r}, "envsetup.sh was not sourced"
os.environ["PYTHONPATH"] = {repository!r}
from tests.sdk_double.tools import {function}
sys.exit({function}(sys.argv[1:], {version!r}, {lie!r}))
"""
_NATIVE_TOOL = """#!/bin/sh
PYTHONPATH={repository} exec {python} -c '
import sys
from tests.sdk_double.tools import {function}
sys.exit({function}(sys.argv[1:], "{version}", "{lie}"))
' "$@"
"""
_WRAPPER = """#!/bin/bash
# As the real one: quantizes, and prepares only if told to.
exec "$(dirname "$0")/{native}" "$@"
"""


def install(folder: Path, version: str, lie: str = "", *, yaml: bool = True, wrapper_only: bool = False) -> Path:
    """Write an SDK of a version into `folder`; returns its root.

    Args:
        lie: "" or a key of `tests.sdk_double.tools.LIES`.
        yaml: write sdk.yaml, which older SDKs lack.
        wrapper_only: quantize through the bash wrapper alone.
    """
    root = folder / "qairt" / version
    tools, packages = root / "bin" / ARCHITECTURE, root / "lib" / "python"
    for place in (tools, packages, root / "lib" / ARCHITECTURE):
        place.mkdir(parents=True)
    number = tuple(int(part) for part in version.split(".")[:2])
    for tool, function in {**_SNPE, **(_QAIRT if number >= _FIRST_QAIRT else {})}.items():
        form = _PYTHON_TOOL if tool in _SCRIPTS else _NATIVE_TOOL
        _write(
            tools / tool,
            form.format(repository=str(REPOSITORY), packages=str(packages), python=sys.executable, function=function,
                        version=version, lie=lie),
        )  # fmt: skip
    native = "snpe-dlc-quant"
    if wrapper_only:
        native = ".snpe-dlc-quant"
        (tools / "snpe-dlc-quant").rename(tools / native)
    _write(tools / "snpe-dlc-quantize", _WRAPPER.format(native=native))
    if yaml:
        (root / "sdk.yaml").write_text(f"product: qairt\nversion: {'.'.join(version.split('.')[:3])}\n")
    return root


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)

"""Snapdragon SNPE conversion and quantization toolkit.

Each step of the flow is one function; the same names are the commands of `snpe-tools`.

    export    checkpoint → fixed-shape ONNX whose attention mask survives quantization
    simplify  any ONNX model → fixed shapes, int32 inputs
    inputs    questions → raw files and list.txt
    quantize  ONNX + input list → QDQ ONNX + encodings
    convert   ONNX → DLC
    prepare   DLC → DLC with a compiled HTP cache per SoC
    run       DLC + input list → Result_<i>/<tensor>.raw
    net_run   the same with the rules of snpe-net-run
    bundle    one inference to repeat elsewhere: DLC, inputs, golden outputs, manifest
    train     pre-trained checkpoint + questions → question-answering checkpoint
    distill   question-answering checkpoint + text + questions → a small MobileBERT that answers as it does
    qat       float ONNX + questions → QDQ ONNX that was trained for its quantization
    tune      a recipe + questions → the cheapest mixed precision that keeps its answers
    compare   two models on the same inputs → how far their outputs, or all tensors, are apart
    score     examples → the task's score of every runner, and the gate
    report    the last scores as one HTML page
    explain   one example through all runners
    build     the arrows from checkpoint to prepared DLC, each only when it is out of date
    doctor    what this machine has, and what to do for what it lacks
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from snpe_tools._version import __version__

__all__ = [
    "__version__",
    "build",
    "bundle",
    "compare",
    "convert",
    "distill",
    "doctor",
    "explain",
    "export",
    "inputs",
    "net_run",
    "prepare",
    "qat",
    "quantize",
    "report",
    "run",
    "score",
    "simplify",
    "train",
    "tune",
]  # fmt: skip
_ELSEWHERE = {"run": "snpe_tools.execution.emulator", "net_run": "snpe_tools.execution.net_run"}
"""Steps that other rooms execute DLCs with, too."""

if TYPE_CHECKING:
    from snpe_tools.execution.emulator import run
    from snpe_tools.execution.net_run import net_run
    from snpe_tools.steps.build import build
    from snpe_tools.steps.bundle import bundle
    from snpe_tools.steps.compare import compare
    from snpe_tools.steps.convert import convert
    from snpe_tools.steps.distill import distill
    from snpe_tools.steps.doctor import doctor
    from snpe_tools.steps.explain import explain
    from snpe_tools.steps.export import export
    from snpe_tools.steps.inputs import inputs
    from snpe_tools.steps.prepare import prepare
    from snpe_tools.steps.qat import qat
    from snpe_tools.steps.quantize import quantize
    from snpe_tools.steps.report import report
    from snpe_tools.steps.score import score
    from snpe_tools.steps.simplify import simplify
    from snpe_tools.steps.train import train
    from snpe_tools.steps.tune import tune


def __getattr__(name: str) -> Any:  # noqa: ANN401 - each step is imported when it is first used
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _ELSEWHERE.get(name, f"snpe_tools.steps.{name}")
    return getattr(importlib.import_module(module), name)

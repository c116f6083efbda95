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
    score     questions → F1 of every stage, and the gate
    report    the last scores as one HTML page
    explain   one question through all stages
    build     the arrows from checkpoint to prepared DLC, each only when it is out of date
    doctor    what this machine has, and what to do for what it lacks
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "build", "bundle", "compare", "convert", "distill", "doctor", "explain", "export", "inputs", "net_run", "prepare",
    "qat", "quantize", "report", "run", "score", "simplify", "train", "tune",
]  # fmt: skip

if TYPE_CHECKING:
    from snpe_tools.stages.build import build
    from snpe_tools.stages.bundle import bundle
    from snpe_tools.stages.compare import compare
    from snpe_tools.stages.convert import convert
    from snpe_tools.stages.distill import distill
    from snpe_tools.stages.doctor import doctor
    from snpe_tools.stages.explain import explain
    from snpe_tools.stages.export import export
    from snpe_tools.stages.inputs import inputs
    from snpe_tools.stages.net_run import net_run
    from snpe_tools.stages.prepare import prepare
    from snpe_tools.stages.qat import qat
    from snpe_tools.stages.quantize import quantize
    from snpe_tools.stages.report import report
    from snpe_tools.stages.run import run
    from snpe_tools.stages.score import score
    from snpe_tools.stages.simplify import simplify
    from snpe_tools.stages.train import train
    from snpe_tools.stages.tune import tune


def __getattr__(name: str) -> Any:  # noqa: ANN401 - each step is imported when it is first used
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"snpe_tools.stages.{name}"), name)

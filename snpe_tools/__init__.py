"""Snapdragon SNPE conversion and quantization toolkit.

Each step of the flow is one function; the same names are the commands of `snpe-tools`.

    export    checkpoint → fixed-shape ONNX whose attention mask survives quantization
    inputs    questions → raw files and list.txt
    quantize  ONNX + input list → QDQ ONNX + encodings
    convert   ONNX → DLC
    prepare   DLC → DLC with a compiled HTP cache per SoC
    run       DLC + input list → Result_<i>/<tensor>.raw
    net_run   the same with the rules of snpe-net-run
    bundle    one inference to repeat elsewhere: DLC, inputs, golden outputs, manifest
    score     questions → F1 of every stage, and the gate
    build     the arrows from checkpoint to prepared DLC, each only when it is out of date
    doctor    what this machine has, and what to do for what it lacks
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "build",
    "bundle",
    "convert",
    "doctor",
    "export",
    "inputs",
    "net_run",
    "prepare",
    "quantize",
    "run",
    "score",
]

if TYPE_CHECKING:
    from snpe_tools.stages.build import build
    from snpe_tools.stages.bundle import bundle
    from snpe_tools.stages.convert import convert
    from snpe_tools.stages.doctor import doctor
    from snpe_tools.stages.export import export
    from snpe_tools.stages.inputs import inputs
    from snpe_tools.stages.net_run import net_run
    from snpe_tools.stages.prepare import prepare
    from snpe_tools.stages.quantize import quantize
    from snpe_tools.stages.run import run
    from snpe_tools.stages.score import score


def __getattr__(name: str) -> Any:  # noqa: ANN401 - each step is imported when it is first used
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"snpe_tools.stages.{name}"), name)

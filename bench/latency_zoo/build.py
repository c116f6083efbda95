"""One network of the zoo as an ONNX file."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from latency_zoo import classifiers, dense, detectors, speech, transformer_nets
from latency_zoo.registry import NETWORKS

MODULES = (classifiers, dense, detectors, speech, transformer_nets)
_OPSET = 17


def export(name: str, target: Path) -> None:
    """Write the network called `name`, with random weights and fixed shapes, to `target`."""
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operator has no ONNX form
    module, inputs = NETWORKS[name].build()
    names = [f"input_{index}" for index in range(len(inputs))]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), inputs, str(target), input_names=names, opset_version=_OPSET, dynamo=False)

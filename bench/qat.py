"""A training step of quantization-aware training against one of the float model, and one quantizer against plain maths.

    make dlc
    .venv/bin/python bench/qat.py Models/minilm-qa/minilm-qa.onnx --batch 2

Prints milliseconds of processor time, forward and backward, the smallest of several runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snpe_tools.core.precision import Precision
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import input_specs, load
from snpe_tools.graph.ranges import collect_ranges
from snpe_tools.graph.sharing import unshare_vectors
from snpe_tools.quantization.mixing import lay_out
from snpe_tools.quantization.plan import Plan
from snpe_tools.quantization.simulator import QuantizationOptions, Simulator
from snpe_tools.training.fake_quantization import quantize_activation
from snpe_tools.training.quantized_model import QuantizedModel, Quantizers

RUNS = 3


def plain(x: Tensor, low: Tensor, high: Tensor, bits: int) -> Tensor:
    """The same in tensor operations, which autograd differentiates; rounding passes gradients straight through."""
    scale = (high - low) / (2**bits - 1)
    zero = torch.round(-low / scale)
    place = x / scale + zero
    rounded = place + (torch.round(place) - place).detach()
    return (rounded.clamp(0, 2**bits - 1) - zero) * scale


def milliseconds(compute: Callable[[], Tensor]) -> float:
    found = []
    for _ in range(RUNS):
        started = time.process_time()
        compute().square().mean().backward()
        found.append(time.process_time() - started)
    return 1000 * min(found)


def quantizers(length: int) -> None:
    x = torch.randn(8, 12, length, length, requires_grad=True)
    ends = [torch.tensor(end, requires_grad=True) for end in (-2.0, 2.5)]
    for name, quantize in (("plain maths", plain), ("ours", quantize_activation)):
        for bits in (8, 16):
            took = milliseconds(lambda quantize=quantize, bits=bits: quantize(x, *ends, bits))
            print(f"one quantizer, {bits:2} bits, {name:12} {took:8.0f} ms for {x.numel() / 1e6:.1f} M values")


def model(file: Path, batch: int, precision: str) -> None:
    proto = use_int32_inputs(load(file))
    unshare_vectors(proto)
    numbers = np.random.default_rng(0)
    specs = input_specs(proto)
    shape = (batch, specs[0].shape[-1])
    inputs = {spec.name: np.ones(shape, np.int32) for spec in specs}
    inputs["input_ids"] = numbers.integers(5, 2000, shape, np.int32)
    ranges = collect_ranges(proto, [{name: array[:1] for name, array in inputs.items()}], lambda *_: None)
    options = QuantizationOptions(Precision.parse(precision))
    simulator = Simulator(proto, options)
    layout = lay_out(simulator.operations, Plan(), ranges, {})
    made = QuantizedModel(proto, Quantizers(simulator.quantizers(), layout))
    given = {name: torch.from_numpy(array.astype(np.int64)) for name, array in inputs.items()}
    for quantizing in (False, True):
        made.quantizing = quantizing
        took = milliseconds(lambda: made(**given).start_logits)
        print(f"{file.name}, {batch} x {shape[1]} tokens, {precision if quantizing else 'float':6} {took:8.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--precision", default="w8a8")
    arguments = parser.parse_args()
    quantizers(384)
    model(arguments.model, arguments.batch, arguments.precision)


if __name__ == "__main__":
    main()

"""Calibration: ours against ONNX Runtime's static quantizer, same model and windows, each in its own process.

    make dlc MODEL=mobilebert RANDOM=1
    .venv/bin/python bench/calibration.py --windows 100

Both start from the float ONNX model and raw files, and end with a quantized ONNX model (w8a16, min-max).
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]


def ours(model: Path, listed: Path, target: Path) -> None:
    from snpe_tools import quantize
    from snpe_tools.core.precision import Precision
    from snpe_tools.quantization.simulator import QuantizationOptions

    quantize(model, listed, target, QuantizationOptions(Precision.parse("w8a16")))


def onnxruntime(model: Path, listed: Path, target: Path) -> None:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize
    from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config

    from snpe_tools.core.raw_files import named, read_inputs, read_list
    from snpe_tools.graph.loading import input_specs, load

    parsed, specs = read_list(listed), input_specs(load(model))

    class Windows(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows: Iterator[int] = iter(range(len(parsed.lines)))

        def get_next(self) -> dict[str, np.ndarray] | None:
            row = next(self.rows, None)
            return None if row is None else read_inputs(named(parsed.lines[row], specs, listed, row), specs)

    clean = onnx.load(model)
    del clean.metadata_props[:]
    onnx.save(clean, target.with_suffix(".clean.onnx"))
    kinds = {"activation_type": QuantType.QUInt16, "weight_type": QuantType.QUInt8}
    config = get_qnn_qdq_config(target.with_suffix(".clean.onnx"), Windows(), **kinds)
    quantize(target.with_suffix(".clean.onnx"), target, config)


def measure(function: Callable[[Path, Path, Path], None], model: Path, listed: Path) -> tuple[float, float]:
    """Wall seconds and peak GB of a fresh process."""
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.SimpleQueue[float] = context.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(target=_child, args=(function, model, listed, Path(folder) / "q.onnx", queue))
        started = time.perf_counter()
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{function.__name__} failed")
        return time.perf_counter() - started, queue.get()


def _child(
    function: Callable[[Path, Path, Path], None], model: Path, listed: Path, target: Path, queue: object
) -> None:
    function(model, listed, target)
    queue.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mobilebert")
    parser.add_argument("--windows", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    model = ROOT / "Models" / arguments.model / f"{arguments.model}.onnx"
    with tempfile.TemporaryDirectory() as folder:
        listed = _windows(model, Path(folder) / "raws", arguments.windows)
        for turn in range(arguments.rounds):
            rows = {function.__name__: measure(function, model, listed) for function in (ours, onnxruntime)}
            ratio = rows["onnxruntime"][0] / rows["ours"][0]
            shown = ", ".join(f"{name} {wall:.1f} s {peak:.2f} GB" for name, (wall, peak) in rows.items())
            print(f"round {turn + 1}: {shown}; ours is {ratio:.2f} times as fast")


def _windows(model: Path, folder: Path, count: int) -> Path:
    """`count` windows of random tokens without padding, so that each costs the most it can."""
    from snpe_tools.core.raw_files import write_inputs
    from snpe_tools.graph.loading import input_specs, load

    specs = input_specs(load(model))
    numbers = np.random.default_rng(0)
    values = {"input_ids": lambda size: numbers.integers(1000, 30000, size), "attention_mask": np.ones}
    arrays = {spec.name: values.get(spec.name, np.zeros)((count, spec.shape[1])) for spec in specs}
    return write_inputs(folder, arrays, specs)


if __name__ == "__main__":
    main()

"""Runners of a score that this machine computes: ONNX Runtime, and the Hexagon emulator."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path

from snpe_tools.core.progress import progress
from snpe_tools.core.socs import DEFAULT, Soc
from snpe_tools.execution.emulator import output_shape, read_results, run
from snpe_tools.execution.onnx_cpu import run_onnx
from snpe_tools.execution.written_inputs import write_batch
from snpe_tools.scoring.evaluate import Runner
from snpe_tools.tasks import Batch, Outputs
from snpe_tools.tasks.batch import FloatArray


def without_batch_axis(results: FloatArray) -> FloatArray:
    """Results (inferences, 1, ...) as (inferences, ...): each of them was a batch of one."""
    return results[:, 0] if results.ndim > 2 and results.shape[1] == 1 else results  # noqa: PLR2004 - axes


def onnx_runner(name: str, model: Path, outputs: Sequence[str], *, optimize: bool = True) -> Runner:
    """ONNX Runtime on the CPU.

    Args:
        outputs: names of those that the task reads.
    """

    def compute(batch: Batch) -> Outputs:
        with progress(name, len(batch)) as advance:
            return run_onnx(model, batch, outputs, optimize=optimize, advance=advance)

    return Runner(name, "ONNX Runtime CPU" if optimize else "ONNX Runtime CPU, graph optimizations off", compute)


def emulator_runner(
    name: str,
    dlc: Path,
    model: Path,
    folder: Path,
    outputs: Sequence[str],
    *,
    soc: Soc = DEFAULT,
    workers: int = 0,
    executor: Executor | None = None,
) -> Runner:
    """A DLC on the Hexagon emulator, through raw files and result folders as on a device.

    Args:
        model: the fixed-shape ONNX model it was made from, which says what its inputs are.
        folder: where raw inputs and results go.
        outputs: names of those that the task reads.
        executor: runs the inferences instead of `workers` child processes.
    """

    def compute(batch: Batch) -> Outputs:
        written = write_batch(model, batch, folder / "inputs")
        result = run(dlc, written.list_file, folder / "results", soc=soc, workers=workers, executor=executor)
        found = {}
        for output in outputs:
            read = read_results(result.folder, output, output_shape(dlc, output), len(batch))
            found[output] = without_batch_axis(read)
        return Outputs(found, result.seconds * len(batch))

    return Runner(name, f"Hexagon emulator, {soc}", compute)

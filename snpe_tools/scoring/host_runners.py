"""Stages of a score that this machine computes: ONNX Runtime, and the Hexagon emulator."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path

from snpe_tools.core.progress import progress
from snpe_tools.core.socs import DEFAULT, Soc
from snpe_tools.execution.emulator import output_shape, read_results, run
from snpe_tools.execution.written_inputs import write_windows
from snpe_tools.scoring.evaluate import Stage
from snpe_tools.tasks.question_answering.features import Windows
from snpe_tools.tasks.question_answering.inference import LOGITS, Logits, run_onnx


def onnx_stage(name: str, model: Path, *, optimize: bool = True) -> Stage:
    """ONNX Runtime on the CPU."""

    def compute(windows: Windows) -> Logits:
        with progress(name, len(windows)) as advance:
            return run_onnx(model, windows, optimize=optimize, advance=advance)

    return Stage(name, "ONNX Runtime CPU" if optimize else "ONNX Runtime CPU, graph optimizations off", compute)


def emulator_stage(
    name: str,
    dlc: Path,
    model: Path,
    folder: Path,
    *,
    soc: Soc = DEFAULT,
    workers: int = 0,
    executor: Executor | None = None,
) -> Stage:
    """A DLC on the Hexagon emulator, through raw files and result folders as on a device.

    Args:
        model: the fixed-shape ONNX model it was made from, which says what its inputs are.
        folder: where raw inputs and results go.
        executor: runs the inferences instead of `workers` child processes.
    """

    def compute(windows: Windows) -> Logits:
        written = write_windows(model, windows, folder / "inputs")
        result = run(dlc, written.list_file, folder / "results", soc=soc, workers=workers, executor=executor)
        start, end = (
            read_results(result.folder, output, output_shape(dlc, output), len(windows)).reshape(len(windows), -1)
            for output in LOGITS
        )
        return Logits(start, end, result.seconds * len(windows))

    return Stage(name, f"Hexagon emulator, {soc}", compute)

"""DLC + input list → Result_<i>/<tensor>.raw, on the Hexagon emulator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np

import snpe_tools.dlc as dlc_format
from snpe_tools.core.progress import progress, say
from snpe_tools.core.raw_files import InputList, check_list, named, read_list, result_names
from snpe_tools.core.socs import DEFAULT, Soc, check_fit
from snpe_tools.core.tensor_spec import TensorSpec
from snpe_tools.core.validation import chosen
from snpe_tools.execution.engine import default_workers, execute
from snpe_tools.execution.results import claim, locked, read_results
from snpe_tools.execution.worker import Item, Job, Outcome
from snpe_tools.inspection.targets import need_of

__all__ = ["RunResult", "output_shape", "read_results", "run"]


@dataclass(frozen=True)
class RunResult:
    """What a run wrote.

    Attributes:
        folder: holds `Result_<i>` folders.
        outputs: tensors written for each inference.
        inferences: how many.
        seconds: median time of one inference in one worker; NaN when all results were there already. The emulator's
            time says nothing about a device.
        not_finite: NaN and infinite numbers among all outputs.
        kept: results of an equal run that was interrupted; they were not computed again.
    """

    folder: Path
    outputs: tuple[str, ...]
    inferences: int
    seconds: float
    not_finite: int
    kept: int = 0


@dataclass
class Tally:
    """What a run added up to so far."""

    kept: frozenset[int] = frozenset()
    not_finite: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        self.not_finite += outcome.not_finite
        if outcome.failure is None:
            self.seconds.append(outcome.seconds)

    @property
    def median(self) -> float:
        """Seconds of one inference; NaN when there was none."""
        return float(np.median(self.seconds)) if self.seconds else float("nan")


def run(  # noqa: PLR0913 - the options of one command
    dlc: Path,
    input_list: Path,
    folder: Path,
    *,
    soc: Soc = DEFAULT,
    outputs: Sequence[str] = (),
    native_inputs: bool = False,
    native_outputs: bool = False,
    workers: int = 0,
    executor: Executor | None = None,
) -> RunResult:
    """Execute a DLC on every line of an input list. Results of an equal call that was interrupted are kept.

    Args:
        folder: where `Result_<i>` folders go; each appears whole.
        soc: the SoC whose HTP is emulated.
        outputs: tensors to write; those of the list's `%` line by default, else all.
        native_inputs, native_outputs: raw files in the model's own types instead of float32.
        workers: child processes; 0 takes up to two, as many as there are cores.
        executor: runs the inferences instead of child processes, such as a Dask cluster's `Client.get_executor()`;
            its workers must see the same files.

    Raises:
        DlcError, TensorError: the DLC or the list cannot be used; found before anything runs.
        ExecutionError: the runtime failed, or a worker died.
        StorageError: no space.
    """
    parsed = read_list(input_list)
    specs, written = _check(dlc, parsed, outputs, soc, native=native_inputs)
    names = result_names(spec.name for spec in written)
    job = Job(dlc.absolute(), dlc.stat().st_mtime_ns, soc, folder.absolute(), names, native_inputs, native_outputs)
    items = [Item(index, [named(line, specs, parsed.path, index)]) for index, line in enumerate(parsed.lines)]
    tally = Tally()
    with locked(folder):
        for outcome in perform(job, written, items, tally, workers=workers, executor=executor):
            if outcome.failure:
                raise outcome.failure
    return RunResult(folder, tuple(names), len(items), tally.median, tally.not_finite, len(tally.kept))


def perform(
    job: Job,
    specs: Sequence[TensorSpec],
    items: Sequence[Item],
    tally: Tally,
    *,
    workers: int = 0,
    executor: Executor | None = None,
    resume: bool = True,
    more: Iterable[Item] = (),
) -> Iterator[Outcome]:
    """Run what is not there yet, with a progress display; what each outcome adds is in `tally` before it is given.

    Call it with `job.folder` locked.

    Args:
        specs: the outputs that are written.
        resume: keep whole results of an equal call.
        more: inferences to run after those of `items`; their results are not kept.

    Raises:
        SnpeToolsError: a failure that every inference would meet; whole results are kept.
    """
    kept = claim(job, specs, items, resume=resume)
    job = replace(job, claim=kept.claim)
    tally.kept, tally.not_finite = kept.indices, kept.not_finite
    if kept.indices:
        say(f"{job.folder}: {len(kept.indices)} results of an equal run are whole and kept.")
    left = [item for item in items if item.index not in kept.indices]
    if not left:
        return
    count = workers or default_workers(len(left))
    with progress(f"running on {job.soc} (emulated)", len(left)) as advance:
        for outcome in execute(job, chain(left, more), workers=count, executor=executor):
            tally.add(outcome)
            if outcome.item.keep:
                advance()
            yield outcome


def _check(
    dlc: Path, parsed: InputList, outputs: Sequence[str], soc: Soc, *, native: bool
) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """The inputs, and the outputs to write, once the list is known to fit the model."""
    with dlc_format.open(dlc) as model:
        check_fit(str(dlc), [soc], need_of(model))
        known = {tensor.name: tensor.spec for tensor in model.graph.outputs}
        inputs = [tensor.spec for tensor in model.graph.inputs]
    check_list(parsed, inputs, native=native)
    asked = tuple(outputs) or parsed.outputs or tuple(known)
    return inputs, chosen(dlc, known, asked)


def output_shape(dlc: Path, output: str) -> tuple[int, ...]:
    """The shape of one output.

    Raises:
        UsageError: there is none of that name.
    """
    with dlc_format.open(dlc) as model:
        return chosen(dlc, {tensor.name: tensor.shape for tensor in model.graph.outputs}, [output])[0]

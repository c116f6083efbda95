"""`snpe-net-run` where there is no device: the same flags, lists, folders and text, on the Hexagon emulator.

Source of its behaviour: Qualcomm's public documentation of the tool and published calls of it; docs/net-run.md says
where this one differs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

from snpe_tools._version import __version__
from snpe_tools.core.errors import ExecutionError, UsageError
from snpe_tools.core.files import storage_errors
from snpe_tools.core.progress import say
from snpe_tools.core.raw_files import InputList, nested_name, read_list, result_names
from snpe_tools.core.socs import DEFAULT, Soc
from snpe_tools.core.tensor_spec import TensorSpec
from snpe_tools.core.validation import one_of
from snpe_tools.dlc.edit.outputs import tap
from snpe_tools.execution.emulator import Tally, perform
from snpe_tools.execution.net_run.profile import Profile, write_profile
from snpe_tools.execution.net_run.selection import DlcInterface, choose_outputs, gather_items, read_interface
from snpe_tools.execution.results import locked
from snpe_tools.execution.worker import Item, Job, Outcome
from snpe_tools.qnn.library import QAIRT_BUILD
from snpe_tools.qnn.profile import Event, Level

VERSION = f"SNPE v{QAIRT_BUILD}_snpe-tools-{__version__}"
_RULE = "-" * 79
_PROFILED = 20
"""Inferences that are recorded: enough for a median, and the files stay small."""
_SHOWN = 10
_CACHE_MODES = ("permissive", "strict", "always_generate_new")

Emit = Callable[[str], None]


@dataclass(frozen=True)
class NetRun:
    """What a call asks for; the names are the flags of `snpe-net-run`.

    Attributes:
        soc: the SoC whose HTP is emulated.
        duration: seconds to keep going, over the list again and again; at least once.
        always_generate_new: compile the graph, whatever caches the DLC has.
    """

    container: Path
    input_list: Path
    output_dir: Path = Path("output")
    soc: Soc = DEFAULT
    set_output_tensors: tuple[str, ...] = ()
    set_unconsumed_as_output: bool = False
    debug: bool = False
    use_native_input_files: bool = False
    use_native_output_files: bool = False
    duration: float = 0.0
    profiling_level: Level = Level.OFF
    always_generate_new: bool = False


@dataclass(frozen=True)
class NetRunResult:
    """What a call wrote.

    Attributes:
        inferences: results in the folder.
        kept: those of an equal call that was interrupted.
        executed: inferences that this call ran, repetitions of `--duration` included.
        seconds: median time of one in one worker; NaN when there was none. No latency of any device.
        busy: seconds inside the library's execution, of all inferences and workers together.
        not_finite: NaN and infinite numbers among all outputs.
        started: how the workers got the graph: "cache", "compiled", or "compiled, since …".
        profile: what was recorded, with `--profiling_level detailed` or `linting`.
    """

    folder: Path
    outputs: tuple[str, ...]
    inferences: int
    kept: int
    executed: int
    seconds: float
    busy: float
    not_finite: int
    started: tuple[str, ...]
    profile: Profile | None = None


def parse_level(text: str) -> Level:
    """A profiling level by name.

    Raises:
        UsageError: there is none of that name.
    """
    return one_of(Level, text, "profiling level")


def parse_cache_mode(text: str) -> bool:
    """Whether a cache compatibility mode means to compile anew.

    Raises:
        UsageError: there is none of that name.
    """
    return one_of(_CACHE_MODES, text, "cache compatibility mode") == _CACHE_MODES[-1]


def net_run(call: NetRun, emit: Emit, *, workers: int = 0, executor: Executor | None = None) -> NetRunResult:
    """Run a DLC on every line of an input list, as `snpe-net-run` does.

    Args:
        emit: receives each line of the tool's text.
        workers: child processes; 0 takes up to two, as many as there are cores.
        executor: runs the inferences instead of child processes.

    Raises:
        InputError, UsageError: found before anything runs.
        ExecutionError: some inferences failed, each is named; the results of all others are whole.
        StorageError: no space; what is whole is kept.
    """
    model = read_interface(call.container, call.soc)
    parsed = read_list(call.input_list, beside=False)
    written = choose_outputs(
        model, parsed, call.set_output_tensors, unconsumed=call.set_unconsumed_as_output, everything=call.debug
    )
    _warn_of_others(call, parsed, model, written)
    items = [
        replace(item, profiling=call.profiling_level if item.index < _PROFILED else Level.OFF)
        for item in gather_items(model, parsed, native=call.use_native_input_files)
    ]
    for line in (_RULE, "Model String: N/A", VERSION, _RULE):
        emit(line)
    with locked(call.output_dir), _tapped(call, model, written) as dlc:
        run = _Run(call, items, emit)
        more = _again(items, time.monotonic() + call.duration)
        resume = not call.duration and call.profiling_level is Level.OFF
        job = _job(call, dlc, written)
        for outcome in perform(
            job, written, items, run.tally, workers=workers, executor=executor, resume=resume, more=more
        ):
            run.take(outcome)
        run.print_done()
        profile = write_profile(call.output_dir, run.recorded, model.types) if run.recorded else None
    return run.finish([spec.name for spec in written], profile)


def _warn_of_others(call: NetRun, parsed: InputList, model: DlcInterface, written: Sequence[TensorSpec]) -> None:
    told = call.set_output_tensors or parsed.outputs or parsed.layers or call.set_unconsumed_as_output or call.debug
    left = [name for name in model.outputs if name not in {spec.name for spec in written}]
    if left and not told:
        say(
            f"WARNING: only the last output is written ({', '.join(spec.name for spec in written)}), as snpe-net-run "
            f"does; NOT written: {', '.join(left)}.\n"
            f"  → Name what you need: --set_output_tensors {','.join(model.outputs)}"
        )


def _job(call: NetRun, dlc: Path, written: Sequence[TensorSpec]) -> Job:
    files = result_names((spec.name for spec in written), nested_name)
    if len(set(files.values())) < len(files):
        raise UsageError(f"{call.container}: two of the tensors to write would have the same file name.")
    return Job(
        dlc=dlc.absolute(),
        modified=dlc.stat().st_mtime_ns,
        soc=call.soc,
        folder=call.output_dir.absolute(),
        outputs=files,
        native_inputs=call.use_native_input_files,
        native_outputs=call.use_native_output_files,
        use_cache=not call.always_generate_new and dlc == call.container,  # a cache has no tapped tensors
    )


@contextmanager
def _tapped(call: NetRun, model: DlcInterface, written: Sequence[TensorSpec]) -> Iterator[Path]:
    """The DLC; where tensors between its nodes are written, a copy that has them as outputs."""
    names = [spec.name for spec in written if spec.name not in model.outputs]
    copy = call.output_dir / ".tapped.dlc"
    try:
        if names:
            with storage_errors(copy):
                tap(call.container, copy, names)
        yield copy if names else call.container
    finally:
        copy.unlink(missing_ok=True)


def _again(items: Sequence[Item], end: float) -> Iterator[Item]:
    """The same inferences again until the clock reaches `end`; their results are there already."""
    for item in cycle(items):
        if time.monotonic() >= end:
            return
        yield replace(item, keep=False, profiling=Level.OFF)


class _Run:
    """The text of a call in the list's order, and what it came to."""

    def __init__(self, call: NetRun, items: Sequence[Item], emit: Emit) -> None:
        self.call, self.items, self.emit = call, items, emit
        self.tally = Tally()
        self.recorded: list[tuple[Event, ...]] = []
        self.failures: dict[int, str] = {}
        self._started: dict[str, None] = {}
        self._ended: set[int] = set()
        self._printed = 0

    def take(self, outcome: Outcome) -> None:
        index = outcome.item.index
        if outcome.failure and index not in self.failures:
            self.failures[index] = str(outcome.failure)
            say(f"inference {index} failed: {outcome.failure}")
        if outcome.events:
            self.recorded.append(outcome.events)
        if outcome.start and outcome.start not in self._started:
            self._started[outcome.start] = None
            say(f"  graph: {outcome.start}")
        self._ended.add(index)
        self._print()

    def _print(self) -> None:
        while self._printed in self._ended or self._printed in self.tally.kept:
            if self._printed not in self.failures:
                self.emit("Processing DNN input(s):")
                for row in self.items[self._printed].rows:
                    self.emit(" ".join(str(file) for file in row.values()))
            self._printed += 1

    def print_done(self) -> None:
        self._print()
        if not self.failures:
            self.emit("Successfully executed!")

    def finish(self, outputs: Sequence[str], profile: Profile | None) -> NetRunResult:
        if self.failures:
            shown = "".join(f"\n    {words}" for words in list(self.failures.values())[:_SHOWN])
            more = f"\n    … and {len(self.failures) - _SHOWN} more" if len(self.failures) > _SHOWN else ""
            good = len(self.items) - len(self.failures)
            raise ExecutionError(
                f"{len(self.failures)} of {len(self.items)} inferences failed; the other {good} results are whole, "
                f"in {self.call.output_dir}.{shown}{more}",
                "Mend the cause and repeat the call: what is whole is kept.",
            )
        return NetRunResult(
            folder=self.call.output_dir,
            outputs=tuple(outputs),
            inferences=len(self.items),
            kept=len(self.tally.kept),
            executed=len(self.tally.seconds),
            seconds=self.tally.median,
            busy=sum(self.tally.seconds),
            not_finite=self.tally.not_finite,
            started=tuple(self._started),
            profile=profile,
        )

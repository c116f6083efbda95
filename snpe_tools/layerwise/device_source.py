"""The inner tensors of a DLC on a device: debug copies are pushed and run there, and what they wrote is read here.

A copy has as outputs the tensors that are read together, not all of the model's: so neither the device's memory nor its
storage has to hold more than a group of them, whatever the number of layers. The copies go with their runs.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from snpe_tools.core.files import scratch_folder
from snpe_tools.core.progress import say
from snpe_tools.core.raw_files import InputList
from snpe_tools.core.socs import DEFAULT, Soc
from snpe_tools.core.tensor_spec import Array
from snpe_tools.devices import Device, connect
from snpe_tools.devices.facts import Facts, read_facts
from snpe_tools.devices.runtimes import DeviceJob, Runtime
from snpe_tools.devices.runtimes.choosing import choose_runtime, choose_soc
from snpe_tools.dlc.edit.outputs import tap
from snpe_tools.execution.device_results import DeviceOutputs, obtain
from snpe_tools.execution.on_device import make_job
from snpe_tools.execution.targets import Place, kept_log
from snpe_tools.layerwise.dlc_source import DlcSource
from snpe_tools.layerwise.layer import Reader

RUN_BYTES = 512 << 20
"""Float32 bytes that one run on a device may write; an inference by itself may write more."""
_SPARE = 64 << 20
_Part = tuple[tuple[str, ...], int]
"""Names of tensors, and which of the batches of inferences."""


@contextmanager
def device_source(model: Path, inputs: InputList, place: Place, *, native: bool) -> Iterator[DlcSource]:
    """A DLC whose tensors are computed on a device, as they are read.

    Args:
        inputs: the inferences, with whole paths.

    Raises:
        InputError, UsageError: found before anything is pushed.
        SetupError, DeviceError, StorageError: see `snpe_tools.execution.on_device.run_on_device`.
    """
    with (
        connect(place.address, root=place.options.root) as device,
        tempfile.TemporaryDirectory(prefix="snpe-tools.") as packed,
        kept_log() as log,
        ExitStack() as kept,
    ):
        facts = read_facts(device)
        meant = choose_soc(facts, place.options.soc, fallback=DEFAULT)
        task = make_job(model, inputs, meant, native=native, debug=True)
        runtime = choose_runtime(facts, meant, Path(packed), place.options.runtime)
        say(f"  {device}: {runtime.label}; no compiled cache fits a debug copy, so the device compiles each")
        runs = _DebugRuns(device, runtime, place, task, inputs, log, kept)
        yield DlcSource(model, runs.reader, kind=_kind(device, facts, meant, runtime))


def _kind(device: Device, facts: Facts, soc: Soc, runtime: Runtime) -> str:
    """For people: which device computed it, and what ran there."""
    what = f"emulates {soc}" if runtime.emulated else str(soc)
    return f"{device} ({', '.join(filter(None, (facts.model, what)))}): {runtime.label}"


@dataclass
class _DebugRuns:
    """Runs a debug copy for each group of tensors; the files of one run at a time are on this machine.

    Attributes:
        task: the model as it is, on all inferences.
        kept: closes what the last run left here.
    """

    device: Device
    runtime: Runtime
    place: Place
    task: DeviceJob
    inputs: InputList
    log: Path
    kept: ExitStack
    _shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    _current: tuple[_Part, DeviceOutputs] | None = None

    def reader(self, shapes: Mapping[str, Sequence[int]]) -> Reader:
        """What reads tensors of these names and shapes."""
        self._shapes = shapes
        return self.read

    def read(self, wanted: Sequence[str], index: int) -> Mapping[str, Array]:
        """Tensors of one inference; a run is kept as long as the same ones of its inferences are read."""
        each = sum(4 * math.prod(self._shapes[name]) for name in wanted)
        count = max(1, RUN_BYTES // each)
        part = tuple(wanted), index // count
        if not self._current or self._current[0] != part:
            self._current = None
            self._current = part, self._run(part[0], part[1] * count, count, each)
        return self._current[1].results(index % count)

    def _run(self, wanted: tuple[str, ...], first: int, count: int, each: int) -> DeviceOutputs:
        self.kept.close()
        model, lines = self.task.dlc, self.inputs.lines[first : first + count]
        folder = self.kept.enter_context(scratch_folder(model.stat().st_size + 2 * each * len(lines) + _SPARE))
        copy = folder / model.name
        say(f"  {self.device}: {len(wanted)} tensors of {len(lines)} inferences are computed and read back")
        own = {spec.name for spec in self.task.all_outputs}
        tap(model, copy, [name for name in wanted if name not in own])
        inputs = replace(self.inputs, lines=lines)
        task = make_job(copy, inputs, self.task.soc, outputs=wanted, native=self.task.native, debug=True)
        task = replace(task, profile=self.place.options.profile)
        (folder / "run").mkdir()
        return obtain(self.device, self.runtime, task, folder / "run", self.log, timeout=self.place.options.timeout)

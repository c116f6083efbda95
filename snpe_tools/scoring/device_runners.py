"""Devices as stages of the score: a row for each, or one for all that share the questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from snpe_tools.core.errors import UsageError
from snpe_tools.core.precision import Precision
from snpe_tools.core.progress import say
from snpe_tools.core.raw_files import file_name
from snpe_tools.core.socs import Soc
from snpe_tools.devices import DeviceAddress
from snpe_tools.execution.emulator import output_shape
from snpe_tools.execution.fleet import Fleet, FleetMember, check_rows, look, run_sharded
from snpe_tools.execution.on_device import DeviceOptions, DeviceRun
from snpe_tools.execution.results import read_results
from snpe_tools.execution.written_inputs import write_windows
from snpe_tools.project.workspace import Workspace
from snpe_tools.scoring.evaluate import Stage
from snpe_tools.scoring.gate import Lost
from snpe_tools.tasks.question_answering.features import Windows
from snpe_tools.tasks.question_answering.inference import LOGITS, Logits

X86 = "x86_64"


@dataclass
class DeviceStages:
    """The devices that a score asks.

    Attributes:
        space: of the model.
        socs: that the model was prepared for.
        members: the devices.
        shard: split the questions over them, instead of asking each all of them.
    """

    space: Workspace
    precision: Precision
    socs: tuple[Soc, ...]
    members: Sequence[FleetMember]
    fleet: Fleet
    shard: bool = False
    _started: dict[str, Future[DeviceRun]] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    @classmethod
    def find(
        cls,
        addresses: Sequence[DeviceAddress],
        space: Workspace,
        precision: Precision,
        socs: tuple[Soc, ...],
        options: DeviceOptions,
        *,
        shard: bool = False,
    ) -> DeviceStages:
        """Look at every device; one that cannot be reached is a stage that fails.

        Raises:
            UsageError: `shard`, and no device to split the questions over.
        """
        if shard and not addresses:
            raise UsageError("--shard (SHARD=1) splits the questions over devices, and none is named.", "--device A,B")
        members = look(addresses, options.root)
        for member in members:
            if member.problem:
                say(f"  {member}: {member.problem.message}")
        wishes = {str(member): _wish_for(member, options, socs) for member in members}
        return cls(space, precision, socs, members, Fleet(wishes), shard=shard)

    @property
    def emulated(self) -> bool:
        """Whether one of them only emulates: then all are asked the smaller sample."""
        return any(member.facts and member.facts.machine == X86 for member in self.members)

    def stages(self, questions: int) -> list[Stage]:
        """The stages; `questions` of them where a device emulates, all on real ones."""
        asked = questions if self.emulated else 0
        if self.shard:
            name = f"dlc-{self.precision}@{'+'.join(map(str, self.members))}"
            return [Stage(name, self._runtimes(), self._shared(name), asked, may_fail=True)]
        return [self._stage(member, asked) for member in self.members]

    def _stage(self, member: FleetMember, questions: int) -> Stage:
        name = f"dlc-{self.precision}@{member}"
        self._names[str(member)] = name
        runtime = "not reached"
        if facts := member.facts:
            soc = f"{facts.soc} (v{facts.soc.arch})" if facts.soc else facts.machine
            runtime = f"{facts.system} {facts.release}, {soc}"
        return Stage(name, runtime, lambda windows: self._whole(member, windows), questions, may_fail=True)

    def _runtimes(self) -> str:
        socs = {str(member.facts.soc or member.facts.machine) for member in self.members if member.facts}
        return f"questions split over devices: {', '.join(sorted(socs))}"

    def _whole(self, member: FleetMember, windows: Windows) -> Logits:
        """All windows on one device. The first stage that is asked starts all of them."""
        if not self._started:
            listed = write_windows(self.space.onnx, windows, self._folder("inputs")).list_file
            jobs = {str(one): self._job(one, listed) for one in self.members}
            self._started = self.fleet.at_once(jobs)
        return self._logits(self._started[str(member)].result(), range(len(windows)), len(windows))

    def _job(self, member: FleetMember, listed: Path) -> Callable[[], DeviceRun]:
        return lambda: self.fleet.run(member, self._dlc(member), listed, self._folder(str(member)))

    def _shared(self, name: str) -> Callable[[Windows], Logits]:
        def compute(windows: Windows) -> Logits:
            def carry_out(member: FleetMember, rows: Sequence[int], turn: int) -> DeviceRun:
                self._names[str(member)] = name
                part = windows.take(np.array(rows, np.intp))
                folder = self._folder(f"{member}.{turn}")
                listed = write_windows(self.space.onnx, part, folder.with_name(f"{folder.name}.inputs")).list_file
                return self.fleet.run(member, self._dlc(member), listed, folder)

            shares = [*run_sharded(self.fleet, self.members, range(len(windows)), carry_out)]
            check_rows(shares, len(windows))
            parts = [self._logits(share.run, share.rows, len(windows)) for share in shares]
            start, end = (sum(part.logits[side] for part in parts) for side in (0, 1))
            return Logits(np.asarray(start), np.asarray(end), sum(part.seconds for part in parts))

        return compute

    def _logits(self, run: DeviceRun, rows: Sequence[int], count: int) -> Logits:
        """A run's logits in their places among `count` windows; 0 elsewhere."""
        dlc, length = self.space.dlc(self.precision), run.inferences
        sides = []
        for output in LOGITS:
            found = read_results(run.folder, output, output_shape(dlc, output), length).reshape(length, -1)
            whole = np.zeros((count, found.shape[1]), np.float32)
            whole[list(rows)] = found
            sides.append(whole)
        return Logits(sides[0], sides[1], run.timing.mean * length)

    def _dlc(self, member: FleetMember) -> Path:
        """The prepared DLC where it has a cache for this device, else the one without any."""
        soc = self.fleet.wishes[str(member)].soc or (member.facts.soc if member.facts else None)
        if soc in self.socs:
            return self.space.prepared(self.precision, self.socs)
        return self.space.dlc(self.precision)

    def _folder(self, name: str) -> Path:
        return self.space.raws(f"dlc-{self.precision}.devices") / file_name(name)

    def records(self) -> list[dict[str, Any]]:
        """What accuracy.json keeps of every device that ran."""
        return [
            {
                "stage": self._names.get(run.address, ""),
                **run.record(),
                "inferences": run.inferences,
                "bytes_pushed": run.moved,
                "log": str(run.log),
            }
            for run in self.fleet.runs
        ]

    def lost(self) -> tuple[Lost, ...]:
        """Devices that failed while others did their share; without `shard` each is a stage of its own."""
        failures = self.fleet.lost if self.shard else {}
        name = f"dlc-{self.precision}@"
        return tuple(Lost(name + key, "", problem.message, problem.hint) for key, problem in failures.items())


def _wish_for(member: FleetMember, options: DeviceOptions, socs: tuple[Soc, ...]) -> DeviceOptions:
    """A device that does not say its SoC is taken for one that the model was prepared for, if that is only one."""
    silent = member.facts is not None and member.facts.soc is None
    known = len(socs) == 1 or (member.facts is not None and member.facts.machine == X86)
    return replace(options, soc=socs[0]) if silent and known and not options.soc else options

"""Devices as runners of the score: a row for each, or one for all that share the examples."""

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
from snpe_tools.execution.written_inputs import write_batch
from snpe_tools.project.workspace import Workspace
from snpe_tools.scoring.evaluate import Runner
from snpe_tools.scoring.gate import FailedRunner
from snpe_tools.scoring.host_runners import without_batch_axis
from snpe_tools.tasks import Batch, Outputs

X86 = "x86_64"


@dataclass
class DeviceRunners:
    """The devices that a score asks.

    Attributes:
        space: of the model.
        socs: that the model was prepared for.
        members: the devices.
        outputs: names of those that the task reads.
        shard: split the examples over them, instead of asking each all of them.
    """

    space: Workspace
    precision: Precision
    socs: tuple[Soc, ...]
    members: Sequence[FleetMember]
    fleet: Fleet
    outputs: tuple[str, ...]
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
        outputs: tuple[str, ...],
        shard: bool = False,
    ) -> DeviceRunners:
        """Look at every device; one that cannot be reached is a runner that fails.

        Raises:
            UsageError: `shard`, and no device to split the examples over.
        """
        if shard and not addresses:
            raise UsageError("--shard (SHARD=1) splits the questions over devices, and none is named.", "--device A,B")
        members = look(addresses, options.root)
        for member in members:
            if member.problem:
                say(f"  {member}: {member.problem.message}")
        each = {str(member): _options_for(member, options, socs) for member in members}
        return cls(space, precision, socs, members, Fleet(each), outputs, shard=shard)

    @property
    def emulated(self) -> bool:
        """Whether one of them only emulates: then all are asked the smaller sample."""
        return any(member.facts and member.facts.machine == X86 for member in self.members)

    def runners(self, examples: int) -> list[Runner]:
        """The runners; `examples` of them where a device emulates, all on real ones."""
        asked = examples if self.emulated else 0
        if self.shard:
            name = f"dlc-{self.precision}@{'+'.join(map(str, self.members))}"
            return [Runner(name, self._runtimes(), self._shared(name), asked, may_fail=True)]
        return [self._runner(member, asked) for member in self.members]

    def _runner(self, member: FleetMember, examples: int) -> Runner:
        name = f"dlc-{self.precision}@{member}"
        self._names[str(member)] = name
        runtime = "not reached"
        if facts := member.facts:
            soc = f"{facts.soc} (v{facts.soc.arch})" if facts.soc else facts.machine
            runtime = f"{facts.system} {facts.release}, {soc}"
        return Runner(name, runtime, lambda batch: self._whole(member, batch), examples, may_fail=True)

    def _runtimes(self) -> str:
        socs = {str(member.facts.soc or member.facts.machine) for member in self.members if member.facts}
        return f"questions split over devices: {', '.join(sorted(socs))}"

    def _whole(self, member: FleetMember, batch: Batch) -> Outputs:
        """All inferences on one device. The first runner that is asked starts all of them."""
        if not self._started:
            listed = write_batch(self.space.onnx, batch, self._folder("inputs")).list_file
            jobs = {str(one): self._job(one, listed) for one in self.members}
            self._started = self.fleet.at_once(jobs)
        return self._outputs(self._started[str(member)].result(), range(len(batch)), len(batch))

    def _job(self, member: FleetMember, listed: Path) -> Callable[[], DeviceRun]:
        return lambda: self.fleet.run(member, self._dlc(member), listed, self._folder(str(member)))

    def _shared(self, name: str) -> Callable[[Batch], Outputs]:
        def compute(batch: Batch) -> Outputs:
            def carry_out(member: FleetMember, rows: Sequence[int], turn: int) -> DeviceRun:
                self._names[str(member)] = name
                part = batch.take(np.array(rows, np.intp))
                folder = self._folder(f"{member}.{turn}")
                listed = write_batch(self.space.onnx, part, folder.with_name(f"{folder.name}.inputs")).list_file
                return self.fleet.run(member, self._dlc(member), listed, folder)

            shares = [*run_sharded(self.fleet, self.members, range(len(batch)), carry_out)]
            check_rows(shares, len(batch))
            parts = [self._outputs(share.run, share.rows, len(batch)) for share in shares]
            whole = {output: np.sum([part.arrays[output] for part in parts], axis=0) for output in self.outputs}
            return Outputs(whole, sum(part.seconds for part in parts))

        return compute

    def _outputs(self, run: DeviceRun, rows: Sequence[int], count: int) -> Outputs:
        """A run's outputs in their places among `count` inferences; 0 elsewhere."""
        dlc, length = self.space.dlc(self.precision), run.inferences
        found = {}
        for output in self.outputs:
            read = without_batch_axis(read_results(run.folder, output, output_shape(dlc, output), length))
            found[output] = np.zeros((count, *read.shape[1:]), np.float32)
            found[output][list(rows)] = read
        return Outputs(found, run.timing.mean * length)

    def _dlc(self, member: FleetMember) -> Path:
        """The prepared DLC where it has a cache for this device, else the one without any."""
        soc = self.fleet.options[str(member)].soc or (member.facts.soc if member.facts else None)
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

    def failed(self) -> tuple[FailedRunner, ...]:
        """Devices that failed while others did their share; without `shard` each is a runner of its own."""
        failures = self.fleet.lost if self.shard else {}
        name = f"dlc-{self.precision}@"
        return tuple(FailedRunner(name + key, "", problem.message, problem.hint) for key, problem in failures.items())


def _options_for(member: FleetMember, options: DeviceOptions, socs: tuple[Soc, ...]) -> DeviceOptions:
    """A device that does not say its SoC is taken for one that the model was prepared for, if that is only one."""
    silent = member.facts is not None and member.facts.soc is None
    known = len(socs) == 1 or (member.facts is not None and member.facts.machine == X86)
    return replace(options, soc=socs[0]) if silent and known and not options.soc else options

"""What a run on a device left, once its files are known to be those that were asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.errors import DeviceError, ExecutionError
from snpe_tools.core.tensor_spec import Array
from snpe_tools.devices import Device
from snpe_tools.devices.runtimes import DeviceJob, Fetched, Runtime, Timing
from snpe_tools.devices.session import Delivery, carry_out


@dataclass(frozen=True)
class DeviceOutputs:
    """What a run left, on this machine.

    Attributes:
        fetched: its files, readable as long as the folder that `obtain` was given.
        log: what the runtime printed.
    """

    device: Device
    runtime: Runtime
    task: DeviceJob
    fetched: Fetched
    log: Path
    timing: Timing
    sent: Delivery

    def results(self, index: int) -> dict[str, Array]:
        """Float32 outputs of one inference, by name.

        Raises:
            DeviceError: a file is missing, or has another size.
        """
        with _told(self.device, self.log):
            return self.runtime.results(self.task, self.fetched, index)


def obtain(
    device: Device, runtime: Runtime, task: DeviceJob, scratch: Path, log: Path, *, timeout: float = 0
) -> DeviceOutputs:
    """Run a task; see `snpe_tools.devices.session.carry_out`.

    Raises:
        DeviceError: the run failed, or wrote other results than it should.
        DeviceLostError: the connection broke.
        StorageError: no space, here or there.
    """
    fetched, sent = carry_out(device, runtime, task, scratch, log, timeout=timeout)
    with _told(device, log):
        timing = runtime.timing(task, fetched)
        _check_count(task, fetched)
    return DeviceOutputs(device, runtime, task, fetched, log, timing, sent)


@contextmanager
def _told(device: Device, log: Path) -> Iterator[None]:
    try:
        yield
    except ExecutionError as problem:
        raise DeviceError(problem.message, f"{problem.hint} The run's log: {log}", address=str(device)) from problem


def _check_count(task: DeviceJob, fetched: Fetched) -> None:
    written = len([*fetched.output.glob("Result_*")])
    if written not in {len(task.lines), task.warm_up + len(task.lines) * task.repeat}:
        raise ExecutionError(
            f"The device wrote {written} results for {len(task.lines)} inferences.", "Was it killed? Try again."
        )

"""One run on a device: runtime, model and raw files there, the command, and its results back here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from snpe_tools.core.progress import progress
from snpe_tools.devices.device import Device
from snpe_tools.devices.failures import failed
from snpe_tools.devices.runtimes import OUTPUT, Call, DeviceJob, Fetched, Runtime
from snpe_tools.devices.shell import Script
from snpe_tools.devices.storage.bundle import push_bundle
from snpe_tools.devices.storage.run_folder import run_folder
from snpe_tools.devices.storage.transfer import pull_folder

RUNTIME, MODEL, INPUTS = "runtime", "dlc", "inputs"
"""Kinds of bundles: what seldom changes is apart from what often does."""
_OWN = ""
"""What is of one run alone lies in its folder, and goes with it."""
_DLC = "model.dlc"
_RAWS = "raws/"
_SPARE = 64 << 20
"""Bytes that a run may write beside its outputs: its log, and diagnostics."""
_START, _EACH = 900.0, 120.0
"""Seconds that a run may take: to compile a graph, and for one inference on the slowest of devices."""
_DONE = ("done ", "Processing DNN input", "Processing graph")
"""How runtimes begin the line of an inference."""


@dataclass(frozen=True)
class Delivery:
    """What was pushed and stays there: bytes in all, and those that were not there yet."""

    total: int
    moved: int


def carry_out(
    device: Device, runtime: Runtime, task: DeviceJob, scratch: Path, log: Path, *, timeout: float = 0
) -> tuple[Fetched, Delivery]:
    """Run a task.

    Args:
        scratch: an empty folder here; its `output` is what the device wrote.
        log: file here that keeps all that the command printed, whatever becomes of it.
        timeout: seconds that the command may take; 0 for a bound that only a hanging one reaches.

    Raises:
        DeviceError: the command failed, or wrote something else than it should; on the device its folder is kept.
        DeviceLostError: the connection broke.
        StorageError: the device is full.
    """
    program = push_bundle(device, runtime.bundle(), RUNTIME)
    call = runtime.call(task, PurePosixPath(program.folder), scratch)
    parts = {kind: _files(call, task, kind) for kind in (MODEL, INPUTS, _OWN)}
    own = parts.pop(_OWN)
    pushed = [push_bundle(device, files, kind) for kind, files in parts.items() if files]
    uses = [program.name, *(bundle.name for bundle in pushed)]
    size = sum(file.stat().st_size for file in own.values())
    with run_folder(device, needed=_outputs(task) + size + _SPARE, uses=uses) as folder:
        for bundle in pushed:
            device.check(Script.of("ln -s -- {}/* {}", bundle.folder, folder))
        _make_folders(device, folder, [OUTPUT, *call.folders])
        with progress(f"pushing to {device}", size, in_bytes=True) as advance:
            for name, file in own.items():
                device.push(file, f"{folder}/{name}", advance)
        text = _command(device, call, task, folder, log, timeout)
        pull_folder(device, f"{folder}/{OUTPUT}", scratch / OUTPUT, limit=2 * _outputs(task) + _SPARE)
    total = [program, *pushed]
    return Fetched(scratch / OUTPUT, text), Delivery(sum(one.total for one in total), sum(one.sent for one in total))


def _files(call: Call, task: DeviceJob, kind: str) -> dict[str, Path]:
    """The files of one kind of bundle, or those of this run alone."""
    return {name: file for name, file in call.files.items() if _kind(name, task) == kind}


def _kind(name: str, task: DeviceJob) -> str:
    if name == _DLC:
        return _OWN if task.debug else MODEL
    return INPUTS if name.startswith(_RAWS) else _OWN


def _make_folders(device: Device, folder: str, names: Sequence[str]) -> None:
    listed = "".join(f"{name}\0" for name in names).encode()
    device.check(["xargs", "-0", "mkdir", "-p", "--"], folder=folder, chunks=[listed])


def _outputs(task: DeviceJob) -> int:
    """Bytes of all outputs, also of those that nobody asked for, in the wider of both forms."""
    each = sum(max(spec.nbytes(), spec.nbytes(native=True)) for spec in task.all_outputs or task.outputs)
    return each * _inferences(task)


def _inferences(task: DeviceJob) -> int:
    return task.warm_up + len(task.lines) * task.repeat


def _command(device: Device, call: Call, task: DeviceJob, folder: str, log: Path, timeout: float) -> str:
    """Run the command with a progress display. Its lines are in the log as they arrive: a lost device keeps its own."""
    bound = timeout or _START + _EACH * _inferences(task)
    log.parent.mkdir(parents=True, exist_ok=True)
    with progress(f"running on {device}", _inferences(task)) as advance, log.open("w", encoding="utf-8") as stream:

        def take(line: str) -> None:
            stream.write(f"{line}\n")
            if line.startswith(_DONE):
                advance()

        finished = device.run(call.command, folder=folder, environment=call.environment, timeout=bound, on_line=take)
    if finished.status:
        raise failed(str(device), PurePosixPath(call.command[0]).name, finished, str(log))
    return finished.output

"""DLC + input list → Result_<i>/<tensor>.raw, on a device: push, run, pull, and look at what came back."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import snpe_tools.dlc as dlc_format
from snpe_tools.core.errors import UsageError
from snpe_tools.core.files import plain, whole_folder, write_text
from snpe_tools.core.progress import say, warn
from snpe_tools.core.raw_files import InputList, check_list, flat_name, named, read_list, result_names
from snpe_tools.core.socs import DEFAULT, Soc, check_fit
from snpe_tools.core.validation import chosen
from snpe_tools.devices import Device, DeviceAddress, check_root, connect
from snpe_tools.devices.facts import Facts, read_facts
from snpe_tools.devices.runtimes import DeviceJob, Runtime, Timing
from snpe_tools.devices.runtimes.choosing import choose_runtime, choose_soc
from snpe_tools.devices.state import DeviceState, read_state
from snpe_tools.execution.device_results import DeviceOutputs, obtain
from snpe_tools.execution.worker import count_not_finite
from snpe_tools.inspection.history import compiled_caches
from snpe_tools.inspection.targets import need_of
from snpe_tools.toolchains.sdk.versions import Version

RECORD = "run.json"


@dataclass(frozen=True)
class DeviceOptions:
    """What a user may choose of a run on a device.

    Attributes:
        soc: None takes the device's own.
        runtime: "snpe", "qnn", "board" or "native"; "" takes the first that there is.
        profile: performance profile, "" for the runtime's own choice.
        root: folder on the device; "" for the usual one.
        timeout: seconds that the run may take; 0 for a bound that only a hanging one reaches.
    """

    soc: Soc | None = None
    runtime: str = ""
    profile: str = ""
    root: str = ""
    timeout: float = 0.0

    def __post_init__(self) -> None:
        """Refused here, before anything is built for the device.

        Raises:
            UsageError: `root` is no whole path, or `timeout` no number of seconds.
        """
        check_root(self.root)
        if not self.timeout >= 0:
            raise UsageError(f"--timeout {self.timeout:g} is no number of seconds.", "Name a positive number.")


@dataclass(frozen=True)
class DeviceRun:
    """What a run on a device was, for people and for accuracy.json.

    Attributes:
        folder: holds `Result_<i>` folders, and `run.json` with all of this.
        log: what the runtime printed.
        emulated: the device is a computer that emulates the HTP: its seconds say nothing about a device.
        profile: performance profile that was set; "" when none was.
        states: how warm and how powered the device was before and after.
        pushed, moved: bytes that the run needs on the device, and those that were not there yet.
    """

    address: str
    folder: Path
    log: Path
    outputs: tuple[str, ...]
    inferences: int
    not_finite: int
    facts: Facts
    soc: Soc
    runtime: str
    versions: Mapping[str, str]
    emulated: bool
    profile: str
    timing: Timing
    pushed: int
    moved: int
    states: tuple[DeviceState, DeviceState] = (DeviceState(), DeviceState())

    def record(self) -> dict[str, Any]:
        """What accuracy.json keeps of it."""
        found = self.facts
        return {
            "device": self.address,
            "model": found.model,
            "soc": self.soc.name,
            "soc_as_told": found.soc_name,
            "htp": f"v{self.soc.arch}",
            "os": f"{found.system} {found.release}".strip(),
            "kernel": found.kernel,
            "machine": found.machine,
            "runtime": self.runtime,
            "versions": dict(self.versions),
            "emulated": self.emulated,
            "profile": self.profile or "none set",
            "start": self.timing.start,
            "state": dict(zip(("before", "after"), self.states, strict=True)),
        }


def run_on_device(
    address: DeviceAddress | str,
    dlc: Path,
    input_list: Path,
    folder: Path,
    *,
    outputs: Sequence[str] = (),
    native: bool = False,
    options: DeviceOptions = DeviceOptions(),
    log: Path | None = None,
) -> DeviceRun:
    """Execute a DLC on a device, on every line of an input list. The results are float32, as the emulator's.

    Args:
        folder: where `Result_<i>` folders go; replaced as a whole.
        outputs: tensors to write; those of the list's `%` line by default, else all.
        native: raw files hold the model's own types.
        log: for what the device printed; `<folder>.log` by default.

    Raises:
        InputError, UsageError: found before anything is pushed.
        SetupError: nothing on this machine runs on such a device.
        DeviceError: it cannot be reached, the run failed, or it wrote something else than it should.
        StorageError: no space, here or there.
    """
    with connect(address, root=options.root) as device:
        return run_connected(
            device, dlc, read_list(input_list), folder, outputs=outputs, native=native, options=options, log=log
        )


def run_connected(  # noqa: PLR0913 - as `run_on_device`, and what a benchmark adds
    device: Device,
    dlc: Path,
    parsed: InputList,
    folder: Path,
    *,
    outputs: Sequence[str] = (),
    native: bool = False,
    options: DeviceOptions = DeviceOptions(),
    repeats: tuple[int, int] = (0, 1),
    log: Path | None = None,
) -> DeviceRun:
    """The same on a connected device, with a list that was read. `repeats` are inferences to warm up, and runs."""
    facts = read_facts(device)
    soc = choose_soc(facts, options.soc, fallback=DEFAULT)
    task = make_job(dlc, parsed, soc, outputs=outputs, native=native)
    result_names(spec.name for spec in task.outputs)
    task = replace(task, profile=options.profile, warm_up=repeats[0], repeat=repeats[1])
    log = log or folder.with_name(f"{folder.name}.log")
    with tempfile.TemporaryDirectory(prefix="snpe-tools.") as scratch:
        runtime = choose_runtime(facts, soc, Path(scratch), options.runtime)
        say(f"  {device}: {facts.soc_name or facts.machine}, {runtime.label}")
        task = without_newer_cache(task, runtime)
        before = read_state(device)
        left = obtain(device, runtime, task, Path(scratch), log, timeout=options.timeout)
        states = before, read_state(device)
        with whole_folder(folder, known_by=RECORD) as temporary:
            done = _done(left, facts, folder, _write(left, temporary), states)
            write_text(temporary / RECORD, json.dumps(plain(done.record()), indent=1) + "\n")
    return done


def _done(
    left: DeviceOutputs, facts: Facts, folder: Path, not_finite: int, states: tuple[DeviceState, DeviceState]
) -> DeviceRun:
    task, runtime = left.task, left.runtime
    return DeviceRun(
        address=str(left.device),
        folder=folder,
        log=left.log,
        outputs=tuple(spec.name for spec in task.outputs),
        inferences=len(task.lines),
        not_finite=not_finite,
        facts=facts,
        soc=task.soc,
        runtime=runtime.label,
        versions=runtime.versions,
        emulated=runtime.emulated,
        profile=task.profile or runtime.profile,
        timing=left.timing,
        pushed=left.sent.total,
        moved=left.sent.moved,
        states=states,
    )


def make_job(
    dlc: Path,
    parsed: InputList,
    soc: Soc,
    *,
    outputs: Sequence[str] = (),
    native: bool = False,
    debug: bool = False,
) -> DeviceJob:
    """What is to run, once DLC, list and SoC are known to fit each other.

    Args:
        debug: `dlc` is a copy whose inner tensors are outputs: see `Task`.

    Raises:
        DlcError, TensorError, UsageError: they do not.
    """
    with dlc_format.open(dlc) as model:
        check_fit(str(dlc), [soc], need_of(model))
        inputs = [tensor.spec for tensor in model.graph.inputs]
        known = {tensor.name: tensor.spec for tensor in model.graph.outputs}
        graphs = [graph.name for graph in model.graphs]
        cache, recompile = (None, bool(model.caches)) if debug else (_cache(model, dlc.name, soc), False)
        by = {one.soc: one.built_by for one in compiled_caches(model)}.get(soc.name, "") if cache else ""
    check_list(parsed, inputs, native=native)
    asked = tuple(outputs) or parsed.outputs or tuple(known)
    return DeviceJob(
        dlc=dlc,
        graphs=graphs,
        inputs=inputs,
        outputs=chosen(dlc, known, asked),
        all_outputs=[*known.values()],
        lines=[named(line, inputs, parsed.path, index) for index, line in enumerate(parsed.lines)],
        soc=soc,
        cache=cache,
        cache_by=by,
        native=native,
        token=secrets.token_hex(16),
        debug=debug,
        recompile=recompile,
    )


def _cache(model: dlc_format.Dlc, name: str, soc: Soc) -> tuple[int, int] | None:
    """Offset and bytes of the context that was compiled for a SoC; where there are others only, that is said."""
    found = model.cache_record(soc.name)
    if found:
        record = model.container.records[found]
        return record.offset, record.size
    if model.caches:
        others = ", ".join(cache.soc for cache in model.caches)
        say(f"  {name} has caches for {others}, none for {soc}: the device compiles it at every start.")
    return None


def without_newer_cache(job: DeviceJob, runtime: Runtime) -> DeviceJob:
    """The same job, without its cache where that was compiled by a newer QAIRT than the device gets, and so said."""
    has = Version.find(runtime.versions.get("sdk") or runtime.versions.get("qairt", ""))
    needs = Version.find(job.cache_by)
    if not job.cache or not has or not needs or needs <= has:
        return job
    warn(
        f"{job.dlc.name}: its cache for {job.soc} is of QAIRT {needs.major}.{needs.minor}, which QAIRT {has} refuses: "
        "the device compiles at every start. A runtime that takes it: snpe-tools sdk fetch; or TOOLCHAIN=sdk."
    )
    return replace(job, cache=None, recompile=True)


def _write(left: DeviceOutputs, folder: Path) -> int:
    """Write results as every run's are: flat names, float32. Gives how many numbers are NaN or infinite."""
    bad = 0
    for index in range(len(left.task.lines)):
        results = left.results(index)
        bad += count_not_finite(results.values())
        (folder / f"Result_{index}").mkdir()
        for name, values in results.items():
            (folder / f"Result_{index}" / flat_name(name)).write_bytes(values.tobytes())
    return bad

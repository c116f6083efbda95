"""Whether a device can run a DLC, and what to do where it cannot: one finding for each thing that a run needs."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.errors import DeviceError, SnpeToolsError
from snpe_tools.core.findings import Finding
from snpe_tools.core.socs import DEFAULT, Soc
from snpe_tools.devices import Device, DeviceAddress, Script, connect
from snpe_tools.devices.facts import Facts, read_facts
from snpe_tools.devices.runtimes import Runtime
from snpe_tools.devices.runtimes.board import BoardRunner
from snpe_tools.devices.runtimes.choosing import X86, choose_runtime, choose_soc

_FREE = 1 << 30
_OLDEST_PYTHON = (3, 10)
_PROGRAM = """T=$1/.snpe-tools.$$; mkdir -p -- "$1" && printf '#!/bin/sh\\nexit 0\\n' > "$T" && chmod 755 "$T" && "$T"
S=$?; rm -f -- "$T"; exit $S"""
_DSP = """for F in /dev/fastrpc-cdsp /dev/fastrpc-cdsp-secure /dev/adsprpc-smd /dev/adsprpc-smd-secure; do
[ -e "$F" ] && { [ -r "$F" ] && echo "may $F" || echo "no $F"; }; done; true"""
_RPC = """for D in /vendor/lib64 /system/vendor/lib64 /usr/lib /usr/lib64 /usr/lib/aarch64-linux-gnu /lib; do
[ -e "$D/libcdsprpc.so" ] && echo "$D"; done; true"""


@dataclass(frozen=True)
class Readiness:
    """A device as `snpe-tools devices` lists it; without `facts` it could not be asked."""

    address: str
    facts: Facts | None
    findings: tuple[Finding, ...]

    @property
    def missing(self) -> tuple[Finding, ...]:
        """What a run lacks."""
        return tuple(finding for finding in self.findings if finding.state == "missing")


def examine(address: DeviceAddress, *, root: str = "", runtime: str = "", soc: Soc | None = None) -> Readiness:
    """Look at a device. Nothing stays there but the folder for our files."""
    try:
        with connect(address, root=root) as device:
            facts = read_facts(device)
            return Readiness(str(device), facts, tuple(_findings(device, facts, runtime, soc)))
    except SnpeToolsError as problem:
        return Readiness(str(address), None, (Finding("connection", "missing", problem.message, problem.hint),))


def _findings(device: Device, facts: Facts, runtime: str, soc: Soc | None) -> Iterator[Finding]:
    yield Finding("connection", "ok", str(device))
    yield Finding("system", "ok", f"{facts.system} {facts.release}, {facts.kernel}, {facts.machine}".strip())
    try:
        chosen = choose_soc(facts, soc, fallback=DEFAULT)
    except SnpeToolsError as problem:
        yield Finding("SoC", "missing", problem.message, problem.hint)
        return
    emulates = "emulates " if facts.machine == X86 else ""
    yield Finding("SoC", "ok", f"{emulates}{chosen} ({chosen.marketing}), HTP v{chosen.arch}")
    yield _tools(facts)
    yield _space(facts)
    yield _executable(device)
    with tempfile.TemporaryDirectory(prefix="snpe-tools.") as scratch:
        found = _runtime(facts, chosen, Path(scratch), runtime)
        yield found if isinstance(found, Finding) else Finding("runtime", "ok", found.label)
    if isinstance(found, BoardRunner) and found.needs_python:
        yield _python(device)
    if facts.machine != X86:
        yield _dsp(device)
        yield _rpc(device)


def _tools(facts: Facts) -> Finding:
    missing = facts.missing_tools
    if missing:
        return Finding(
            "tools", "missing", f"without {', '.join(missing)}", "Install coreutils and findutils, or busybox."
        )
    return Finding("tools", "ok", f"{len(facts.tools)} found")


def _space(facts: Facts) -> Finding:
    found = f"{facts.free / 1e9:.1f} GB free"
    if facts.free < _FREE:
        advice = "A runtime and a model take about 0.3 GB: free some space, or choose another folder: --device-root."
        return Finding("storage", "optional", found, advice)
    return Finding("storage", "ok", found)


def _executable(device: Device) -> Finding:
    """/data is mounted noexec on some boards: nothing pushed there could be started."""
    try:
        device.check(Script.over(_PROGRAM, device.root))
    except DeviceError as problem:
        advice = "Its file system is mounted noexec: mount -o remount,exec; or choose another folder: --device-root."
        return Finding("folder", "missing", f"{device.root}: {problem.message.splitlines()[-1].strip()}", advice)
    return Finding("folder", "ok", device.root)


def _runtime(facts: Facts, soc: Soc, scratch: Path, name: str) -> Runtime | Finding:
    try:
        runtime = choose_runtime(facts, soc, scratch, name)
        runtime.bundle()
    except SnpeToolsError as problem:
        return Finding("runtime", "missing", problem.message, problem.hint)
    return runtime


def _python(device: Device) -> Finding:
    said = device.run(["python3", "-V"]).output.strip()
    version = re.fullmatch(r"Python (\d+)\.(\d+)\S*", said)
    if not version or (int(version[1]), int(version[2])) < _OLDEST_PYTHON:
        return Finding("python3", "missing", said[-80:], "Install Python 3.10 or later on the board; no packages.")
    return Finding("python3", "ok", said)


def _dsp(device: Device) -> Finding:
    """The files through which the NPU is reached; Android gives apps and the shell a way of its own."""
    lines = device.check(Script(_DSP)).split("\n")
    may = [line.removeprefix("may ") for line in lines if line.startswith("may ")]
    no = [line.removeprefix("no ") for line in lines if line.startswith("no ")]
    if may:
        return Finding("DSP", "ok", ", ".join(may))
    if no:
        advice = "Add this user to its group, or run as root: docs/devices.md, permissions."
        return Finding("DSP", "optional", f"{', '.join(no)} may not be opened", advice)
    advice = "Is the kernel's FastRPC driver loaded? lsmod | grep fastrpc. On some systems the file has another name."
    return Finding("DSP", "optional", "no /dev/fastrpc-cdsp", advice)


def _rpc(device: Device) -> Finding:
    folders = device.check(Script(_RPC)).split()
    if folders:
        return Finding("FastRPC", "ok", f"{folders[0]}/libcdsprpc.so")
    advice = "Install the board's FastRPC package; docs/devices.md, unsigned PD."
    return Finding("FastRPC", "optional", "libcdsprpc.so was not found where it usually is", advice)


def examine_all(addresses: Sequence[DeviceAddress], root: str = "") -> list[Readiness]:
    """Look at several devices at once."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max(len(addresses), 1)) as pool:
        return [*pool.map(lambda address: examine(address, root=root), addresses)]

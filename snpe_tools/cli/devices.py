"""devices: what is attached and whether it is ready; bench: how long an inference takes there."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snpe_tools.cli import options
from snpe_tools.cli.output import finish, size, table
from snpe_tools.cli.providing import provide
from snpe_tools.core.progress import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from snpe_tools.devices import DeviceAddress
    from snpe_tools.execution.readiness import Readiness
    from snpe_tools.steps.bench import Latency


def devices(
    address: Annotated[
        str, typer.Argument(help="Devices, comma-separated; those attached over ADB by default.", show_default=False)
    ] = "",
    collect: Annotated[bool, typer.Option("--collect", help="Remove what no run has used for --idle days.")] = False,
    idle: Annotated[float, typer.Option("--idle", help="With --collect: days.", min=0.05)] = 7,
    device_root: options.DeviceRoot = "",
    as_json: options.Json = False,
) -> None:
    """Devices, and whether they can run a DLC. Or, with --collect, free their storage of what is old."""
    addresses = _addresses(address)
    if collect:
        _collect(addresses, idle, device_root, as_json=as_json)
        return
    from snpe_tools.execution.readiness import examine_all

    found = examine_all(addresses, device_root)
    table(("device", "model", "SoC", "HTP", "system", "free", "ready"), [_row(one) for one in found], left=7)
    finish([_as_dict(one) for one in found], as_json=as_json)


def _addresses(text: str) -> Sequence[DeviceAddress]:
    from snpe_tools.devices.transports.address import DeviceAddress, parse_addresses

    if text:
        return parse_addresses(text)
    from snpe_tools.devices.transports.adb_server import attached

    found = [DeviceAddress("adb", one.serial) for one in attached()]
    if not found:
        say("No device is attached over ADB. Linux boards: snpe-tools devices ssh://user@host.")
    return found


def _row(found: Readiness) -> tuple[str, ...]:
    facts = found.facts
    ready = "yes" if not found.missing else "no: " + "; ".join(f"{one.name}: {one.found}" for one in found.missing)
    if not facts:
        return (found.address, "-", "-", "-", "-", "-", ready)
    htp = f"v{facts.soc.arch}" if facts.soc else "-"
    soc = str(facts.soc) if facts.soc else facts.soc_name or facts.machine
    return (found.address, facts.model or "-", soc, htp, f"{facts.system} {facts.release}", size(facts.free), ready)


def _as_dict(found: Readiness) -> dict[str, object]:
    facts = found.facts
    told = {
        "system": facts.system, "release": facts.release, "machine": facts.machine, "model": facts.model,
        "soc": facts.soc and facts.soc.name, "soc_as_told": facts.soc_name, "htp": facts.soc and facts.soc.arch,
        "free": facts.free,
    } if facts else {}  # fmt: skip
    return {"device": found.address, "ready": not found.missing, **told, "findings": found.findings}


def _collect(addresses: Sequence[DeviceAddress], days: float, root: str, *, as_json: bool) -> None:
    from snpe_tools.devices import connect
    from snpe_tools.devices.storage.collect import collect

    removed = {}
    for address in addresses:
        with connect(address, root=root) as device:
            done = collect(device, idle=round(days * 24 * 60))
            say(f"{device}: {len(done.folders)} folders removed, {size(done.freed)} freed.")
            removed[str(device)] = done
    finish(removed, as_json=as_json)


def bench(
    dlc: Annotated[Path, typer.Argument(help="The DLC; prepared for the device's SoC, it starts at once.")],
    inputs: options.InputsFile,
    device: options.OneDevice,
    warm_up: Annotated[int, typer.Option("--warm-up", help="Inferences that are not timed.", min=0)] = 10,
    runs: Annotated[int, typer.Option("--runs", help="Inferences that are.", min=1)] = 100,
    runtime: options.Runtime = "",
    profile: options.Profile = "",
    soc: Annotated[str, typer.Option("--soc", metavar="NAME", help="Where the device does not say its own.")] = "",
    device_root: options.DeviceRoot = "",
    timeout: options.Timeout = 0,
    fetch: options.Fetch = False,
    native: options.Native = False,
    as_json: options.Json = False,
) -> None:
    """Latency of one inference on a device. Refuses emulators."""
    from snpe_tools.core.soc_names import parse_socs
    from snpe_tools.devices import DeviceAddress
    from snpe_tools.execution.on_device import DeviceOptions
    from snpe_tools.steps.bench import bench as run_bench

    options = DeviceOptions(parse_socs(soc)[0] if soc else None, runtime, profile, device_root, timeout)
    provide([DeviceAddress.parse(device)], options, fetch=fetch)
    made = run_bench(device, dlc, inputs, warm_up=warm_up, runs=runs, native=native, options=options)
    _show(made)
    finish(made, as_json=as_json)


def _show(made: Latency) -> None:
    say(f"{made.device}: {made.soc}; {made.runtime}; profile: {made.profile}; buffers: {made.buffers}")
    columns = ("runs", "warm-up", "init ms", "p50 ms", "p90 ms", "p99 ms", "mean ms", "start")
    figures = (made.init, made.p50, made.p90, made.p99, made.mean)
    table(columns, [(str(made.runs), str(made.warm_up), *map(_milliseconds, figures), made.start)])
    say(f"Clock: {made.source}.")
    say(f"Before: {made.before}. After: {made.after}.")


def _milliseconds(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"

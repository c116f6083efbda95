"""Which devices lack a runtime on this machine: asked before anything is built for them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from snpe_tools.core.errors import SnpeToolsError
from snpe_tools.core.socs import DEFAULT
from snpe_tools.devices import DeviceAddress, connect
from snpe_tools.devices.facts import read_facts
from snpe_tools.devices.runtimes.choosing import MissingRuntimeError, choose_runtime, choose_soc
from snpe_tools.execution.on_device import DeviceOptions
from snpe_tools.toolchains.sdk.environment import root_variable


def missing_runtimes(addresses: Sequence[DeviceAddress], options: DeviceOptions) -> dict[str, MissingRuntimeError]:
    """Of the devices that can be asked, those that run a DLC only with a runtime that is not on this machine.

    Whatever else is wrong with a device is left for its run to say.
    """
    found: dict[str, MissingRuntimeError] = {}
    if root_variable():
        return found
    for address in addresses:
        if address.kind == "ssh" and not options.runtime:
            continue  # a Linux board has what the wheel brings
        try:
            _ask(address, options)
        except MissingRuntimeError as problem:
            found[str(address)] = problem
        except SnpeToolsError:
            continue
    return found


def _ask(address: DeviceAddress, options: DeviceOptions) -> None:
    with connect(address, root=options.root) as device, tempfile.TemporaryDirectory(prefix="snpe-tools.") as scratch:
        facts = read_facts(device)
        soc = choose_soc(facts, options.soc, fallback=DEFAULT)
        choose_runtime(facts, soc, Path(scratch), options.runtime)

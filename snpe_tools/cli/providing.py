"""The runtime that a device needs and this machine lacks: said, offered, fetched."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from snpe_tools.core.progress import say, warn

if TYPE_CHECKING:
    from snpe_tools.devices import DeviceAddress
    from snpe_tools.devices.runtimes.choosing import MissingRuntimeError
    from snpe_tools.execution.on_device import DeviceOptions


def provide(addresses: Sequence[DeviceAddress], options: DeviceOptions, *, fetch: bool) -> None:
    """Have this machine hold what the devices run a DLC with, before long work begins.

    Args:
        fetch: fetch what is missing and accept its licence; else that is offered where somebody is there to ask.

    Raises:
        SetupError: it is missing for every device, and was not fetched.
    """
    from snpe_tools.execution.provision import missing_runtimes

    missing = missing_runtimes(addresses, options) if addresses else {}
    if not missing:
        return
    for address, problem in missing.items():
        say(f"{address}: {problem.message}")
    if fetch or (sys.stdin.isatty() and typer.confirm("Fetch it now?", default=True, err=True)):
        _fetch(list(missing.values()), accepted=fetch)
    elif len(missing) == len(addresses):
        raise next(iter(missing.values()))
    else:
        warn(next(iter(missing.values())).hint)


def _fetch(missing: Sequence[MissingRuntimeError], *, accepted: bool) -> None:
    from snpe_tools.cli.sdk import ask_licence
    from snpe_tools.toolchains.sdk_store import fetch
    from snpe_tools.toolchains.sdk_store.releases import choose

    ask_licence(str(choose()), accepted=accepted)
    for target in dict.fromkeys(problem.target for problem in missing):
        fetch(targets=[target], archs={problem.soc.arch for problem in missing if problem.target == target})

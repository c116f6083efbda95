"""How long one inference takes on a device, from the runtime's own clock. An emulator's seconds are refused."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from snpe_tools.core.errors import DeviceError, UsageError
from snpe_tools.core.raw_files import read_list
from snpe_tools.devices import DeviceAddress, connect
from snpe_tools.devices.facts import read_facts
from snpe_tools.devices.runtimes import Timing
from snpe_tools.devices.runtimes.choosing import X86
from snpe_tools.devices.state import DeviceState
from snpe_tools.execution.on_device import DeviceOptions, DeviceRun, run_connected

_LEAST = {99: 100, 90: 10, 50: 1}
"""Runs that a percentile needs to be one of theirs."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds on a device; NaN where the runtime does not tell.

    Attributes:
        runs: timed inferences.
        init: until the first inference could begin.
        p50, p90, p99: of single inferences; a percentile of fewer runs than it needs is NaN.
        mean: of all.
        start: "cache" or "compiled": how the graph came to be.
        source: whose clock.
        buffers: how tensors were handed over.
        before, after: how warm and how powered the device was.
    """

    device: str
    soc: str
    runtime: str
    profile: str
    runs: int
    warm_up: int
    init: float
    p50: float
    p90: float
    p99: float
    mean: float
    start: str
    source: str
    buffers: str
    before: DeviceState
    after: DeviceState


def bench(
    address: DeviceAddress | str,
    dlc: Path,
    input_list: Path,
    *,
    warm_up: int = 10,
    runs: int = 100,
    native: bool = False,
    options: DeviceOptions = DeviceOptions(),  # noqa: B008 - frozen
) -> Latency:
    """Time the first inference of a list on a device.

    Raises:
        UsageError: the "device" emulates the HTP: that is no latency.
        SnpeToolsError: of the run; see `run_on_device`.
    """
    parsed = read_list(input_list)
    with connect(address, root=options.root) as device:
        if read_facts(device).machine == X86:
            raise UsageError(
                f"{device} is an x86-64 computer, where the HTP is emulated: its seconds are no latency.",
                "Name a phone or a board: --device adb:SERIAL.",
            )
        with tempfile.TemporaryDirectory(prefix="snpe-tools.") as scratch:
            one = replace(parsed, lines=parsed.lines[:1])
            done = run_connected(
                device, dlc, one, Path(scratch) / "results", native=native, options=options, repeats=(warm_up, runs)
            )
    if done.emulated:
        raise DeviceError("its runtime emulates the HTP: its seconds are no latency.", address=done.address)
    return _latency(done, warm_up, runs)


def _latency(done: DeviceRun, warm_up: int, runs: int) -> Latency:
    timing = done.timing
    middle, high, highest = (percentile(timing, share) for share in (50, 90, 99))
    return Latency(
        device=done.address,
        soc=f"{done.soc} (HTP v{done.soc.arch})",
        runtime=done.runtime,
        profile=done.profile or "none set",
        runs=runs,
        warm_up=warm_up,
        init=1000 * timing.init,
        p50=middle,
        p90=high,
        p99=highest,
        mean=1000 * timing.mean,
        start=timing.start or "not told",
        source=timing.source or "nothing: this runtime tells no times that can be read",
        buffers=timing.buffers,
        before=done.states[0],
        after=done.states[1],
    )


def percentile(timing: Timing, share: int) -> float:
    """Milliseconds that `share` percent of the inferences took at most: the smallest such, none in between."""
    if len(timing.seconds) < _LEAST[share]:
        return math.nan
    return 1000 * float(np.percentile(timing.seconds, share, method="inverted_cdf"))

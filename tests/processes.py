"""What ran on a device that is this machine: whether it still runs, and how it was made to end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from snpe_tools.core.errors import DeviceError
from snpe_tools.devices import Device, Script

_TRIES, _PAUSE = 1200, 0.05


def ended(process: int) -> bool:
    """Whether a process has ended, or does within a minute: a machine that is busy may need it."""
    for _ in range(_TRIES):
        if not _runs(process):
            return True
        time.sleep(_PAUSE)
    return False


def killed_by_time(device: Device, shortest: float) -> list[int]:
    """What a command started that was killed since it took too long: one process.

    A busy machine may not even start it in the shortest time, and is given more.
    """
    started: list[str] = []
    for timeout in (shortest, 10, 60):
        with pytest.raises(DeviceError, match=f"did not end within {timeout:g} seconds"):
            device.run(Script("sleep 3600 & echo $!; wait"), timeout=timeout, on_line=started.append)
        if started:
            break
    return [int(process) for process in started]


def _runs(process: int) -> bool:
    """Its state follows its name in brackets (proc(5)); "Z" has ended, and nobody has asked how."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False

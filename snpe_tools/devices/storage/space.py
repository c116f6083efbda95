"""Free space on a device, asked before anything is written."""

from __future__ import annotations

import re

from snpe_tools.core.errors import DeviceError, StorageError
from snpe_tools.devices.device import Device
from snpe_tools.devices.shell import Script

_COLUMNS = re.compile(r"\s(\d{1,16})\s+(\d{1,16})\s+(-?\d{1,16})\s+\d{1,3}%")
_SPARE = 16 << 20
"""Bytes left alone: a system whose storage is full to the last byte misbehaves."""


def free_space(device: Device, folder: str) -> int:
    """Bytes that may still be written below `folder`, which is made when it is missing.

    Raises:
        DeviceError: it cannot be made, or `df` says nothing sensible.
    """
    return parse_free(device, device.check(Script.of("mkdir -p -- {} && df -Pk {}", folder, folder)))


def parse_free(device: Device, text: str) -> int:
    """Bytes that `df -Pk` says are available.

    Raises:
        DeviceError: it does not say so.
    """
    found = _COLUMNS.search(text)
    if not found:
        raise DeviceError(f"`df` answered {text[:200]!r}.", address=str(device))
    return max(0, int(found[3])) * 1024


def require_space(device: Device, folder: str, free: int, needed: int) -> None:
    """Refuse what does not fit.

    Raises:
        StorageError: less than `needed` bytes, and a little more, are free.
    """
    if needed and free < needed + _SPARE:
        raise StorageError(
            f"{device}: {folder} has {free >> 20} MiB free, and {(needed + _SPARE) >> 20} MiB are needed.",
            f"Free some space there; snpe-tools devices --collect {device} removes what no run has used lately.",
        )

"""Removing from a device what no run has used lately."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from snpe_tools.core.errors import UsageError
from snpe_tools.devices.device import Device
from snpe_tools.devices.shell import Script, decimal
from snpe_tools.devices.storage.run_folder import USES

_NAME = re.compile(r"(bundles|staging|runs)/([A-Za-z0-9._+-]{1,200})")
_LIST = f"""cd -- "$1" 2>/dev/null || exit 0
for ONE in bundles/* staging/* runs/*; do
  # A run that lasts writes into a folder of its folder, and so does a push. A `find` that fails makes nothing old.
  [ -d "$ONE" ] && [ "$(find "$ONE" -maxdepth 0 -mmin +"$2")" ] || continue
  [ "$(find "$ONE" ! -mmin +"$2" | head -n 1)" ] || echo "old $ONE"
done
for RUN in runs/*; do [ -f "$RUN/{USES}" ] && echo "run $RUN" && sed 's/^/uses /' "$RUN/{USES}"; done
true
"""
_REMOVE = """cd -- "$1" || exit 1
mkdir -p trash
xargs -0 sh -c 'for ONE; do mv -- "$ONE" "trash/${ONE##*/}"; done' sh
du -sk trash | cut -f 1
rm -rf -- trash"""
LEAST = 60
"""Minutes: what was used within them may be in use now."""


@dataclass(frozen=True)
class Collected:
    """What was removed.

    Attributes:
        folders: their names below the device's root.
        freed: bytes of storage, as `du` counts them.
    """

    folders: tuple[str, ...]
    freed: int


def collect(device: Device, *, keep: Collection[str] = (), idle: int = 7 * 24 * 60) -> Collected:
    """Remove bundles, broken pushes and kept runs that nobody has used for `idle` minutes.

    Args:
        keep: names of bundles that stay, as those that a run folder there still needs.

    Raises:
        UsageError: `idle` is less than an hour.
        DeviceError: they cannot be listed or removed.
    """
    if idle < LEAST:
        raise UsageError(f"{idle} minutes are too few: a run may be using it.", f"At least {LEAST}.")
    lines = [line.partition(" ")[::2] for line in device.check(Script.over(_LIST, device.root, str(idle))).splitlines()]
    doomed = [name for word, name in lines if word == "old" and _NAME.fullmatch(name)]
    needed = _needed(lines, doomed) | set(keep)
    folders = tuple(sorted(name for name in doomed if name.partition("/")[2] not in needed))
    if not folders:
        return Collected((), 0)
    listed = "".join(f"{name}\0" for name in folders).encode()
    size = device.check(Script.over(_REMOVE, device.root), chunks=[listed], timeout=600).strip()
    return Collected(folders, (decimal(size) or 0) * 1024)


def _needed(lines: Sequence[Sequence[str]], doomed: Sequence[str]) -> set[str]:
    """Bundles that a run needs which stays."""
    needed: set[str] = set()
    run = ""
    for word, name in lines:
        if word == "run":
            run = name
        elif word == "uses" and run not in doomed:
            needed.add(name)
    return needed

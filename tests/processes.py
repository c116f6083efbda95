"""Whether what ran on a device that is this machine still runs."""

from __future__ import annotations

import time
from pathlib import Path

_TRIES, _PAUSE = 1200, 0.05


def ended(process: int) -> bool:
    """Whether a process has ended, or does within a minute: a machine that is busy may need it."""
    for _ in range(_TRIES):
        if not _runs(process):
            return True
        time.sleep(_PAUSE)
    return False


def _runs(process: int) -> bool:
    """Its state follows its name in brackets (proc(5)); "Z" has ended, and nobody has asked how."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False

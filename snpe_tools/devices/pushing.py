"""One push of the same files to the same device at a time from this machine; others wait, and find them there."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snpe_tools.devices.device import Device
from snpe_tools.files import storage_errors, write_text
from snpe_tools.progress import say


@contextmanager
def pushing(device: Device, name: str) -> Iterator[str]:
    """Hold the lock, and give what names this machine and its name for the device in a folder there.

    Since nobody else writes to a folder of that name, one that a broken push left can be used as it is. The lock is
    that of a name too: one device under two names has two locks, and two folders.

    Raises:
        StorageError: the cache folder of this machine cannot be written.
    """
    from filelock import FileLock, Timeout

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "snpe-tools"
    what = hashlib.sha256(f"{device}\0{device.root}\0{name}".encode()).hexdigest()[:32]
    with storage_errors(cache):
        (cache / "pushes").mkdir(parents=True, exist_ok=True)
        lock = FileLock(cache / "pushes" / f"{what}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"{device}: another run is pushing the same files; waiting for it.")
            lock.acquire()
        try:
            yield _sender(cache / "sender", device)
        finally:
            lock.release()


def _sender(file: Path, device: Device) -> str:
    """Some digits, from those that this machine's user keeps. Two first runs at once may disagree, once."""
    if not file.is_file():
        write_text(file, secrets.token_hex(8))
    return hashlib.sha256(file.read_bytes() + str(device).encode()).hexdigest()[:16]

"""One push of the same files to the same device at a time from this machine; others wait, and find them there."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snpe_tools.core.files import cache_folder, storage_errors, write_text
from snpe_tools.core.locks import held
from snpe_tools.devices.device import Device


@contextmanager
def pushing(device: Device, name: str) -> Iterator[str]:
    """Hold the lock, and give what names this machine and its name for the device in a folder there.

    Since nobody else writes to a folder of that name, one that a broken push left can be used as it is. The lock is
    that of a name too: one device under two names has two locks, and two folders.

    Raises:
        StorageError: the cache folder of this machine cannot be written.
    """
    cache = cache_folder()
    what = hashlib.sha256(f"{device}\0{device.root}\0{name}".encode()).hexdigest()[:32]
    with storage_errors(cache):
        (cache / "pushes").mkdir(parents=True, exist_ok=True)
        waiting = f"{device}: another run is pushing the same files; waiting for it."
        with held(cache / "pushes" / f"{what}.lock", waiting):
            yield _sender(cache / "sender", device)


def _sender(file: Path, device: Device) -> str:
    """Some digits, from those that this machine's user keeps. Two first runs at once may disagree, once."""
    if not file.is_file():
        write_text(file, secrets.token_hex(8))
    return hashlib.sha256(file.read_bytes() + str(device).encode()).hexdigest()[:16]

"""One run at a time: locks between processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snpe_tools.core.progress import say


@contextmanager
def held(file: Path, waiting: str) -> Iterator[None]:
    """Hold the lock `file`, whose folder exists; while another run holds it, say `waiting` once and wait."""
    from filelock import FileLock, Timeout

    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(waiting)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()

"""Progress for people, on stderr: a bar on a terminal, plain lines in a log. stdout stays free for results."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from snpe_tools.core.printing import lines_printable
from snpe_tools.core.progress import LOGGER, Advance, say, show_by

if TYPE_CHECKING:
    from rich.console import Console


class _Late:
    """Makes the console when it is first used: `rich` takes longer to import than many a file to read."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of a console
        return getattr(real_console(), name)


@cache
def real_console() -> Console:
    """The console on stderr."""
    from rich.console import Console

    made = Console(stderr=True, highlight=False, soft_wrap=True)
    if not made.is_terminal:
        made.width = 200  # a log has no width of its own; tables must not be folded in it
    return made


console = cast("Console", _Late())
"""Where everything human goes."""

_LOG_SECONDS = 15.0
_screen = threading.Lock()
"""A terminal has room for one bar: of several at once, the others print lines."""
_MINUTES_FROM = 600


class TerminalDisplay:
    """A bar where stderr is a terminal, else a line every quarter of a minute."""

    @contextmanager
    def progress(self, label: str, total: int, *, in_bytes: bool) -> Iterator[Advance]:
        """Show work of `total` items or bytes."""
        if not console.is_terminal or not _screen.acquire(blocking=False):
            with _lines(label, total, in_bytes) as advance:
                yield advance
            return
        try:
            with _bar(label, total, in_bytes) as advance:
                yield advance
        finally:
            _screen.release()


class _Lines(logging.Handler):
    """Prints records. Square brackets are printed as they are, what would steer the terminal as its escape."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "  warning: " if record.levelno >= logging.WARNING else ""
        console.print(lines_printable(f"{prefix}{record.getMessage()}"), markup=False)


_handler = _Lines()


def attach() -> None:
    """Let this process's terminal show what the library tells; twice is once."""
    LOGGER.setLevel(logging.INFO)
    LOGGER.addHandler(_handler)
    LOGGER.propagate = False
    show_by(TerminalDisplay())


@contextmanager
def _bar(label: str, total: int, in_bytes: bool) -> Iterator[Advance]:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    done = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("  {task.description}"), BarColumn(), done, TimeRemainingColumn())
    with Progress(*columns, console=real_console(), transient=True) as display:
        task = display.add_task(label, total=total)

        def advance(count: int = 1, note: str = "") -> None:
            display.update(task, advance=count, description=f"{label} {note}".rstrip())

        yield advance


@contextmanager
def _lines(label: str, total: int, in_bytes: bool) -> Iterator[Advance]:
    from rich.filesize import decimal

    shown = decimal if in_bytes else str
    started = reported = time.monotonic()
    done = 0

    def advance(count: int = 1, note: str = "") -> None:
        nonlocal done, reported
        done += count
        now = time.monotonic()
        if now - reported >= _LOG_SECONDS and done < total:
            reported = now
            left = f", about {_duration((now - started) / done * (total - done))} left" if done else ""
            say(f"  {label}: {shown(done)} of {shown(total)}{left}{note and f', {note}'}")

    yield advance


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _MINUTES_FROM else f"{seconds / 60:.0f} min"

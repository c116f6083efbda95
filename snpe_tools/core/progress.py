"""Progress for people, on stderr: a bar on a terminal, plain lines in a log. stdout stays free for results."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False, soft_wrap=True)
"""Where everything human goes."""
if not console.is_terminal:
    console.width = 200  # a log has no width of its own; tables must not be folded in it

_LOG_SECONDS = 15.0
_screen = threading.Lock()
"""A terminal has room for one bar: of several at once, the others print lines."""
_MINUTES_FROM = 600


class Advance(Protocol):
    """Call it after one item, or with the number of items just done; `note` is shown beside the label."""

    def __call__(self, count: int = 1, note: str = "") -> None:
        """`count` more items are done."""


def unwatched(count: int = 1, note: str = "") -> None:
    """An `Advance` that nobody watches."""


def printable(text: str) -> str:
    """Text from elsewhere as a terminal may show it: every character that is not printable as its escape."""
    return "".join(part if part.isprintable() else part.encode("unicode_escape").decode() for part in text)


def lines_printable(text: str) -> str:
    """The same for text of several lines, which may have tabs."""
    return "\n".join(map(printable, text.expandtabs().split("\n")))


def say(text: str) -> None:
    """One line for people. Square brackets are printed as they are, what would steer the terminal as its escape."""
    console.print(lines_printable(text), markup=False)


@contextmanager
def progress(label: str, total: int, *, in_bytes: bool = False) -> Iterator[Advance]:
    """A progress display; call the yielded function after each of `total` items."""
    if not console.is_terminal or not _screen.acquire(blocking=False):
        with _lines(label, total, in_bytes) as advance:
            yield advance
        return
    try:
        with _bar(label, total, in_bytes) as advance:
            yield advance
    finally:
        _screen.release()


@contextmanager
def _bar(label: str, total: int, in_bytes: bool) -> Iterator[Advance]:  # noqa: FBT001 - private
    done = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("  {task.description}"), BarColumn(), done, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as display:
        task = display.add_task(label, total=total)

        def advance(count: int = 1, note: str = "") -> None:
            display.update(task, advance=count, description=f"{label} {note}".rstrip())

        yield advance


@contextmanager
def _lines(label: str, total: int, in_bytes: bool) -> Iterator[Advance]:  # noqa: FBT001 - private
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

"""Progress for people, on stderr: a bar on a terminal, plain lines in a log. stdout stays free for results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False, soft_wrap=True)
"""Where everything human goes."""
if not console.is_terminal:
    console.width = 160  # a log has no width of its own; tables must not be folded in it

_LOG_SECONDS = 15.0

Advance = Callable[..., None]
"""Call it after one item, or with the number of items just done."""


def say(text: str) -> None:
    """One line for people. Square brackets are printed as they are."""
    console.print(text, markup=False)


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """A progress display; call the yielded function after each of `total` items."""
    with _bar(label, total) if console.is_terminal else _lines(label, total) as advance:
        yield advance


@contextmanager
def _bar(label: str, total: int) -> Iterator[Advance]:
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as display:
        task = display.add_task(label, total=total)
        yield lambda count=1: display.advance(task, count)


@contextmanager
def _lines(label: str, total: int) -> Iterator[Advance]:
    started = reported = time.monotonic()
    done = 0

    def advance(count: int = 1) -> None:
        nonlocal done, reported
        done += count
        now = time.monotonic()
        if now - reported >= _LOG_SECONDS and done < total:
            reported = now
            left = (now - started) / done * (total - done)
            say(f"  {label}: {done} of {total}, about {left:.0f} s left")

    yield advance

"""What the library tells of its work: lines through `logging`, progress through a display. By default it is quiet.

    logging.getLogger("snpe_tools").setLevel(logging.INFO)     # the lines, wherever your handlers put them
    with shown_by(MyDisplay()): ...                            # a display of your own

The commands attach `cli.terminal`: a bar on a terminal, plain lines in a log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

LOGGER = logging.getLogger("snpe_tools")


class Advance(Protocol):
    """Call it after one item, or with the number of items just done; `note` is shown beside the label."""

    def __call__(self, count: int = 1, note: str = "") -> None:
        """`count` more items are done."""


class Display(Protocol):
    """Shows how far long work is."""

    def progress(self, label: str, total: int, *, in_bytes: bool) -> AbstractContextManager[Advance]:
        """Show work of `total` items, or bytes, while the context lasts."""


def unwatched(count: int = 1, note: str = "") -> None:
    """An `Advance` that nobody watches."""


class _Quiet:
    def progress(self, label: str, total: int, *, in_bytes: bool) -> AbstractContextManager[Advance]:  # noqa: ARG002 - not shown
        return nullcontext(unwatched)


_display: Display = _Quiet()


def show_by(display: Display | None) -> None:
    """Let a display show all progress from now on; None shows none."""
    global _display  # noqa: PLW0603 - a process has one terminal
    _display = display or _Quiet()


@contextmanager
def shown_by(display: Display | None) -> Iterator[None]:
    """The same for the time of a block."""
    before = _display
    show_by(display)
    try:
        yield
    finally:
        show_by(before)


def say(text: str) -> None:
    """One line on what happens, at level INFO."""
    LOGGER.info("%s", text, stacklevel=2)


def warn(text: str) -> None:
    """One line on what may go wrong, at level WARNING."""
    LOGGER.warning("%s", text, stacklevel=2)


def progress(label: str, total: int, *, in_bytes: bool = False) -> AbstractContextManager[Advance]:
    """A progress display; call the yielded function after each of `total` items."""
    return _display.progress(label, total, in_bytes=in_bytes)

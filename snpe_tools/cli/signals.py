"""Ctrl-C and SIGTERM: both unwind the command, so that children end and nothing half-written stays."""

from __future__ import annotations

import signal
from types import FrameType

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the signal's number, as shells count."""
_received: list[int] = []


def catch_sigterm() -> None:
    """Let SIGTERM end a command as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _unwind)


def _unwind(number: int, _: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt


def end_of_interruption() -> int:
    """What is left is to leave: later signals change nothing. Returns the exit code.

    CPython remembers a KeyboardInterrupt that left code run by `exec`, such as the body of a dataclass, and at its own
    end kills itself by SIGINT, whatever the exit code is. Running other code that way makes it forget.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    exec("")  # noqa: S102 - see above
    return 128 + _received[0] if _received else INTERRUPTED

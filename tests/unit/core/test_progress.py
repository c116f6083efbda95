"""What people are shown: text from elsewhere cannot steer the terminal, and nothing is divided by no progress."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snpe_tools.cli import terminal
from snpe_tools.cli.output import table
from snpe_tools.core.errors import UsageError
from snpe_tools.core.progress import LOGGER, Advance, progress, say, shown_by, warn
from snpe_tools.devices import Finished
from snpe_tools.execution.on_device import DeviceOptions

ROOT = Path(__file__).parents[3]
EVIL = "a\x1b[2J\rb\x07\u202e\x9b[31m"
ESCAPED = r"a\x1b[2J\rb\x07\u202e\x9b[31m"


def test_text_from_a_device_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"one\n  failed: {EVIL}\ttwo [b]")
    table(("device", "start"), [("x", EVIL)])
    shown = capsys.readouterr().err
    assert f"one\n  failed: {ESCAPED}" in shown
    assert "two [b]" in shown
    assert shown.count(ESCAPED) == 2
    assert all(line.isprintable() for line in shown.split("\n"))


def test_the_last_lines_of_a_command_can_be_shown() -> None:
    assert Finished("x", 1, f"ok\r\n\n{EVIL}\n").tail() == f"\n    ok\n    {ESCAPED}"


def test_a_start_without_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(terminal, "say", said.append)
    clock = iter(range(0, 1000, 100))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    with progress("pushing", 4000, in_bytes=True) as advance:
        advance(0)
        advance(2000)
    assert said == ["  pushing: 0 bytes of 4.0 kB", "  pushing: 2.0 kB of 4.0 kB, about 200 s left"]


@pytest.mark.parametrize("seconds", [-1.0, math.nan])
def test_a_timeout_is_a_number_of_seconds(seconds: float) -> None:
    with pytest.raises(UsageError, match="no number of seconds"):
        DeviceOptions(timeout=seconds)


def test_the_library_is_quiet_unless_asked() -> None:
    program = """
from snpe_tools.core.progress import progress, say
say("a line")
with progress("x", 2) as advance:
    advance()
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert (finished.stdout, finished.stderr) == ("", "")


def test_a_user_of_the_library_can_capture_lines_and_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[logging.LogRecord] = []
    seen: list[tuple[str, int]] = []

    class Mine:
        @contextmanager
        def progress(self, label: str, total: int, *, in_bytes: bool) -> Iterator[Advance]:
            assert not in_bytes
            yield lambda count=1, note="": seen.append((f"{label}/{total}{note}", count))

    monkeypatch.setattr(LOGGER, "handle", records.append)
    with shown_by(Mine()), progress("pushing", 3) as advance:
        say("begun")
        warn("slow")
        advance(2)
    assert [(record.levelname, record.getMessage(), record.module) for record in records] == [
        ("INFO", "begun", "test_progress"), ("WARNING", "slow", "test_progress"),
    ]  # fmt: skip
    assert seen == [("pushing/3", 2)]

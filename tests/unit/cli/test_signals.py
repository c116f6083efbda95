"""However a command is interrupted: one line, its exit code, and no process that lives on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMAND = """
import os, signal
import snpe_tools.__main__ as program
import snpe_tools.cli.main as commands

commands.keep_only_the_named_command = lambda arguments: None
commands.app = lambda: {app}
program.main()
"""
BY_ITSELF = "os.kill(os.getpid(), signal.{})"


@pytest.mark.parametrize(
    ("app", "code", "words"),
    [
        (BY_ITSELF.format("SIGINT"), 130, "Interrupted."),
        (f"exec({BY_ITSELF.format('SIGINT')!r})", 130, "Interrupted."),
        (BY_ITSELF.format("SIGTERM"), 143, "Terminated."),
        (f"exec({BY_ITSELF.format('SIGTERM')!r})", 143, "Terminated."),
    ],
)
def test_the_exit_code_says_which_signal_it_was(tmp_path: Path, app: str, code: int, words: str) -> None:
    (tmp_path / "interrupted.py").write_text(COMMAND.format(app=app))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    ended = subprocess.run(
        [sys.executable, "-m", "interrupted"], capture_output=True, text=True, env=environment, check=False
    )
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr == f"{words} Nothing half-written was kept.\n"


PARENT = """
import os, signal, threading, time
from snpe_tools.qnn.isolation import pool

threading.Timer({after}, os.kill, (os.getpid(), signal.SIGKILL)).start()
with pool(2) as executor:
    list(executor.map(time.sleep, [300, 300]))
"""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize("after", [0.05, 0.3, 1.0])
def test_no_worker_outlives_a_parent_that_was_killed_while_they_started(after: float) -> None:
    mark = f"SNPE_TOOLS_TEST={os.getpid()}.{after}"
    name, _, value = mark.partition("=")
    environment = {**os.environ, name: value, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", PARENT.format(after=after)], env=environment, check=False)
    deadline = time.monotonic() + 60
    while (left := _processes(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def _processes(mark: str) -> list[str]:
    """Command lines of all processes with this in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # ended meanwhile
    return found

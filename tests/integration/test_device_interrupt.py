"""Ctrl-C while devices run: the program ends, and so does what it had started there, with all that this started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import device_double, sshd
from tests.integration.conftest import Tiny
from tests.sshd import Sshd

_WAIT = 120.0
"""Seconds after which the machine is not slow, but the test has failed."""
_PYTHON = """#!/bin/sh
sleep 3600 &
echo $$ $! > "$HOME/pids.part" && mv "$HOME/pids.part" "$HOME/pids"
wait
"""
_PROGRAM = """
import sys
from pathlib import Path
from snpe_tools.devices import parse_addresses
from snpe_tools.execution.on_device import DeviceOptions
from snpe_tools.execution.fleet import Fleet, look

dlc, listed, folder = map(Path, sys.argv[1:4])
members = look(parse_addresses(sys.argv[4]))
fleet = Fleet({str(member): DeviceOptions() for member in members})


def job(member):
    return lambda: fleet.run(member, dlc, listed, folder / member.address.kind)


fleet.at_once({member.address: job(member) for member in members})
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    running = sshd.start(tmp_path / "sshd")
    yield running
    running.stop()


def _hanging(home: Path) -> Path:
    """A board whose runtime never ends; what it runs is in `pids`."""
    device_double.make_board(home, machine="x86_64")
    (home / "bin" / "python3").write_text(_PYTHON)
    (home / "bin" / "python3").chmod(0o755)
    return home


def _await(seen: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _WAIT
    while not seen():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _interrupt(command: list[str], homes: list[Path], environment: dict[str, str]) -> int:
    """Start a command, send it Ctrl-C once every board runs, and see that nothing runs any more; its exit status."""
    program = subprocess.Popen([sys.executable, *command], env=os.environ | environment, stderr=subprocess.PIPE)
    try:
        _await(lambda: all((home / "pids").exists() for home in homes), "a board does not run")
        pids = [int(pid) for home in homes for pid in (home / "pids").read_text().split()]
        assert all(map(_runs, pids))
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=_WAIT)
    finally:
        program.kill()
        program.communicate()
    _await(lambda: not any(map(_runs, pids)), "a board still runs")
    return program.returncode


def test_every_device_of_a_fleet_is_let_go(tiny: Callable[[str, str], Tiny], server: Sshd, tmp_path: Path) -> None:
    model = tiny("bert", "fp16")
    homes = [_hanging(tmp_path / "board"), _hanging(server.home)]
    words = [str(model.dlc), str(model.listed), str(tmp_path), f"fake:{homes[0]},{server.address}"]
    environment = {"HOME": str(server.home), "SSH_AUTH_SOCK": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert _interrupt(["-c", _PROGRAM, *words], homes, environment) == -signal.SIGINT


@pytest.mark.parametrize("kind", ["fake", "ssh"])
def test_a_command_says_that_it_was_interrupted(
    kind: str, tiny: Callable[[str, str], Tiny], server: Sshd, tmp_path: Path
) -> None:
    model = tiny("bert", "fp16")
    home = _hanging(tmp_path / "board" if kind == "fake" else server.home)
    device = f"fake:{home}" if kind == "fake" else server.address
    environment = {"HOME": str(server.home), "SSH_AUTH_SOCK": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    words = ["compare", str(model.dlc), str(model.dlc), "--inputs", str(model.listed), "--device", device]
    assert _interrupt(["-m", "snpe_tools", *words], [home], environment) == 130

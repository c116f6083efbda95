"""Start the device and an ADB server of its own, which knows nothing of this machine's devices."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from adbutils import adb_path

from tests.sshd import free_port

ROOT = Path(__file__).parents[2]


@dataclass
class AdbDevice:
    """A running device. `home` is its folder, `port` where it listens."""

    home: Path
    process: subprocess.Popen[str]
    port: int

    @property
    def address(self) -> str:
        """As a user writes it."""
        return f"adb:127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Switch it off."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def start(folder: Path, *options: str) -> AdbDevice:
    """Switch a device on; see `__main__` for the options."""
    command = [sys.executable, "-m", "tests.adb_device", str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout
    return AdbDevice(folder, process, int(process.stdout.readline()))


def adb(*arguments: str) -> str:
    """What the real adb prints."""
    return subprocess.run([adb_path(), *arguments], capture_output=True, text=True, check=True, timeout=60).stdout


@contextmanager
def own_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No server runs at first; one that is started within is ended."""
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
    monkeypatch.setenv("ANDROID_USER_HOME", str(folder))
    monkeypatch.setenv("ADB_MDNS", "0")
    monkeypatch.setenv("ADB_LOCAL_TRANSPORT_MAX_PORT", "0")
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(subprocess.SubprocessError):
            adb("kill-server")


def kill_server() -> None:
    """End the server of this test as a crash does. It is told by its port, which nobody else has."""
    port = os.environ["ANDROID_ADB_SERVER_PORT"]
    found = subprocess.run(["pgrep", "-f", f"adb.*{port}.*fork-server"], capture_output=True, text=True, check=True)
    for process in found.stdout.split():
        os.kill(int(process), signal.SIGKILL)

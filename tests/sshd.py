"""A real sshd on loopback: its own folder, keys and port, and nothing of this machine's."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
USER = getpass.getuser()

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""After the home's own `bin`."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass
class Sshd:
    """A running sshd. `home` is the login's home, and the user's own, whose `.ssh` holds what a client needs."""

    home: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        """As a user writes it."""
        return f"ssh://{USER}@127.0.0.1:{self.port}"

    @property
    def sessions(self) -> list[int]:
        """sshd's own processes of logins. What they started runs on, as it does when a cable is pulled."""
        return _below(self.process.pid)

    def kill_sessions(self) -> None:
        """What a reboot does to connections."""
        self.signal_sessions(signal.SIGKILL)

    def signal_sessions(self, number: signal.Signals) -> None:
        """SIGSTOP freezes them: the kernel still acknowledges what is sent, and nobody answers."""
        for process in self.sessions:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def stop(self) -> None:
        """End it, frozen or not."""
        self.kill_sessions()
        self.process.kill()
        self.process.wait()


def start(folder: Path, *options: str) -> Sshd:
    """Start one; the test is skipped where sshd is missing."""
    if SSHD is None:
        pytest.skip("sshd is missing: apt install openssh-server")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    home = folder / "home"
    (home / ".ssh").mkdir(mode=0o700, parents=True, exist_ok=True)
    port = free_port()
    for key in (folder / "host_key", home / ".ssh" / "id_ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    shutil.copy(home / ".ssh" / "id_ed25519.pub", folder / "authorized_keys")
    (folder / "sshd_config").write_text(_config(folder, port, options))
    log = folder / "sshd.log"
    process = subprocess.Popen([SSHD, "-D", "-f", folder / "sshd_config", "-E", log])
    _await_port(port, log)
    host_key = (folder / "host_key.pub").read_text().split()
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key[0]} {host_key[1]}\n")
    return Sshd(home, port, process)


def _config(folder: Path, port: int, options: tuple[str, ...]) -> str:
    lines = (
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {folder}/host_key",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        f"PidFile {folder}/sshd.pid",
        f"SetEnv HOME={folder}/home PATH={folder}/home/bin:{_PATH}",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin yes",
        "MaxStartups 100",
        *options,
    )
    return "\n".join(lines) + "\n"


def _await_port(port: int, log: Path) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"sshd does not start: {log.read_text()}")


def _below(parent: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(parent), "sshd"], capture_output=True, text=True, check=False)
    return [one for child in map(int, found.stdout.split()) for one in (child, *_below(child))]

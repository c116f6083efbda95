"""Files of known host keys (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): plain lines, and the two marked kinds."""

from __future__ import annotations

import base64
import binascii
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from snpe_tools.core.errors import InputError
from snpe_tools.core.progress import say

if TYPE_CHECKING:
    import paramiko

_AUTHORITY, _REVOKED = "@cert-authority", "@revoked"
_FIELDS = 4


@dataclass
class KnownHosts:
    """What files say about one host.

    Attributes:
        revoked: its keys that must never be accepted, as they are on the wire.
        lines: plain lines whose keys are not among them.
    """

    host: str
    revoked: set[bytes] = field(default_factory=set)
    lines: dict[Path, list[str]] = field(default_factory=dict)

    def read(self, file: Path) -> None:
        """Add what a file says; a missing one says nothing.

        Raises:
            InputError: it is not text, or the key in a marked line cannot be read.
        """
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        except UnicodeDecodeError as problem:
            raise InputError(f"{file} is no text: {problem}.", "Remove what is no host key from it.") from problem
        plain = []
        for line in text.splitlines():
            if line.lstrip().startswith("@"):
                self._marked(file, line.split())
            else:
                plain.append(line)
        self.lines[file] = plain

    def _marked(self, file: Path, fields: list[str]) -> None:
        mark, names = fields[0], fields[1] if len(fields) > 1 else ""
        if not matches(names, self.host):
            return
        if mark == _AUTHORITY:
            say(f"  {file}: the {_AUTHORITY} line for {self.host} is not used: host certificates are not supported.")
        elif mark == _REVOKED and len(fields) >= _FIELDS:
            self.revoked.add(_blob(file, fields[3]))
        else:
            raise InputError(f"{file}: the line {' '.join(fields)[:60]!r} is not understood.", "Remove that line.")

    def load_into(self, client: paramiko.SSHClient, file: Path) -> None:
        """Have a client accept the keys of a file's plain lines, without revoked ones.

        Raises:
            paramiko.hostkeys.InvalidHostKey: a line's key is damaged.
        """
        good = [line for line in self.lines.get(file, ()) if not self.revoked & _keys(line)]
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="snpe-tools.") as made:
            made.write("".join(f"{line}\n" for line in good))
            made.flush()
            client.load_system_host_keys(made.name)


def matches(names: str, host: str) -> bool:
    """Whether a line's names, hashed or with `*`, `?` and `!`, mean a host."""
    if names.startswith("|1|"):
        from paramiko.hostkeys import HostKeys

        try:
            return bool(HostKeys.hash_host(host, names) == names)
        except (ValueError, AssertionError, IndexError):
            return False
    parts = names.lower().split(",")
    if any(part.startswith("!") and _like(host, part[1:]) for part in parts):
        return False
    return any(_like(host, part) for part in parts)


def _like(host: str, pattern: str) -> bool:
    """Whether a pattern means a host. Brackets stand for themselves: `[127.0.0.1]:2222` is a name."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, host.lower()) is not None


def _blob(file: Path, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise InputError(
            f"{file}: the key of a {_REVOKED} line is damaged: {problem}.", "Correct that line."
        ) from problem


def _keys(line: str) -> set[bytes]:
    """The keys of a plain line; none where it has none that can be read."""
    fields = line.split()
    try:
        return {base64.b64decode(fields[2])} if len(fields) >= _FIELDS - 1 else set()
    except (binascii.Error, ValueError):
        return set()

"""Text for a device's POSIX shell, and from it: quoting, numbers, and the marks around a script's output.

A quoted word is what POSIX (Shell Command Language, 2.2.2) calls single-quotes: nothing in it has a meaning.
"""

from __future__ import annotations

import re
import secrets
import shlex
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from snpe_tools.core.errors import UsageError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REST = 12
"""Bytes that may follow a mark's token before its line break: a space, ten digits, a carriage return."""
_BEGUN = re.compile(rb"(?: (?:\d{1,10}\r?)?)?")
"""What may have arrived of them."""
_LONGEST = 30_000
"""Bytes of a script: ADB takes 64 KiB, and quotes inside quotes need more room."""


@dataclass(frozen=True)
class Script:
    """Shell text. `Script.of("cd {} && ls", folder)` quotes what is put in."""

    text: str

    @classmethod
    def of(cls, template: str, *words: str) -> Script:
        """`template` with each `{}` replaced by a quoted word. Braces that stay are written twice."""
        return cls(template.format(*(quote(word) for word in words)))

    @classmethod
    def over(cls, body: str, *words: str) -> Script:
        """Several lines of shell text, in which `"$1"`, `"$2"`, … are the words."""
        return cls(f"set -- {' '.join(quote(word) for word in words)}\n{body}")


_PLAIN = frozenset(string.ascii_letters + string.digits + string.punctuation + " ") - frozenset("'\\!")
"""What stands for itself between single quotes in every login shell: csh has a use for "!", fish for backslashes."""


def under_any_shell(script: str) -> str:
    r"""A command line that runs a POSIX script, whichever shell the user logs in with: csh and fish are none.

    The script is one word without line breaks, in which `printf %b` (POSIX, printf, "%b") reads `\0ooo` as a byte.
    """
    word = "".join(
        character if character in _PLAIN else "".join(f"\\0{byte:03o}" for byte in character.encode())
        for character in script
    )
    return f"exec sh -c 'script=$1; shift; eval \"$(printf %b \"$script\")\"' sh '{word}'"


def quote(word: str) -> str:
    """One word for a POSIX shell, whatever characters it has.

    Raises:
        UsageError: it has a NUL character, which no argument can hold.
    """
    if "\0" in word:
        raise UsageError(f"{word!r} has a NUL character, which no command line can hold.")
    return shlex.quote(word)


def command_text(
    command: Sequence[str] | Script, *, folder: str = "", environment: Mapping[str, str] | None = None
) -> str:
    """The script that runs `command` in `folder` with more variables; a missing folder is exit status 1.

    Raises:
        UsageError: a variable's name is none, or the whole is too long for a command line.
    """
    text = command.text if isinstance(command, Script) else " ".join(quote(word) for word in command)
    exports = [f"export {_variable(name)}={quote(value)}" for name, value in (environment or {}).items()]
    moves = [f"cd -- {quote(folder)} || exit 1"] if folder else []
    whole = "\n".join([*moves, *exports, text])
    if len(whole.encode()) > _LONGEST:
        raise UsageError("A command is too long for a device's shell.", "Put its arguments into a file on the device.")
    return whole


def _variable(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name of an environment variable.")
    return name


@dataclass(frozen=True)
class Frame:
    """Two marks that no output can hold by chance: what stands between them is the script's, the last has its status.

    What a login shell prints by itself comes before the first mark. The number in the first is the process group.
    """

    token: str = field(default_factory=lambda: secrets.token_hex(16))

    def around(self, text: str) -> str:
        """`text`, run by a shell of its own, so that no error in it can take the marks along."""
        return f"printf '%s %d\\n' {self.token} $$; sh -c {quote(text)} 2>&1; printf '%s %d\\n' {self.token} $?"

    def safe(self, data: bytes) -> int:
        """How many bytes of `data`, which has no whole mark, cannot belong to one that begins in it."""
        token = self.token.encode()
        starts = range(max(0, len(data) - len(token) - _REST), len(data))
        return next((start for start in starts if _may_begin(token, data[start:])), len(data))

    @property
    def mark(self) -> re.Pattern[bytes]:
        """Finds either mark; group 1 is its number."""
        return re.compile(self.token.encode() + rb" (\d{1,10})\r?\n")


def _may_begin(token: bytes, data: bytes) -> bool:
    """Whether `data` is the beginning of a mark."""
    if len(data) < len(token):
        return token.startswith(data)
    return data.startswith(token) and _BEGUN.fullmatch(data, len(token)) is not None


def decimal(text: str, digits: int = 18) -> int | None:
    """The number that `text` is; None when it has anything but the digits 0 to 9, or more of them than `digits`.

    Eighteen are enough for every size of a file, and fit into 64 bits.
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= digits else None

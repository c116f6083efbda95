"""What the QNN libraries say while they work, kept for error messages."""

from __future__ import annotations

import ctypes as c
from collections import deque

_CALLBACK = c.CFUNCTYPE(None, c.c_char_p, c.c_uint32, c.c_uint64, c.c_void_p)
_vsnprintf = c.CDLL(None).vsnprintf
_vsnprintf.argtypes = (c.c_char_p, c.c_size_t, c.c_char_p, c.c_void_p)


class LogLines:
    """The last warnings and errors of a library, oldest first."""

    def __init__(self, keep: int = 20) -> None:
        self.lines: deque[str] = deque(maxlen=keep)
        self.callback = _CALLBACK(self._receive)

    def _receive(self, format_: bytes, _level: int, _time: int, arguments: int) -> None:
        buffer = c.create_string_buffer(1024)
        _vsnprintf(buffer, len(buffer), format_, arguments)
        line = buffer.value.decode(errors="replace").strip()
        if line and line not in self.lines:
            self.lines.append(line)

    def tail(self, count: int = 6) -> str:
        """The last lines, one per line, indented; "" when the library said nothing."""
        return "".join(f"\n    {line}" for line in list(self.lines)[-count:])

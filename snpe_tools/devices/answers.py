"""Numbers in what a device answers."""

from __future__ import annotations


def decimal(text: str, digits: int = 18) -> int | None:
    """The number that `text` is; None when it has anything but the digits 0 to 9, or more of them than `digits`.

    Eighteen are enough for every size of a file, and fit into 64 bits.
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= digits else None

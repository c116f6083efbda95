"""Text from elsewhere, as a terminal may show it."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text from elsewhere as a terminal may show it: every character that is not printable as its escape."""
    return "".join(part if part.isprintable() else part.encode("unicode_escape").decode() for part in text)


def lines_printable(text: str) -> str:
    """The same for text of several lines, which may have tabs."""
    return "\n".join(map(printable, text.expandtabs().split("\n")))

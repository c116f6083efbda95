"""Names from outside that must be one of a few."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from snpe_tools.core.errors import UsageError

Name = TypeVar("Name", bound=str)


def one_of(known: Iterable[Name], text: str, what: str) -> Name:
    """The known name that `text` is.

    Args:
        what: says in the message what it should name.

    Raises:
        UsageError: it is none of them; the hint lists them.
    """
    names = list(known)
    if text not in names:
        raise UsageError(f"Unknown {what} {text!r}.", f"Known: {', '.join(names)}.")
    return names[names.index(text)]

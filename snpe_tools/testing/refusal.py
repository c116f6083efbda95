"""An error that has to be raised, without pytest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def refuses(*kinds: type[Exception], words: str = "") -> Iterator[None]:
    """The block has to raise one of `kinds`, with `words` in its message.

    Raises:
        AssertionError: it raises nothing, or says something else. Errors of other kinds pass through.
    """
    try:
        yield
    except kinds as problem:
        if words not in str(problem):
            raise AssertionError(f"{problem!r} does not say {words!r}.") from problem
        return
    raise AssertionError(f"{' or '.join(kind.__name__ for kind in kinds)} was expected.")

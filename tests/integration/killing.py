"""A training run that is killed on its way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from snpe_tools.training import loop


@contextmanager
def killed_at_step(step: int) -> Iterator[None]:
    """What runs in this block is interrupted when it has done `step` training steps, as by Ctrl-C."""
    original = loop._step
    done: list[int] = []

    def dying(*arguments: Any) -> tuple[float, int]:
        if len(done) == step:
            raise KeyboardInterrupt
        done.append(1)
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "_step", dying)
        yield

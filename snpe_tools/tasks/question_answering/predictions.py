"""An answer as a prediction."""

from __future__ import annotations

from dataclasses import dataclass

from snpe_tools.tasks.sheet import Prediction


@dataclass(frozen=True)
class Answered(Prediction):
    """An answer: `confidence` is start + end logit; `start` and `end` are its first and last+1 character."""

    start: int = 0
    end: int = 0

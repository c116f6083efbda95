"""Where two SoCs' NPUs predict differently: the same model, the same examples, other bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snpe_tools.tasks import Batch, Outputs

_SHOWN = 3


@dataclass(frozen=True)
class SocDifference:
    """Two runners on the same examples.

    Attributes:
        examples: how many.
        equal_logits: share of outputs that are equal bit for bit, padding left out, percent.
        largest: difference of two outputs.
        equal: share of equal predictions, percent.
        differing: each example that they predict differently, with both predictions.
        noun: the task's word for predictions.
    """

    first: str
    second: str
    examples: int
    equal_logits: float
    largest: float
    equal: float
    differing: tuple[tuple[str, str, str], ...]
    noun: str

    def __str__(self) -> str:
        others = "".join(f"\n    {text} {one!r} / {other!r}" for text, one, other in self.differing[:_SHOWN])
        return (
            f"{self.first} / {self.second}: {self.equal:.1f} % of {self.examples} {self.noun} equal, "
            f"{self.equal_logits:.1f} % of logits equal, largest difference {self.largest:.2g}{others}"
        )

    def as_dict(self, examples: str) -> dict[str, Any]:
        """An entry of accuracy.json.

        Args:
            examples: the task's word for them.
        """
        entry = {key: value for key, value in asdict(self).items() if key not in {"examples", "equal", "noun"}}
        return entry | {examples: self.examples, f"equal_{self.noun}": self.equal}


@dataclass(frozen=True)
class RunnerOutputs:
    """What a runner computed, and the prediction for each example in words."""

    runner: str
    outputs: Outputs
    predictions: Sequence[str]


def soc_difference(first: RunnerOutputs, second: RunnerOutputs, batch: Batch, noun: str) -> SocDifference:
    """Compare two runners that were asked the examples of `batch`.

    Args:
        noun: the task's word for predictions.
    """
    one, other = (computed.outputs.values(batch) for computed in (first, second))
    asked = zip(batch.examples, first.predictions, second.predictions, strict=True)
    differing = tuple((example.text, mine, yours) for example, mine, yours in asked if mine != yours)
    count = len(batch.examples)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        largest = float(np.nanmax(np.abs(one.astype(np.float64) - other), initial=0))
    return SocDifference(
        first=first.runner,
        second=second.runner,
        examples=count,
        equal_logits=100 * float(np.mean(one == other)),
        largest=largest,
        equal=100 * (count - len(differing)) / count,
        differing=differing,
        noun=noun,
    )

"""One configuration that was tried, and the table of all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from snpe_tools.core.files import write_text
from snpe_tools.quantization.plan import Plan


class Trial(BaseModel):
    """What a plan scored on the search examples, and what it costs.

    Attributes:
        label: what is new in it, for people.
        score: in the task's metric.
        drop: how much lower than float's is the score that predictions are likely to have; see `Task.expected_score`.
        same: share of predictions equal to float's, percent.
        sqnr_db: of the logits against float's; None where nothing differs.
        divergence: of the predictions' distributions from float's (Kullback-Leibler), in nats.
        wide: share of activation tensors that have 16 bits, percent.
        bytes: of the QDQ model.
        wide_macs: share of multiply-accumulates computed on 16-bit activations, percent.
        converts: steps between 8 and 16 bits.
        seconds: that scoring it took.
        expected: `drop` as the trials around it tell, where there are some.
        held_out: `drop` on held-out examples, where it was asked for.
    """

    model_config = ConfigDict(populate_by_name=True)

    label: str
    plan: Plan
    score: float = Field(validation_alias=AliasChoices("score", "f1"))
    drop: float
    same: float
    sqnr_db: float | None
    divergence: float
    wide: float
    bytes: int
    wide_macs: float
    converts: int
    seconds: float
    expected: float | None = None
    held_out: float | None = None

    def promises(self, bound: float) -> bool:
        """Whether it is expected to lose no more, and held-out examples have not said otherwise."""
        expected = self.drop if self.expected is None else self.expected
        return max(expected, expected if self.held_out is None else self.held_out) <= bound

    def holds(self, bound: float) -> bool:
        """Whether it is expected to lose no more, and held-out examples confirmed it."""
        return self.held_out is not None and self.promises(bound)


class Cost(BaseModel):
    """What one operation costs at 8 bits.

    Attributes:
        operation: its name in plans; `tensor` what it writes.
        noise: divergence, in nats, that its rounding adds to the predictions' distributions.
        clip: share of the observed range that costs least.
        why: in words.
    """

    operation: str
    tensor: str
    noise: float
    clip: tuple[float, float]
    why: str


class Emulated(BaseModel):
    """What the DLC of the chosen plan predicted: how many examples, and how many as the QDQ and the float model did.

    `noun` is the task's word for examples.
    """

    model_config = ConfigDict(populate_by_name=True)

    examples: int = Field(validation_alias=AliasChoices("examples", "questions"))
    as_qdq: int
    as_float: int
    noun: str = "examples"

    def __str__(self) -> str:
        return f"of {self.examples} {self.noun}, {self.as_qdq} as the QDQ model and {self.as_float} as float"


class Tuning(BaseModel):
    """tune.json: everything that a search found, for the report and for going on after an interrupt.

    Attributes:
        metric, noun: key of the task's metric, and its word for examples.
        key: what the trials depend on; others are not taken over.
        best: index of the best trial; `reached`: whether it loses no more than `max_drop` on search
            examples and on held-out ones.
        emulated: what the DLC of the best one predicted, where it was asked.
    """

    model_config = ConfigDict(populate_by_name=True)

    model: str
    key: str
    metric: str = "score"
    noun: str = "examples"
    examples: int = Field(validation_alias=AliasChoices("examples", "questions"))
    length: int
    max_drop: float
    float_score: float = Field(validation_alias=AliasChoices("float_score", "float_f1"))
    costs: list[Cost] = []
    trials: list[Trial] = []
    best: int = 0
    reached: bool = False
    emulated: Emulated | None = None

    def find(self, plan: Plan) -> Trial | None:
        """The trial of an equal plan."""
        return next((trial for trial in self.trials if trial.plan == plan), None)

    def choose(self) -> None:
        """Take the cheapest trial that held-out examples confirm, else the cheapest that promises to hold.

        Where there is none, the one that loses least.
        """
        promising = self.promising()
        confirmed = [trial for trial in promising if trial.holds(self.max_drop)]
        self.reached = bool(confirmed)
        least = min(self.trials, key=lambda trial: (trial.drop, trial.divergence))
        self.best = self.trials.index((confirmed or promising or [least])[0])

    def promising(self) -> list[Trial]:
        """The trials that nothing speaks against, the cheapest first."""
        found = [trial for trial in self.trials if trial.promises(self.max_drop)]
        return sorted(found, key=lambda trial: (trial.wide, trial.drop))


def tuning_document(tuning: Tuning) -> dict[str, Any]:
    """tune.json; scores and the number of examples stand under the task's own words, too."""
    document = tuning.model_dump(mode="json")
    document |= {tuning.noun: tuning.examples, f"float_{tuning.metric}": tuning.float_score}
    for trial in document["trials"]:
        trial[tuning.metric] = trial["score"]
    if document["emulated"]:
        document["emulated"][document["emulated"]["noun"]] = document["emulated"]["examples"]
    return document


def save_tuning(tuning: Tuning, path: Path) -> None:
    """Write it, whole or not at all."""
    write_text(path, json.dumps(tuning_document(tuning), indent=1) + "\n")


def load_tuning(path: Path, key: str, max_drop: float) -> Tuning | None:
    """An earlier search on the same model, examples and versions, judged by this bound; None where there is none."""
    try:
        found = Tuning.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    if found.key != key or not found.trials:
        return None
    found.max_drop = max_drop
    found.choose()
    return found

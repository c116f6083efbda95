"""One configuration that was tried, and the table of all of them."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ValidationError

from snpe_tools.core.files import write_text
from snpe_tools.quantization.plan import Plan


class Trial(BaseModel):
    """What a plan scored on the search questions, and what it costs.

    Attributes:
        label: what is new in it, for people.
        f1: in percent.
        drop: how much lower than float's is the F1 that answers are likely to have; see `question_answering.likely`.
        same: share of answers equal to float's, percent.
        sqnr_db: of the logits against float's; None where nothing differs.
        divergence: of the answers' distributions from float's (Kullback-Leibler), in nats.
        wide: share of activation tensors that have 16 bits, percent.
        bytes: of the QDQ model.
        wide_macs: share of multiply-accumulates computed on 16-bit activations, percent.
        converts: steps between 8 and 16 bits.
        seconds: that scoring it took.
        expected: `drop` as the trials around it tell, where there are some.
        held_out: `drop` on held-out questions, where it was asked for.
    """

    label: str
    plan: Plan
    f1: float
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
        """Whether it is expected to lose no more, and held-out questions have not said otherwise."""
        expected = self.drop if self.expected is None else self.expected
        return max(expected, expected if self.held_out is None else self.held_out) <= bound

    def holds(self, bound: float) -> bool:
        """Whether it is expected to lose no more, and held-out questions confirmed it."""
        return self.held_out is not None and self.promises(bound)


class Cost(BaseModel):
    """What one operation costs at 8 bits.

    Attributes:
        operation: its name in plans; `tensor` what it writes.
        noise: divergence, in nats, that its rounding adds to the answers' distributions.
        clip: share of the observed range that costs least.
        why: in words.
    """

    operation: str
    tensor: str
    noise: float
    clip: tuple[float, float]
    why: str


class Emulated(BaseModel):
    """What the DLC of the chosen plan answered: how many questions, and how many as the QDQ and the float model did."""

    questions: int
    as_qdq: int
    as_float: int

    def __str__(self) -> str:
        return f"of {self.questions} questions, {self.as_qdq} as the QDQ model and {self.as_float} as float"


class Tuning(BaseModel):
    """tune.json: everything that a search found, for the report and for going on after an interrupt.

    Attributes:
        key: what the trials depend on; others are not taken over.
        best: index of the best trial; `reached`: whether it loses no more than `max_drop` on search
            questions and on held-out ones.
        emulated: what the DLC of the best one answered, where it was asked.
    """

    model: str
    key: str
    questions: int
    length: int
    max_drop: float
    float_f1: float
    costs: list[Cost] = []
    trials: list[Trial] = []
    best: int = 0
    reached: bool = False
    emulated: Emulated | None = None

    def find(self, plan: Plan) -> Trial | None:
        """The trial of an equal plan."""
        return next((trial for trial in self.trials if trial.plan == plan), None)

    def choose(self) -> None:
        """Take the cheapest trial that held-out questions confirm, else the cheapest that promises to hold.

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


def save_tuning(tuning: Tuning, path: Path) -> None:
    """Write it, whole or not at all."""
    write_text(path, tuning.model_dump_json(indent=1) + "\n")


def load_tuning(path: Path, key: str, max_drop: float) -> Tuning | None:
    """An earlier search on the same model, questions and versions, judged by this bound; None where there is none."""
    try:
        found = Tuning.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    if found.key != key or not found.trials:
        return None
    found.max_drop = max_drop
    found.choose()
    return found

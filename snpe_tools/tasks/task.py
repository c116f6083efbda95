"""What a model is for: the one seam between this toolkit and a task.

A task is a folder here with a module `task` that holds `TASK`, an instance of a class derived from `Task`. Nothing
outside that folder knows what is in it: steps, scores, the search, the report and the commands go through this class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from snpe_tools.core.errors import UsageError
from snpe_tools.tasks.batch import Batch, Outputs
from snpe_tools.tasks.metric import Floats, Metric, Score, Words
from snpe_tools.tasks.sheet import ExampleRecord, Piece, Prediction, PredictionRecord, Sheet

if TYPE_CHECKING:
    from torch import Tensor, nn

    from snpe_tools.tasks.dumps import Dumps
    from snpe_tools.tasks.trainer import Trainer

SHIPPED = "shipped"


class Example(Protocol):
    """What every example has: an id, and what is asked in words."""

    @property
    def id(self) -> str:
        """Unique within its source."""

    @property
    def text(self) -> str:
        """What is asked, in words."""


class Task(Protocol):
    """What a model is for.

    Attributes:
        name: in recipes, accuracy.json and messages, such as "question-answering".
        exported_as: what the exporter (optimum) calls it; "" where that is its name.
        metric: what predictions are judged by; the gate's unit.
        words: for people.
        outputs: names of the model's outputs that `predict` reads.
        code: modules that make the arrays of a batch and the exported graph, named from the package down: an artefact
            is out of date once they change.
        training_code: modules that make what a model learns, where there is a `trainer`.
        evaluation, calibration, practice: shipped files to score on, to calibrate on, and to search and train with.
        sheet: the classes of answers.json.
    """

    name: str
    exported_as: str = ""
    metric: Metric
    words: Words
    outputs: tuple[str, ...]
    code: tuple[str, ...]
    training_code: tuple[str, ...] = ()
    evaluation: Path
    calibration: Path
    practice: Path
    sheet: type[Sheet[Any]]

    # Models

    def load_model(self, checkpoint: str) -> nn.Module:
        """The PyTorch model of a folder or hub name, to export; float32, in evaluation mode.

        Raises:
            CheckpointError: it is none of this task's.
            SetupError: a hub name, and the hub cannot be reached.
        """

    def random_model(self, architecture: str) -> nn.Module:
        """A model of a family with random weights, the same every time.

        Raises:
            CheckpointError: the family is unknown.
        """

    def save_preprocessing(self, checkpoint: str, target: Path) -> None:
        """Write what `encode` needs of a checkpoint, such as its tokenizer, as one file.

        Raises:
            CheckpointError: the checkpoint does not have it.
        """

    # Examples

    def find(self, source: str) -> Path:
        """The file that a user's words name: "" is the shipped evaluation set, else a path or a name of the task's.

        Raises:
            SetupError: it must be fetched, and the network cannot be reached.
        """

    def load(self, source: Path) -> Sequence[Example]:
        """Examples to score or to calibrate on.

        Raises:
            DataError: the file does not hold any; the place is named.
        """

    def load_practice(self, source: Path) -> Sequence[Example]:
        """Examples to search or to train with; those that nothing can be learned from are left out, and counted.

        Raises:
            DataError: the file does not hold any.
        """
        return self.load(source)

    def group(self, example: Any) -> str:  # noqa: ANN401 - the task's own class
        """What an example must not share with one of another set, such as its passage or its image."""

    def check_disjoint(
        self, evaluation: Sequence[Any], others: Sequence[Any], *, what: str = "calibration", hint: str = ""
    ) -> None:
        """Refuse examples to calibrate or to train on that share their `group` with one that is evaluated.

        Raises:
            DataError: there are such; the first is named.
        """

    def encode(self, examples: Sequence[Any], preprocessing: Path, shape: Sequence[int]) -> Batch:
        """Examples as arrays.

        Args:
            preprocessing: what `save_preprocessing` wrote.
            shape: of the model's first input, its batch of 1 included.

        Raises:
            CheckpointError: `preprocessing` is not one.
            DataError: the shape leaves no room.
        """

    # Predictions

    def predict(self, outputs: Outputs, batch: Batch) -> list[Prediction]:
        """One prediction for each example."""

    def score(self, batch: Batch, predictions: Sequence[Prediction]) -> Score:
        """What predictions score, the first metric and others."""

    def expected_score(self, outputs: Outputs, batch: Batch) -> Floats | None:
        """What each example's prediction is likely to score, float64 (examples,): a smooth twin of the metric.

        Every good prediction counts by its probability, so that few examples tell two models apart. None where the task
        has none.
        """

    def distributions(
        self,
        outputs: Mapping[str, Tensor],
        inputs: Mapping[str, Tensor],  # noqa: ARG002 - what masks padding
    ) -> list[Tensor]:
        """Of one inference: the logits of each choice that the outputs make, 1-D, padding left out.

        Args:
            outputs: of the model, by name, in its order.
            inputs: of the same inference.
        """
        return [value.flatten() for value in outputs.values()]

    def divergence(self, wanted: Outputs, got: Outputs, batch: Batch) -> float:
        """Kullback-Leibler divergence, in nats, of `got`'s choices from `wanted`'s: mean over inferences."""

    # What is kept and shown

    def record(self, prediction: Prediction, score: Score, place: int) -> PredictionRecord:
        """A prediction and its score, as answers.json keeps it.

        Args:
            place: of the example among those that were scored.
        """

    def blank_sheet(self, examples: Sequence[Any]) -> Sheet[Any]:
        """A sheet of these examples without predictions."""

    def explain(
        self,
        sheet: Sheet[Any],  # noqa: ARG002 - for tasks that keep something there
        example: ExampleRecord[Any],
        known: PredictionRecord,  # noqa: ARG002 - for tasks whose predictions have a place
        other: PredictionRecord,  # noqa: ARG002
    ) -> list[Piece]:
        """An example's text with both predictions marked in it; what is far from both may be cut."""
        return [Piece(example.text)]

    # What not every task has

    def trainer(self) -> Trainer:
        """What trains models of this task.

        Raises:
            UsageError: nothing does.
        """
        raise UsageError(f"Nothing here trains a model for {self.name}.", "Train it elsewhere and pass its checkpoint.")

    def dumps(self) -> Dumps:
        """What reads outputs that others dumped.

        Raises:
            UsageError: nothing does.
        """
        raise UsageError(f"Nothing here reads dumped outputs of {self.name}.", "Score the model itself.")

"""Float ONNX + examples → QDQ ONNX and encodings, trained so that the quantized model predicts as the float one does.

Quantization-aware training of the very graph that is converted: PyTorch computes it node by node, with a fake quantizer
wherever AIMET puts one; weights and activation ranges learn; AIMET then writes the encodings of the learned ranges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snpe_tools.core.progress import progress, say
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import input_specs, load
from snpe_tools.graph.ranges import Ranges, collect_ranges
from snpe_tools.graph.session import explained
from snpe_tools.graph.sharing import unshare_vectors
from snpe_tools.graph.twins import carried_over, for_windows, of_other_shape, twin_names
from snpe_tools.project.provenance import recorded
from snpe_tools.quantization.calibration import FLOOR_WINDOWS, checked_plan, constants, simulate, warn_of_other_weights
from snpe_tools.quantization.mixing import Layout, lay_out, prepared
from snpe_tools.quantization.plan import Plan
from snpe_tools.quantization.reads import Reads
from snpe_tools.quantization.score_floor import score_floors
from snpe_tools.quantization.simulator import QuantizationOptions, Simulator
from snpe_tools.quantization.writing import write_quantized
from snpe_tools.tasks import DEFAULT_TASK, Batch, Task, find_task
from snpe_tools.tasks.trainer import Lessons
from snpe_tools.training.curve import draw_curve
from snpe_tools.training.hardware import describe, to_device
from snpe_tools.training.loop import fit
from snpe_tools.training.settings import SequenceSettings
from snpe_tools.training.state import History, StateFile, identity

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    from snpe_tools.training.quantized_model import QuantizedModel, Quantizers

_OBSERVED_INFERENCES = 128
_MEASURE = "distance from the float model"


@dataclass(frozen=True)
class TrainedQuantized:
    """What quantization-aware training wrote, and what it gained.

    Attributes:
        qdq, encodings, legacy_encodings: as `quantize` writes them.
        steps: batches learnt from.
        seconds: of training, over all runs that it took.
        metric: key of the task's metric.
        float_score, before_score, score: of the float model, of it quantized without training, and trained, on the same
            examples, computed in PyTorch.
    """

    qdq: Path
    encodings: Path
    legacy_encodings: Path
    steps: int
    seconds: float
    evaluated: int
    float_score: float
    before_score: float
    score: float
    metric: str

    @property
    def scores(self) -> dict[str, float]:
        """The three under the metric's own key, for provenance and JSON."""
        return _keyed(self.metric, (self.float_score, self.before_score, self.score))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | self.scores


def _keyed(metric: str, scores: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip((f"float_{metric}", f"before_{metric}", metric), scores, strict=True))


def qat(  # noqa: PLR0913 - the files and choices of one step
    model: Path,
    tokenizer: Path,
    data: Path,
    target: Path,
    settings: SequenceSettings,
    options: QuantizationOptions,
    *,
    task: str = DEFAULT_TASK,
    dynamic: Path | None = None,
    evaluation: Path | None = None,
    restart: bool = False,
    forget_others: bool = False,
) -> TrainedQuantized:
    """Train a fixed-shape ONNX model for one precision, and quantize it.

    The float model is the teacher: the student learns its logits, and what is carried from layer to layer. What is
    right is not looked at.

    Args:
        model: fixed shapes, as `export` writes it.
        tokenizer: its tokenizer.json.
        data: examples, as the task's `load_practice` reads them.
        target: the QDQ ONNX file to write; encodings, the trained float graph, provenance and loss curve go beside it.
        settings: learning rate, epochs, batches; without `dynamic`, windows are as long as the model's.
        task: what the model is for.
        options: precision, granularity and plan; ranges start where the plan has them, else at the observed minimum and
            maximum.
        dynamic: the same model for any length; it is trained on windows of `settings.max_seq_length` tokens.
        evaluation: examples to score on, before and after, the shipped ones by default; no passage or image may be in
            both.
        restart: forget the state of an earlier run.
        forget_others: forget it where that run had other settings or data, instead of refusing.

    Raises:
        UsageError: the state of another run is there; a plan without a precision that takes one, or the reverse.
        RecipeError: the plan names operations that the model does not have.
        OnnxError: an operation that cannot be trained, or no fixed shapes.
        DataError: examples that cannot be read, or that leak.
        ExecutionError: the loss is not a number any more.
        StorageError: no space.
    """
    plan, chosen = checked_plan(options), find_task(task)
    graphs = _Graphs.read(model, dynamic, settings.max_seq_length, plan)
    settings = settings.model_copy(update={"max_seq_length": input_specs(graphs.trained)[0].shape[-1]})
    lessons = chosen.trainer().lessons(data, evaluation or chosen.evaluation, tokenizer, settings)
    sources = {"onnx": model, "data": data} | ({"dynamic": dynamic} if dynamic else {})
    known = identity(settings, *sources.values(), choices=repr(options))
    state = StateFile.beside(target, "training", known, settings.save_minutes)
    if restart:
        state.remove()
    if forget_others:
        state.forget_others()
    quantized = {"precision": str(options.precision), "plan": plan.model_dump(mode="json")}
    decisive = settings.model_dump(mode="json") | quantized
    with recorded("qat", sources, decisive, {"qdq": target}) as notes:
        pair = _pair(graphs, options, lessons.batch, settings)
        history, scores = _train(pair, chosen, lessons, settings, state)
        made = _write(pair, graphs, options, target)
        notes.update(**_keyed(chosen.metric.key, scores), loss=history.losses)
    draw_curve({_MEASURE: history.losses}, target.with_suffix(".svg"), f"Quantization-aware training of {model.name}")
    state.remove()
    return TrainedQuantized(
        *made, history.step, round(history.seconds, 1), lessons.evaluated, *scores, metric=chosen.metric.key
    )


@dataclass(frozen=True)
class _Graphs:
    """The float graph that is quantized, and its twin for the windows of training: itself, where they are as long."""

    quantized: onnx.ModelProto
    trained: onnx.ModelProto

    @classmethod
    def read(cls, model: Path, dynamic: Path | None, length: int, plan: Plan) -> _Graphs:
        full = use_int32_inputs(load(model))
        unshare_vectors(full)
        warn_of_other_weights(full, plan)
        short = for_windows(full, dynamic, length) if dynamic else full
        return cls(prepared(full, plan), prepared(short, plan))

    def with_weights(self, weights: Mapping[str, Tensor]) -> onnx.ModelProto:
        """The graph that is quantized, with weights of the one that was trained."""
        from snpe_tools.graph.onnx_module import with_weights

        return with_weights(self.quantized, carried_over(weights, self.trained, self.quantized))

    def laid_out(self, layout: Layout) -> Layout:
        """A layout of the graph that was trained as one of the graph that is quantized."""
        twins = self.trained, self.quantized
        names, ranges = twin_names(*twins), carried_over(layout.ranges.as_dict(), *twins)
        return Layout(
            tuple(names[name] for name in layout.wide),
            Ranges.from_dict(ranges, layout.ranges.windows),
            carried_over(layout.narrow, *twins),
        )


@dataclass(frozen=True)
class _Pair:
    """The model that learns, and the float one that teaches."""

    student: QuantizedModel
    teacher: QuantizedModel


def _pair(graphs: _Graphs, options: QuantizationOptions, batch: Batch, settings: SequenceSettings) -> _Pair:
    from snpe_tools.training.quantized_model import QuantizedModel

    quantizers = _quantizers(graphs.trained, options, batch)
    fixed = of_other_shape(graphs.trained, graphs.quantized)
    student, teacher = (to_device(QuantizedModel(graphs.trained, quantizers, fixed), settings) for _ in range(2))
    teacher.quantizing = False
    return _Pair(student, teacher.eval())


def _quantizers(proto: onnx.ModelProto, options: QuantizationOptions, batch: Batch) -> Quantizers:
    """Where AIMET rounds, and the ranges that the plan wants of some of the training data."""
    from snpe_tools.training.quantized_model import Quantizers

    simulator, plan = Simulator(proto, options), options.plan or Plan()
    ranges, floors = _observe(proto, batch)
    layout = lay_out(simulator.operations, plan, ranges, floors if plan.score_floor else {})
    simulator.widen(layout.wide)
    return Quantizers(simulator.quantizers(), layout, Reads(proto, simulator.operations).narrow(layout.wide))


def _observe(proto: onnx.ModelProto, batch: Batch) -> tuple[Ranges, dict[str, float]]:
    """Ranges, and floors of attention scores, over inferences spread evenly over the training data."""
    rows = np.unique(np.linspace(0, len(batch) - 1, _OBSERVED_INFERENCES).astype(int))
    names = [spec.name for spec in input_specs(proto)]
    inputs = [batch.inputs(slice(row, row + 1), names) for row in rows]
    with explained("the model"), progress("observing ranges", len(rows)) as advance:
        ranges = collect_ranges(proto, inputs, advance)
    return ranges, score_floors(proto, inputs[:FLOOR_WINDOWS])


def _train(
    pair: _Pair, task: Task, lessons: Lessons, settings: SequenceSettings, state: StateFile
) -> tuple[History, tuple[float, float, float]]:
    """The history, and the score of the float model, of the quantized one before, and after."""
    wanted, before = lessons.score(pair.teacher), lessons.score(pair.student)
    asked = f"{lessons.evaluated} {task.words.examples} in windows of {settings.max_seq_length} tokens"
    say(f"  {task.metric.label} on {asked}: float {wanted:.2f}, quantized {before:.2f}")
    say(f"  {len(lessons.batch)} windows in {len(lessons.steps)} steps, {describe(pair.student, settings)}")
    history = fit(
        pair.student,
        lessons.steps,
        lambda _, rows: lessons.imitation_loss(pair.student, pair.teacher, rows),
        settings,
        state,
    )
    return history, (wanted, before, lessons.score(pair.student))


def _write(pair: _Pair, graphs: _Graphs, options: QuantizationOptions, target: Path) -> tuple[Path, Path, Path]:
    """Quantize the trained weights with the learned ranges, by AIMET as every model."""
    trained = graphs.with_weights(pair.student.trained_weights())
    layout = graphs.laid_out(pair.student.learned_layout())
    simulator, settled = simulate(trained, options, lambda simulator, model: layout.apply(simulator, constants(model)))
    made = write_quantized(simulator, target, layout.ranges.windows, settled)
    return made.qdq, made.encodings, made.legacy_encodings

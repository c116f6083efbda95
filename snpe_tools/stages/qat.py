"""Float ONNX + questions → QDQ ONNX and encodings, trained so that the quantized model answers as the float one does.

Quantization-aware training of the very graph that is converted: PyTorch computes it node by node, with a fake quantizer
wherever AIMET puts one; weights and activation ranges learn; AIMET then writes the encodings of the learned ranges.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.errors import UsageError
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import input_specs, load
from snpe_tools.graph.ranges import Ranges, collect_ranges
from snpe_tools.graph.session import explained
from snpe_tools.graph.sharing import unshare_vectors
from snpe_tools.progress import progress, say
from snpe_tools.provenance import recorded
from snpe_tools.qa.features import Windows, load_tokenizer
from snpe_tools.qa.squad import SHIPPED_QUESTIONS
from snpe_tools.quantization.simulator import QuantizationOptions, Simulator
from snpe_tools.stages.quantize import constants, write_quantized
from snpe_tools.training.curve import CROSS_ENTROPY, draw_curve
from snpe_tools.training.distillation import distillation_loss, live
from snpe_tools.training.evaluation import score_model
from snpe_tools.training.hardware import describe, to_device
from snpe_tools.training.loop import fit
from snpe_tools.training.settings import TrainingSettings
from snpe_tools.training.state import History, StateFile, identity
from snpe_tools.training.task import Task, load_task

if TYPE_CHECKING:
    import onnx

    from snpe_tools.training.quantized_model import QuantizedModel

_CALIBRATION_WINDOWS = 64
_TEACHER_WEIGHT = 0.9


@dataclass(frozen=True)
class Trained:
    """What quantization-aware training wrote, and what it gained.

    Attributes:
        qdq, encodings, legacy_encodings: as `quantize` writes them.
        steps: batches learnt from.
        seconds: of training, over all runs that it took.
        float_f1, before_f1, f1: of the float model, of it quantized without training, and trained; in percent, on the
            same questions, computed in PyTorch.
    """

    qdq: Path
    encodings: Path
    legacy_encodings: Path
    steps: int
    seconds: float
    evaluated: int
    float_f1: float
    before_f1: float
    f1: float


def qat(
    model: Path,
    tokenizer: Path,
    data: Path,
    target: Path,
    settings: TrainingSettings,
    options: QuantizationOptions,
    *,
    evaluation: Path = SHIPPED_QUESTIONS,
    restart: bool = False,
) -> Trained:
    """Train a fixed-shape question-answering ONNX model for one precision, and quantize it.

    The float model is the teacher: the student learns its logits, and a little from the right answers.

    Args:
        model: fixed shapes, as `export` writes it.
        tokenizer: its tokenizer.json.
        data: SQuAD JSON, or rows (.jsonl, .jsonl.xz).
        target: the QDQ ONNX file to write; encodings, provenance and loss curve go beside it.
        settings: learning rate, epochs, batches; windows are as long as the model's.
        options: precision and granularity; ranges start at the observed minimum and maximum.
        evaluation: SQuAD JSON to score on, before and after; no passage may be in both.
        restart: forget the state of an earlier run.

    Raises:
        UsageError: a mixed precision.
        OnnxError: an operation that cannot be trained, or no fixed shapes.
        DataError: questions that cannot be read, or that leak.
        ExecutionError: training fell apart.
        StorageError: no space.
    """
    if options.precision.mixed:
        raise UsageError("A mixed precision cannot be trained.", "Train w8a8, or find a plan: snpe-tools tune.")
    proto = use_int32_inputs(load(model))
    unshare_vectors(proto)
    settings = settings.model_copy(update={"max_seq_length": input_specs(proto)[0].shape[-1]})
    task = load_task(data, evaluation, load_tokenizer(tokenizer), settings)
    known = identity(settings, model, data, str(options))
    state = StateFile.beside(target, "training", known, settings.save_minutes)
    if restart:
        state.remove()
    decisive = settings.model_dump(mode="json") | {"precision": str(options.precision)}
    with recorded("qat", {"onnx": model, "data": data}, decisive, {"qdq": target}) as notes:
        pair = _pair(proto, options, task.labelled.windows, settings)
        history, scores = _train(pair, task, settings, state)
        made = _write(pair, options, target)
        notes.update(float_f1=scores[0], before_f1=scores[1], f1=scores[2], loss=history.losses)
    draw_curve(
        {CROSS_ENTROPY: history.losses}, target.with_suffix(".svg"), f"Quantization-aware training of {model.name}"
    )
    state.remove()
    return Trained(*made, history.step, round(history.seconds, 1), len(task.evaluation.questions), *scores)


@dataclass(frozen=True)
class _Pair:
    """The model that learns, the float one that teaches, and the ranges it began with."""

    student: QuantizedModel
    teacher: QuantizedModel
    ranges: Ranges


def _pair(proto: onnx.ModelProto, options: QuantizationOptions, windows: Windows, settings: TrainingSettings) -> _Pair:
    from snpe_tools.training.quantized_model import QuantizedModel

    ranges, quantizers = _observe(proto, windows), Simulator(proto, options).quantizers()
    student, teacher = (to_device(QuantizedModel(proto, quantizers, ranges), settings) for _ in range(2))
    teacher.quantizing = False
    return _Pair(student, teacher.eval(), ranges)


def _observe(proto: onnx.ModelProto, windows: Windows) -> Ranges:
    """Ranges over windows spread evenly over the training data."""
    rows = np.unique(np.linspace(0, len(windows) - 1, _CALIBRATION_WINDOWS).astype(int))
    names = [spec.name for spec in input_specs(proto)]
    with explained("the model"), progress("observing ranges", len(rows)) as advance:
        return collect_ranges(proto, (windows.inputs(slice(row, row + 1), names) for row in rows), advance)


def _train(
    pair: _Pair, task: Task, settings: TrainingSettings, state: StateFile
) -> tuple[History, tuple[float, float, float]]:
    """The history, and F1 of the float model, of the quantized one before, and after."""

    def f1(model: QuantizedModel) -> float:
        return score_model(model, task.evaluation, settings.max_answer_length).f1

    float_f1, before = f1(pair.teacher), f1(pair.student)
    say(f"  F1 on {len(task.evaluation.questions)} questions: float {float_f1:.2f}, quantized {before:.2f}")
    say(f"  {len(task.labelled.windows)} windows in {len(task.steps)} steps, {describe(pair.student, settings)}")
    lesson = live(pair.teacher, task.labelled.windows)
    history = fit(
        pair.student,
        task.steps,
        lambda _, rows: distillation_loss(pair.student, lesson, task.labelled, rows, _TEACHER_WEIGHT),
        settings,
        state,
    )
    return history, (float_f1, before, f1(pair.student))


def _write(pair: _Pair, options: QuantizationOptions, target: Path) -> tuple[Path, Path, Path]:
    """Quantize the trained weights with the learned ranges, by AIMET as every model."""
    trained = pair.student.trained_model()
    simulator = Simulator(trained, options)
    simulator.calibrate_from_ranges(pair.student.learned_ranges(pair.ranges), constants(trained))
    made = write_quantized(simulator, target, pair.ranges.windows)
    return made.qdq, made.encodings, made.legacy_encodings

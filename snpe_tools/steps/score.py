"""questions → F1 of every stage, accuracy.json, and the gate. What is out of date is built first."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from snpe_tools.core.files import write_json
from snpe_tools.core.precision import Precision
from snpe_tools.core.progress import say
from snpe_tools.core.soc_generations import distinct
from snpe_tools.core.socs import Soc
from snpe_tools.devices.transports.address import Targets
from snpe_tools.execution.on_device import DeviceOptions
from snpe_tools.execution.written_inputs import write_windows
from snpe_tools.project.provenance import versions
from snpe_tools.project.recipe import Recipe
from snpe_tools.project.workspace import Workspace
from snpe_tools.scoring.answers_file import save_sheet
from snpe_tools.scoring.device_runners import DeviceStages
from snpe_tools.scoring.evaluate import FLOAT_STAGE, Stage, compare, spread_sample
from snpe_tools.scoring.gate import DEFAULT_MAX_DROP, Scores
from snpe_tools.scoring.host_runners import emulator_stage, onnx_stage
from snpe_tools.steps.build import build_dlc, build_prepared, choose_for
from snpe_tools.steps.build_quantized import float_source
from snpe_tools.steps.compare_layers import compare_layers
from snpe_tools.tasks.question_answering.features import Windows, load_tokenizer, make_windows
from snpe_tools.tasks.question_answering.squad import evaluation_file, load_questions

DEFAULT_QUESTIONS = 200
"""ONNX stages are asked the first so many questions, unless told otherwise."""
LAYER_WINDOWS = 4
"""Windows on which float and quantized ONNX are compared tensor by tensor."""
_FLOAT_SHARE = 4
"""Emulating fp16 takes about three times as long as integers, so that stage is asked a quarter of the emulated
questions.
"""


@dataclass(frozen=True)
class Scored:
    """The scores, where they were written, and the document itself.

    Beside `file` stand answers.json, what every stage answered, and layers.json, where the quantized model loses.
    """

    scores: Scores
    file: Path
    document: dict[str, Any]


def score(  # noqa: PLR0913 - the options of one command
    recipe: Recipe,
    root: Path = Path(),
    *,
    data: str = "",
    questions: int | None = None,
    max_drop: float = DEFAULT_MAX_DROP,
    workers: int = 0,
    executor: Executor | None = None,
    targets: Targets = Targets(),  # noqa: B008 - frozen
    shard: bool = False,
    options: DeviceOptions = DeviceOptions(),  # noqa: B008 - frozen
) -> Scored:
    """Score every stage of a model; what is out of date is built first.

    Args:
        root: folder that holds Models/ and raw_inputs/.
        data: SQuAD JSON, "squad", or "" for the shipped questions.
        questions: ask every stage the first so many, 0 for all; None asks ONNX stages up to 200, and the emulator the
            recipe's `emulated_questions` of those.
        max_drop: bound of the gate, in F1.
        workers, executor: emulator processes, 0 for up to two; or what runs the emulator instead, see `run`.
        targets: where the DLC runs: on the host's emulator, on devices, or on both.
        shard: split the questions over the devices, instead of asking each all of them.
        options: what is chosen of the runs on devices.

    Returns:
        The scores; `scores.check()` is the gate.

    Raises:
        SnpeToolsError: of the step that failed.
    """
    space, file, toolchain = Workspace(root, recipe.name), evaluation_file(data), choose_for(recipe)
    asked = load_questions(file)
    asked = asked[: (questions or len(asked)) if questions is not None else DEFAULT_QUESTIONS]
    devices = DeviceStages.find(
        targets.devices, space, recipe.parsed_precision, recipe.parsed_socs, options, shard=shard
    )
    with space.locked():
        precisions = list(dict.fromkeys([*_also(targets), recipe.parsed_precision]))
        for precision in precisions:
            build_dlc(recipe, space, precision, toolchain, file)
        build_prepared(recipe, space, toolchain)
        windows = make_windows(asked, load_tokenizer(space.tokenizer), recipe.sequence_length)
        sampled = recipe.emulated_questions if questions is None else 0
        on = _Emulation(space, recipe.parsed_socs, sampled, workers, executor)
        stages = [*_stages(recipe, precisions if targets.host else [], on), *devices.stages(sampled)]
        scores = compare(stages, windows, max_drop=max_drop)
        scores = replace(scores, lost=scores.lost + devices.lost())
        if not recipe.parsed_precision.is_float:
            _keep_layers(recipe, space, recipe.parsed_precision, windows)
    made = {"toolchain": toolchain.label, "devices": devices.records()}
    document = _document(recipe, data or "shipped", len(asked), scores) | made
    if scores.sheet:
        save_sheet(scores.sheet.model_copy(update={"model": recipe.name}), space.answers)
    write_json(space.accuracy, document)
    return Scored(scores, space.accuracy, document)


def _also(targets: Targets) -> list[Precision]:
    """What is emulated beside the recipe's precision."""
    return [Precision.parse("fp16")] if targets.host else []


def _keep_layers(recipe: Recipe, space: Workspace, precision: Precision, windows: Windows) -> None:
    """Float against quantized ONNX, tensor by tensor, on a few of the questions' windows.

    The float graph is the one that was quantized: folded scales change tensors that keep their names.
    """
    rows = np.array(spread_sample(len(windows), LAYER_WINDOWS), np.intp)
    listed = write_windows(space.onnx, windows.take(rows), space.raws("layers")).list_file
    source = float_source(recipe, space, precision)
    write_json(space.layers, compare_layers(source, space.qdq(precision), listed, limit=0))


@dataclass(frozen=True)
class _Emulation:
    """On which SoCs, how many questions, and by whom a model is emulated."""

    space: Workspace
    socs: tuple[Soc, ...]
    questions: int
    workers: int
    executor: Executor | None

    def stages(self, precision: Precision) -> list[Stage]:
        """One for each generation that the emulator tells apart."""
        able = [soc for soc in self.socs if precision.need.fits(soc)]
        if not able:
            say(f"  dlc-{precision}@host is left out: {', '.join(map(str, self.socs))} cannot run it.")
            return []
        groups, name = distinct(able, quantized=not precision.is_float), f"dlc-{precision}@host"
        if len(groups) == 1:
            return [self._stage(precision, soc, name) for soc in groups]
        for soc, others in groups.items():
            if others:
                say(f"  {', '.join(map(str, others))}: the emulator computes as for {soc}; not run again.")
        return [replace(self._stage(precision, soc, f"{name}:{soc}"), group=name) for soc in groups]

    def _stage(self, precision: Precision, soc: Soc, name: str) -> Stage:
        questions = -(-self.questions // _FLOAT_SHARE) if precision.is_float else self.questions
        folder = self.space.raws(name.replace(":", "."))
        made = emulator_stage(
            name,
            self.space.dlc(precision),
            self.space.onnx,
            folder,
            soc=soc,
            workers=self.workers,
            executor=self.executor,
        )
        return replace(made, questions=questions)


def _stages(recipe: Recipe, precisions: list[Precision], emulation: _Emulation) -> list[Stage]:
    space = emulation.space
    stages = [onnx_stage(FLOAT_STAGE, space.dynamic)]
    if not recipe.parsed_precision.is_float:
        stages.append(onnx_stage("onnx-qdq", space.qdq(recipe.parsed_precision), optimize=False))
    return stages + [stage for precision in precisions for stage in emulation.stages(precision)]


def _document(recipe: Recipe, dataset: str, questions: int, scores: Scores) -> dict[str, Any]:
    return {
        "model": recipe.name,
        "dataset": dataset,
        "questions": questions,
        "precision": recipe.precision,
        "runtime": {
            name: version
            for name, version in versions("score").items()
            if name.startswith(("onnxruntime", "aimet", "snpe"))
        },
        "soc": recipe.socs,
        "sequence_length": recipe.sequence_length,
        "random_weights": recipe.random,
        "calibration": {
            "data": recipe.calibration or "shipped",
            "windows": recipe.calibration_windows,
            "method": recipe.method,
        },
        "max_drop": scores.max_drop,
        "passed": not scores.failed and not scores.lost,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "stages": scores.as_dicts(),
        "lost": [asdict(lost) for lost in scores.lost],
        "pairs": [asdict(pair) for pair in scores.pairs],
        "soc_differences": [asdict(found) for found in scores.contrasts],
    }

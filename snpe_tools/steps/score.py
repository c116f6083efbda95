"""examples → the score of every runner, accuracy.json, and the gate. What is out of date is built first."""

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
from snpe_tools.execution.written_inputs import write_batch
from snpe_tools.project.provenance import versions
from snpe_tools.project.recipe import Recipe
from snpe_tools.project.workspace import Workspace
from snpe_tools.scoring.device_runners import DeviceRunners
from snpe_tools.scoring.evaluate import FLOAT_RUNNER, Runner, compare, spread_sample
from snpe_tools.scoring.gate import Scores
from snpe_tools.scoring.host_runners import emulator_runner, onnx_runner
from snpe_tools.scoring.predictions_file import save_sheet
from snpe_tools.steps.build import build_dlc, build_prepared, choose_for
from snpe_tools.steps.build_quantized import float_source
from snpe_tools.steps.compare_layers import compare_layers
from snpe_tools.tasks import Batch, Task, find_task

DEFAULT_EXAMPLES = 200
"""ONNX runners are asked the first so many examples, unless told otherwise."""
LAYER_INFERENCES = 4
"""Inferences on which float and quantized ONNX are compared tensor by tensor."""
_FLOAT_SHARE = 4
"""Emulating fp16 takes about three times as long as integers, so that runner is asked a quarter of the emulated
examples.
"""


@dataclass(frozen=True)
class Scored:
    """The scores, where they were written, and the document itself.

    Beside `file` stand answers.json, what every runner predicted, and layers.json, where the quantized model loses.
    """

    scores: Scores
    file: Path
    document: dict[str, Any]


def score(  # noqa: PLR0913 - the options of one command
    recipe: Recipe,
    root: Path = Path(),
    *,
    data: str = "",
    examples: int | None = None,
    max_drop: float | None = None,
    workers: int = 0,
    executor: Executor | None = None,
    targets: Targets = Targets(),  # noqa: B008 - frozen
    shard: bool = False,
    options: DeviceOptions = DeviceOptions(),  # noqa: B008 - frozen
) -> Scored:
    """Score every runner of a model; what is out of date is built first.

    Args:
        root: folder that holds Models/ and raw_inputs/.
        data: a file of examples or a name that the task knows; "" for the shipped ones.
        examples: ask every runner the first so many, 0 for all; None asks ONNX runners up to 200, and the emulator the
            recipe's `emulated_examples` of those.
        max_drop: bound of the gate, in the task's metric; None is the metric's own.
        workers, executor: emulator processes, 0 for up to two; or what runs the emulator instead, see `run`.
        targets: where the DLC runs: on the host's emulator, on devices, or on both.
        shard: split the examples over the devices, instead of asking each all of them.
        options: what is chosen of the runs on devices.

    Returns:
        The scores; `scores.check()` is the gate.

    Raises:
        SnpeToolsError: of the step that failed.
    """
    space, task, toolchain = Workspace(root, recipe.name), find_task(recipe.task), choose_for(recipe)
    file = task.find(data)
    asked = task.load(file)
    asked = asked[: (examples or len(asked)) if examples is not None else DEFAULT_EXAMPLES]
    devices = DeviceRunners.find(
        targets.devices, space, recipe.parsed_precision, recipe.parsed_socs, options, outputs=task.outputs, shard=shard
    )
    with space.locked():
        precisions = list(dict.fromkeys([*_also(targets), recipe.parsed_precision]))
        for precision in precisions:
            build_dlc(recipe, space, precision, toolchain, file)
        build_prepared(recipe, space, toolchain)
        batch = task.encode(asked, space.tokenizer, (1, recipe.sequence_length))
        sampled = recipe.emulated_examples if examples is None else 0
        on = _Emulation(space, task, recipe.parsed_socs, sampled, workers, executor)
        runners = [*_runners(recipe, precisions if targets.host else [], on), *devices.runners(sampled)]
        scores = compare(runners, batch, task, max_drop=max_drop)
        scores = replace(scores, failed_runners=scores.failed_runners + devices.failed())
        if not recipe.parsed_precision.is_float:
            _keep_layers(recipe, space, recipe.parsed_precision, batch)
    made = {"toolchain": toolchain.label, "devices": devices.records()}
    document = _document(recipe, data or "shipped", len(asked), scores) | made
    if scores.sheet:
        save_sheet(scores.sheet.model_copy(update={"model": recipe.name}), space.predictions)
    write_json(space.accuracy, document)
    return Scored(scores, space.accuracy, document)


def _also(targets: Targets) -> list[Precision]:
    """What is emulated beside the recipe's precision."""
    return [Precision.parse("fp16")] if targets.host else []


def _keep_layers(recipe: Recipe, space: Workspace, precision: Precision, batch: Batch) -> None:
    """Float against quantized ONNX, tensor by tensor, on a few of the inferences.

    The float graph is the one that was quantized: folded scales change tensors that keep their names.
    """
    rows = np.array(spread_sample(len(batch), LAYER_INFERENCES), np.intp)
    listed = write_batch(space.onnx, batch.take(rows), space.raws("layers")).list_file
    source = float_source(recipe, space, precision)
    write_json(space.layers, compare_layers(source, space.qdq(precision), listed, limit=0))


@dataclass(frozen=True)
class _Emulation:
    """On which SoCs, how many examples, and by whom a model is emulated."""

    space: Workspace
    task: Task
    socs: tuple[Soc, ...]
    examples: int
    workers: int
    executor: Executor | None

    def runners(self, precision: Precision) -> list[Runner]:
        """One for each generation that the emulator tells apart."""
        able = [soc for soc in self.socs if precision.need.fits(soc)]
        if not able:
            say(f"  dlc-{precision}@host is left out: {', '.join(map(str, self.socs))} cannot run it.")
            return []
        groups, name = distinct(able, quantized=not precision.is_float), f"dlc-{precision}@host"
        if len(groups) == 1:
            return [self._runner(precision, soc, name) for soc in groups]
        for soc, others in groups.items():
            if others:
                say(f"  {', '.join(map(str, others))}: the emulator computes as for {soc}; not run again.")
        return [replace(self._runner(precision, soc, f"{name}:{soc}"), group=name) for soc in groups]

    def _runner(self, precision: Precision, soc: Soc, name: str) -> Runner:
        examples = -(-self.examples // _FLOAT_SHARE) if precision.is_float else self.examples
        folder = self.space.raws(name.replace(":", "."))
        made = emulator_runner(
            name,
            self.space.dlc(precision),
            self.space.onnx,
            folder,
            self.task.outputs,
            soc=soc,
            workers=self.workers,
            executor=self.executor,
        )
        return replace(made, examples=examples)


def _runners(recipe: Recipe, precisions: list[Precision], emulation: _Emulation) -> list[Runner]:
    space, outputs = emulation.space, emulation.task.outputs
    runners = [onnx_runner(FLOAT_RUNNER, space.dynamic, outputs)]
    if not recipe.parsed_precision.is_float:
        runners.append(onnx_runner("onnx-qdq", space.qdq(recipe.parsed_precision), outputs, optimize=False))
    return runners + [runner for precision in precisions for runner in emulation.runners(precision)]


def _document(recipe: Recipe, dataset: str, examples: int, scores: Scores) -> dict[str, Any]:
    """accuracy.json; `stages` are its runners, as they have always been called there."""
    words = scores.words
    return {
        "model": recipe.name,
        "task": recipe.task,
        "metric": asdict(scores.metric),
        "words": asdict(words),
        "dataset": dataset,
        words.examples: examples,
        "examples": examples,
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
        "passed": not scores.failed and not scores.failed_runners,
        "score": scores.runners[0].as_dict(scores.metric, words)["score"],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "stages": scores.as_dicts(),
        "lost": [failed.as_dict() for failed in scores.failed_runners],
        "pairs": [pair.as_dict(words.examples) for pair in scores.pairs],
        "soc_differences": [found.as_dict(words.examples) for found in scores.soc_differences],
    }

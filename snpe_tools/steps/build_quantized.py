"""The arrow of a build from the float ONNX to QDQ ONNX and encodings: calibrated, or trained for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snpe_tools.core.precision import Precision
from snpe_tools.core.raw_files import LIST_NAME
from snpe_tools.graph.ranges_file import load_ranges
from snpe_tools.project.provenance import Request
from snpe_tools.project.recipe import Recipe
from snpe_tools.project.workspace import Workspace
from snpe_tools.quantization.plan import Plan, load_plan
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.tasks import find_task, practice_file


def quantized(recipe: Recipe, space: Workspace, precision: Precision) -> Request:
    """The step that makes them, what it reads and what it writes.

    Raises:
        RecipeError: there is no plan where the precision needs one, or it is wrong.
    """
    sources = {"onnx": space.onnx, "raws": space.raws("calibration"), "ranges": space.ranges}
    current, legacy = space.artefact(f"{precision}.encodings"), space.legacy_encodings(precision)
    outputs = {"qdq": space.qdq(precision), "encodings": current, "legacy": legacy}
    if float_source(recipe, space, precision) != space.onnx:
        outputs["float"] = space.quantized_float(precision)
    if recipe.train:
        sources = {"onnx": space.onnx, "dynamic": space.dynamic, "tokenizer": space.tokenizer}
        sources["examples"] = practice_file(find_task(recipe.task), recipe.train)
    settings = quantization_settings(recipe, space, precision)
    if recipe.train:
        return Request("qat", sources, settings, outputs, find_task(recipe.task).training_code)
    return Request("quantize", sources, settings, outputs)


def make_quantized(
    recipe: Recipe, space: Workspace, precision: Precision, evaluation: Path | None
) -> Mapping[str, Any]:
    """Calibrate, or train where the recipe says on what; what to note of it.

    Args:
        evaluation: examples the model will be scored on; none of their passages or images may be trained on.
    """
    options = quantization_options(recipe, precision, read_plan(recipe, space, precision))
    if recipe.train:
        return _train(recipe, space, options, evaluation)
    from snpe_tools.steps.quantize import quantize

    raws, ranges = space.raws("calibration") / LIST_NAME, load_ranges(space.ranges)
    made = quantize(space.onnx, raws, space.qdq(precision), options, ranges=ranges)
    return {"windows": made.windows, "activation_encodings": made.activations, "wide": made.wide}


def _train(
    recipe: Recipe, space: Workspace, options: QuantizationOptions, evaluation: Path | None
) -> Mapping[str, Any]:
    from snpe_tools.steps.qat import qat

    task = find_task(recipe.task)
    settings = task.trainer().imitation_settings(space.onnx, None, {"examples": recipe.train_examples})
    target = space.qdq(options.precision)
    made = qat(
        space.onnx, space.tokenizer, practice_file(task, recipe.train), target, settings, options,
        task=recipe.task, dynamic=space.dynamic, evaluation=evaluation, forget_others=True,
    )  # fmt: skip
    return {"steps": made.steps, **made.scores}


def read_plan(recipe: Recipe, space: Workspace, precision: Precision) -> Plan | None:
    """The model's plan, where activations have 8 bits; without what it says of 16 bits unless the precision is mixed.

    Only a mixed precision must have one. Without, whoever asks for another method than min-max, or for the SDK's own
    quantizer, gets that alone.

    Raises:
        RecipeError: there is none, or it is wrong.
    """
    if precision.mixed:
        return load_plan(space.plan)
    ours = recipe.method == "min-max" and recipe.quantizer == "aimet"
    if not precision.takes_plan or not ours or not space.plan.is_file():
        return None
    return load_plan(space.plan).model_copy(update={"wide": ()})


def quantization_options(recipe: Recipe, precision: Precision, plan: Plan | None = None) -> QuantizationOptions:
    """How a recipe quantizes."""
    return QuantizationOptions(precision, recipe.method, recipe.per_channel, recipe.percentile, plan)


def float_source(recipe: Recipe, space: Workspace, precision: Precision) -> Path:
    """The float graph that encodings belong to: with 8-bit activations, and after training, not the exported one."""
    changed = precision.takes_plan or (recipe.train and not precision.is_float)
    return space.quantized_float(precision) if changed else space.onnx


def quantization_settings(recipe: Recipe, space: Workspace, precision: Precision) -> dict[str, Any]:
    """What decides the encodings; recorded beside the DLC, too."""
    plan = read_plan(recipe, space, precision)
    chosen = recipe.model_dump(include={"method", "percentile", "per_channel", "calibration_windows"})
    if plan:
        chosen["plan"] = plan.model_dump(mode="json")
    if recipe.train:
        chosen["train_examples"] = recipe.train_examples
    return chosen | {"precision": str(precision), "calibration": recipe.calibration or "shipped"}

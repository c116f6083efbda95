"""The arrows in order, from checkpoint to prepared DLC; each runs only when its provenance no longer holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snpe_tools.core.errors import UsageError
from snpe_tools.core.files import require_file, size_of
from snpe_tools.core.precision import Precision
from snpe_tools.core.progress import say
from snpe_tools.core.raw_files import LIST_NAME
from snpe_tools.core.socs import check_fit
from snpe_tools.graph.ranges_file import load_ranges, save_ranges, warn_outside_fp16
from snpe_tools.project.provenance import Request, changes, record
from snpe_tools.project.recipe import Recipe
from snpe_tools.project.workspace import Workspace
from snpe_tools.steps.build_quantized import (
    float_source,
    make_quantized,
    quantization_options,
    quantization_settings,
    quantized,
    read_plan,
)
from snpe_tools.tasks import DEFAULT_TASK, find_task, practice_file
from snpe_tools.toolchains import Quantization, Toolchain
from snpe_tools.toolchains.choosing import choose

Action = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Artefact:
    """One artefact of a build: its file or folder, bytes, seconds it took, and whether it was up to date before."""

    step: str
    path: Path
    bytes: int
    seconds: float
    fresh: bool


def build(recipe: Recipe, root: Path = Path(), *, evaluation: Path | None = None) -> list[Artefact]:
    """Build everything that a recipe asks for.

    Args:
        root: folder that holds Models/ and raw_inputs/.
        evaluation: examples the model will be scored on; calibration must not share a passage or an image with them.

    Returns:
        The artefacts in order; the last is the prepared DLC.

    Raises:
        SnpeToolsError: of the step that failed. What was made before it stays, and is not made again.
    """
    space, toolchain = Workspace(root, recipe.name), choose_for(recipe)
    with space.locked():
        made = build_dlc(recipe, space, recipe.parsed_precision, toolchain, evaluation)
        return [*made, build_prepared(recipe, space, toolchain)]


def choose_for(recipe: Recipe) -> Toolchain:
    """The toolchain that a recipe asks for.

    Raises:
        UsageError: settings that only the SDK has, without the SDK, or that its quantizer does not have.
        SetupError: the SDK is asked for, and cannot be used.
    """
    if recipe.quantizer == "sdk" and recipe.parsed_precision.mixed:
        raise UsageError(
            "The SDK's quantizer knows one width for all activations: a mixed precision needs our encodings.",
            "Take QUANTIZER=aimet (--quantizer aimet), or another precision.",
        )
    toolchain = choose(recipe.toolchain, sdk_python=recipe.sdk_python, sdk_tools=recipe.sdk_tools or None)
    if recipe.train and (recipe.quantizer == "sdk" or recipe.method != "min-max"):
        raise UsageError(
            "Training learns the ranges: neither the SDK's quantizer nor another method than min-max would keep them.",
            "Leave QUANTIZER and METHOD out, or TRAIN (--train).",
        )
    if toolchain.reads_qdq and recipe.quantizer == "sdk":
        raise UsageError("QUANTIZER=sdk (--quantizer sdk) needs the SDK.", "Add TOOLCHAIN=sdk (--toolchain sdk).")
    return toolchain


def build_dlc(
    recipe: Recipe, space: Workspace, precision: Precision, toolchain: Toolchain, evaluation: Path | None = None
) -> list[Artefact]:
    """Build up to the DLC without caches, in one precision; the caller holds the workspace's lock."""
    return [*build_sources(recipe, space, precision, evaluation), _convert(recipe, space, precision, toolchain)]


def build_sources(
    recipe: Recipe, space: Workspace, precision: Precision, evaluation: Path | None = None
) -> list[Artefact]:
    """Build what a toolchain reads, in one precision; the caller holds the workspace's lock."""
    check_fit(f"A {recipe.precision} model", recipe.parsed_socs, recipe.parsed_precision.need)
    task = find_task(recipe.task)
    calibration = Path(recipe.calibration) if recipe.calibration else task.calibration
    if recipe.train:
        require_file(practice_file(task, recipe.train), f"training {task.words.examples}")
    if evaluation is not None:
        task.check_disjoint(task.load(evaluation), task.load(calibration))
    done = [_export(recipe, space), _inputs(recipe, space, calibration), _ranges(space)]
    if not precision.is_float:
        request = quantized(recipe, space, precision)
        done.append(_run(request, lambda: make_quantized(recipe, space, precision, evaluation)))
    return done


def _run(request: Request, action: Action) -> Artefact:
    """Run one step if it must, and say why."""
    reasons = changes(request)
    artefact = next(iter(request.outputs.values()))
    seconds = 0.0
    if reasons:
        say(f"{request.step}: {artefact} ({reasons[0]}{', …' if len(reasons) > 1 else ''})")
        started = time.perf_counter()
        request.file.unlink(missing_ok=True)
        with record(request) as notes:
            notes.update(action())
        seconds = time.perf_counter() - started
    return Artefact(request.step, artefact, size_of(artefact), seconds, not reasons)


def _export(recipe: Recipe, space: Workspace) -> Artefact:
    places = {
        key: Path(value) for key in ("checkpoint", "tokenizer") if Path(value := getattr(recipe, key) or "-").is_dir()
    }
    files = {f"{key}/{file.name}": file for key, folder in places.items() for file in _checkpoint_files(folder)}
    decisive = {"checkpoint", "tokenizer", "architecture", "random", "sequence_length", "mask_value"} - set(places)
    settings = recipe.model_dump(include=decisive)
    outputs = {"onnx": space.onnx, "dynamic": space.dynamic, "tokenizer": space.tokenizer}

    def action() -> Mapping[str, Any]:
        from snpe_tools.steps.export import export

        exported = export(
            recipe.checkpoint,
            space.onnx,
            sequence_length=recipe.sequence_length,
            mask_value=recipe.mask_value,
            architecture=recipe.architecture if recipe.random else "",
            tokenizer=recipe.tokenizer,
            task=recipe.task,
        )
        return exported.notes()

    code = find_task(recipe.task).code
    return _run(Request("export", files, settings | _task_of(recipe), outputs, code), action)


def _task_of(recipe: Recipe) -> dict[str, str]:
    """Nothing for the task that recipes had before they could name one, so that what was built stays up to date."""
    return {} if recipe.task == DEFAULT_TASK else {"task": recipe.task}


_CHECKPOINT_SUFFIXES = {".json", ".safetensors", ".bin", ".txt", ".model"}


def _checkpoint_files(folder: Path) -> list[Path]:
    """What decides the export; logs and optimizer states beside it do not."""
    return sorted(file for file in folder.iterdir() if file.suffix in _CHECKPOINT_SUFFIXES and file.is_file())


def _inputs(recipe: Recipe, space: Workspace, calibration: Path) -> Artefact:
    folder, task = space.raws("calibration"), find_task(recipe.task)
    sources = {
        "onnx": space.onnx,
        "tokenizer": space.tokenizer,
        "examples": require_file(calibration, f"calibration {task.words.examples}"),
    }

    def action() -> Mapping[str, Any]:
        from snpe_tools.steps.inputs import inputs

        made = inputs(
            space.onnx, task.load(calibration), space.tokenizer, folder,
            task=recipe.task, limit=recipe.calibration_windows, for_calibration=True,
        )  # fmt: skip
        return {"windows": len(made.batch)}

    settings = {"windows": recipe.calibration_windows} | _task_of(recipe)
    return _run(Request("inputs", sources, settings, {"folder": folder}, task.code), action)


def _ranges(space: Workspace) -> Artefact:
    raws = space.raws("calibration")

    def action() -> Mapping[str, Any]:
        from snpe_tools.steps.quantize import observe

        found = observe(space.onnx, raws / LIST_NAME)
        save_ranges(found, space.ranges)
        return {"windows": found.windows, "tensors": len(found.names)}

    done = _run(Request("observe", {"onnx": space.onnx, "raws": raws}, {}, {"ranges": space.ranges}), action)
    warn_outside_fp16(load_ranges(space.ranges))
    return done


def sdk_quantization(recipe: Recipe, space: Workspace, precision: Precision) -> Quantization | None:
    """What a recipe has the SDK quantize with; None in float."""
    if precision.is_float:
        return None
    encodings = space.legacy_encodings(precision) if recipe.quantizer == "aimet" else None
    options = quantization_options(recipe, precision, read_plan(recipe, space, precision))
    return Quantization(options, space.raws("calibration") / LIST_NAME, encodings)


def _convert(recipe: Recipe, space: Workspace, precision: Precision, toolchain: Toolchain) -> Artefact:
    quantization = None if toolchain.reads_qdq else sdk_quantization(recipe, space, precision)
    source = float_source(recipe, space, precision) if precision.is_float or quantization else space.qdq(precision)
    sources, target = {"onnx": source}, space.dlc(precision)
    settings = {"precision": str(precision)} if precision.is_float else quantization_settings(recipe, space, precision)
    if quantization:
        sources["raws"] = quantization.input_list.parent
        settings["quantizer"] = recipe.quantizer
        if quantization.encodings:
            sources["encodings"] = quantization.encodings
    settings |= {"name": recipe.name, "toolchain": toolchain.label, "check": recipe.check}

    def action() -> Mapping[str, Any]:
        from snpe_tools.steps.convert import convert

        for stale in space.all_prepared(precision):
            stale.unlink()
        made = convert(
            source, target, name=recipe.name, toolchain=toolchain, quantization=quantization,
            inputs=space.raws("calibration") / LIST_NAME, check=recipe.check,
        )  # fmt: skip
        if made.check:
            say(f"  {target.name}: {made.check}")
        return {"graph": made.graph, "operations": made.operations, **made.notes}

    return _run(Request("convert", sources, settings, {"dlc": target}), action)


def build_prepared(recipe: Recipe, space: Workspace, toolchain: Toolchain) -> Artefact:
    """The DLC with its caches, from the one without; the caller holds the workspace's lock."""
    precision, socs = recipe.parsed_precision, recipe.parsed_socs
    target = space.prepared(precision, socs)

    def action() -> Mapping[str, Any]:
        from snpe_tools.steps.prepare import prepare

        made = prepare(space.dlc(precision), target, socs, toolchain=toolchain)
        return {"caches": made.caches, **made.notes}

    settings = {"socs": recipe.socs, "toolchain": toolchain.label}
    return _run(Request("prepare", {"dlc": space.dlc(precision)}, settings, {"prepared": target}), action)

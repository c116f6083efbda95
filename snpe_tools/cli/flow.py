"""The commands that walk the whole flow: build, score, doctor."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snpe_tools.cli import options
from snpe_tools.cli.dumped import score_dumped
from snpe_tools.cli.output import decibel, finish, seconds, show, size, table
from snpe_tools.errors import UsageError
from snpe_tools.progress import say

if TYPE_CHECKING:
    from snpe_tools.comparison import StageScore
    from snpe_tools.recipe import Recipe
    from snpe_tools.significance import Pair
    from snpe_tools.stages.build import Done
    from snpe_tools.stages.score import Scored


def build(
    model: options.Model = options.DEFAULT_MODEL,
    checkpoint: options.Checkpoint = None,
    precision: options.PrecisionName = None,
    soc: options.SocNames = None,
    seq: options.Sequence_ = None,
    calibration: options.Calibration = None,
    windows: options.Windows = None,
    method: options.Method = None,
    per_channel: options.PerChannel = None,
    toolchain: options.Toolchain = None,
    quantizer: options.Quantizer = None,
    sdk_tools: options.SdkTools = None,
    sdk_python: options.SdkPython = None,
    random: options.Random = False,
    data: options.Data = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With the SDK: print its commands, to paste, and why each flag is there.")
    ] = False,
    root: options.Root = Path(),
    as_json: options.Json = False,
) -> None:
    """Checkpoint → DLC with HTP caches. Only what is out of date is made again."""
    given = locals()
    from snpe_tools import build as run_build
    from snpe_tools.qa.squad import evaluation_file

    recipe = _recipe(given)
    if dry_run:
        _show_commands(recipe, root, evaluation_file(data), as_json=as_json)
        return
    done = run_build(recipe, root, evaluation=evaluation_file(data))
    _show_artefacts(done, given)
    finish({"model": recipe.name, "artefacts": done}, as_json=as_json)


def _show_commands(recipe: Recipe, root: Path, evaluation: Path, *, as_json: bool) -> None:
    from snpe_tools.stages.dry_run import dry_run

    made = dry_run(recipe, root, evaluation=evaluation)
    if not as_json:
        for line in made.script.splitlines():
            show(line)
    say(f"Nothing was called. The commands and what they read are in {made.folder}.")
    finish(made, as_json=as_json)


def score(
    model: options.Model = options.DEFAULT_MODEL,
    checkpoint: options.Checkpoint = None,
    precision: options.PrecisionName = None,
    soc: options.SocNames = None,
    seq: options.Sequence_ = None,
    calibration: options.Calibration = None,
    windows: options.Windows = None,
    method: options.Method = None,
    per_channel: options.PerChannel = None,
    toolchain: options.Toolchain = None,
    quantizer: options.Quantizer = None,
    sdk_tools: options.SdkTools = None,
    sdk_python: options.SdkPython = None,
    random: options.Random = False,
    data: options.Data = "",
    questions: Annotated[
        str, typer.Option(help='Questions every stage is asked: a number, "all", or "" for the default sample.')
    ] = "",
    max_drop: Annotated[float, typer.Option(help="F1 that a stage may lose against float.", min=0)] = 1.0,
    workers: Annotated[int, typer.Option(help="Emulator processes; 0 takes up to two.", min=0)] = 0,
    device: options.Device = "host",
    shard: Annotated[bool, typer.Option("--shard", help="Split the questions over the devices.")] = False,
    runtime: options.Runtime = "",
    profile: options.Profile = "",
    device_root: options.DeviceRoot = "",
    timeout: options.Timeout = 0,
    logits: Annotated[
        list[Path] | None,
        typer.Option(help="Score a folder of logits instead; repeated, the first is the others' reference."),
    ] = None,
    layout: Annotated[
        Path | None, typer.Option(help="TOML that says which file of --logits is what; see docs/accuracy.md.")
    ] = None,
    root: options.Root = Path(),
    as_json: options.Json = False,
) -> None:
    """F1 of every stage, and the gate. Writes accuracy.json; exit code 6 when a stage lost too much."""
    given = locals()
    if logits:
        if device != "host":
            raise UsageError("--logits scores what is there; no device is asked.", "Leave --device out, or --logits.")
        score_dumped(logits, _recipe(given), root, layout, data, options.parse_questions(questions) or 0, max_drop,
                     as_json=as_json)  # fmt: skip
        return
    from snpe_tools import score as run_score
    from snpe_tools.devices.address import parse_targets
    from snpe_tools.stages.device import Wish

    targets = parse_targets(device)
    recipe = _recipe(given)
    scored = run_score(
        recipe,
        root,
        data=data,
        questions=options.parse_questions(questions),
        max_drop=max_drop,
        workers=workers,
        targets=targets,
        shard=shard,
        wish=Wish(runtime=runtime, profile=profile, root=device_root, timeout=timeout),
    )
    _show_scores(scored)
    finish(scored.document, as_json=as_json)
    scored.scores.check()


def doctor(
    sdk_python: options.SdkPython = None,
    device: options.OneDevice = "",
    runtime: options.Runtime = "",
    device_root: options.DeviceRoot = "",
    root: options.Root = Path(),
    as_json: options.Json = False,
) -> None:
    """What this machine has and lacks, or a device. And what to do for what it lacks."""
    from snpe_tools import doctor as run_doctor
    from snpe_tools.devices.address import DeviceAddress
    from snpe_tools.stages.doctor import require_healthy
    from snpe_tools.stages.readiness import examine

    if device:
        findings = [*examine(DeviceAddress.parse(device), root=device_root, runtime=runtime).findings]
    else:
        findings = run_doctor(root, sdk_python=sdk_python or "")
    table(
        ("", "state", "found", "what to do"),
        [(item.name, item.state, item.found, item.advice) for item in findings],
        left=4,
    )
    finish(findings, as_json=as_json)
    require_healthy(findings)


_SETTINGS = {"soc": "socs", "seq": "sequence_length", "windows": "calibration_windows"}
"""Settings of a recipe whose options have shorter names."""


def _recipe(given: Mapping[str, Any]) -> Recipe:
    """The recipe that the options of a command ask for."""
    from snpe_tools.recipe import Recipe, load_recipe

    named = {_SETTINGS.get(option, option): value for option, value in given.items()}
    chosen = {key: value for key, value in named.items() if key in Recipe.model_fields}
    overrides = options.recipe_overrides(**chosen | {"random": given["random"] or None})
    return load_recipe(given["model"], given["root"] / "Models", overrides)


def _show_artefacts(done: list[Done], given: Mapping[str, Any]) -> None:
    rows = [(str(item.path), size(item.bytes), "up to date" if item.fresh else seconds(item.seconds)) for item in done]
    table(("artefact", "size", "seconds"), rows)
    say(f"\nNext: {_again('make accuracy', given)}    (F1 of every stage, on the emulator)")


_VARIABLES = (
    "model", "precision", "soc", "seq", "checkpoint", "random", "calibration", "windows", "method", "toolchain",
    "quantizer", "sdk_tools", "sdk_python", "data",
)  # fmt: skip


def _again(command: str, given: Mapping[str, Any]) -> str:
    """A make command with the same variables."""
    usual = {"model": options.DEFAULT_MODEL}
    said = [(name.upper(), given[name]) for name in _VARIABLES if given[name] and given[name] != usual.get(name)]
    if given["per_channel"] is False:
        said.append(("PER_TENSOR", "1"))
    words = [f"{name}={shlex.quote('1' if value is True else str(value))}" for name, value in said]
    return " ".join([command, *words])


def _show_scores(scored: Scored) -> None:
    document = scored.document
    from snpe_tools.comparison import FLOAT_STAGE

    say(f"\n{document['model']}, {document['precision']}, {document['questions']} questions of {document['dataset']}")
    columns = ("stage", "questions", "F1", "95 % interval", "EM", "float F1", "difference is", "same answers",
               "SQNR dB", "NaN/Inf", "s/inference")  # fmt: skip
    verdicts = {pair.second: _verdict(pair) for pair in scored.scores.pairs if pair.first == FLOAT_STAGE}
    rows = [_score_row(stage, verdicts.get(stage.stage, "")) for stage in scored.scores.stages]
    nothing = ("failed", *["-"] * (len(columns) - 2))
    table(columns, [*rows, *((lost.stage, *nothing) for lost in scored.scores.lost)])
    say(_explain(scored))


def _verdict(pair: Pair) -> str:
    if not pair.changed:
        return "none"
    return f"{'real' if pair.is_news else 'maybe luck'} (p {pair.p_value:.2f})"


def _score_row(stage: StageScore, verdict: str) -> tuple[str, ...]:
    return (
        stage.stage,
        str(stage.questions),
        f"{stage.f1:.2f}",
        "{:.1f} … {:.1f}".format(*stage.f1_interval),
        f"{stage.em:.2f}",
        f"{stage.float_f1:.2f}",
        verdict,
        f"{stage.same:.1f} %",
        decibel(stage.sqnr_db),
        str(stage.not_finite),
        seconds(stage.seconds),
    )


def _but(scored: Scored) -> str:
    return ", luck aside" if scored.scores.undecided else ""


def _ties(stage: StageScore) -> str:
    low, high = stage.f1_ties
    return (
        f"{stage.stage}: spans of equal score; the rule (earlier window, earlier start, shorter span) gives "
        f"F1 {stage.f1:.2f}, others {low:.2f} to {high:.2f}."
    )


def _device(made: Mapping[str, Any]) -> str:
    what = "emulates" if made["emulated"] else "is"
    return (
        f"{made['device']} {what} {made['soc']} (HTP {made['htp']}), {made['os']}; {made['runtime']}; "
        f"profile: {made['profile']}; {size(made['bytes_pushed'])} pushed."
    )


def _explain(scored: Scored) -> str:
    fewest = min(scored.scores.stages, key=lambda stage: stage.questions)
    lines = [
        "95 % interval: where F1 would lie with other questions of the kind.",
        "maybe luck: a difference from float as large comes about by chance in more than 1 of 20 trials.",
        "float F1: of onnx-float on the same questions. Emulator seconds say nothing about a device.",
    ]
    lines += [_device(made) for made in scored.document["devices"]]
    lines += [f"{lost.stage}: {lost.error}" for lost in scored.scores.lost]
    lines += [_ties(stage) for stage in scored.scores.stages if stage.f1_ties[0] < stage.f1_ties[1]]
    if fewest.questions < scored.document["questions"]:
        lines.append(
            f"The emulator is asked a fixed, evenly spread sample; of {fewest.questions} questions one is worth "
            f"{100 / fewest.questions:.1f} F1. QUESTIONS=N or all asks every stage the same number."
        )
    lines += [
        f"{stage.stage}: {stage.drop:.2f} F1 below float on a sample of {stage.questions}, which may be luck: "
        "QUESTIONS=100 decides."
        for stage in scored.scores.undecided
    ]
    if scored.document["passed"]:
        lines.append(
            f"Passed: no stage lost more than {scored.scores.max_drop:g} F1{_but(scored)}. Written to {scored.file}."
        )
    return "\n".join(lines)

"""score: F1 of every stage, and the gate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snpe_tools.cli import options
from snpe_tools.cli.dumped import score_dumped, score_predicted
from snpe_tools.cli.output import decibel, finish, seconds, size, table
from snpe_tools.cli.recipe_options import Chosen, takes_recipe
from snpe_tools.core.errors import UsageError
from snpe_tools.core.progress import say

if TYPE_CHECKING:
    from snpe_tools.scoring.gate import StageScore
    from snpe_tools.scoring.significance import Pair
    from snpe_tools.steps.score import Scored

Questions = Annotated[
    str, typer.Option(help='Questions every stage is asked: a number, "all", or "" for the default sample.')
]
MaxDrop = Annotated[float, typer.Option(help="F1 that a stage may lose against float.", min=0)]
Workers = Annotated[int, typer.Option(help="Emulator processes; 0 takes up to two.", min=0)]
Shard = Annotated[bool, typer.Option("--shard", help="Split the questions over the devices.")]
DumpedLogits = Annotated[
    list[Path] | None,
    typer.Option(help="Score a folder of logits instead; repeated, the first is the others' reference."),
]
LogitsLayout = Annotated[
    Path | None, typer.Option(help="TOML that says which file of --logits is what; see docs/accuracy.md.")
]
Predictions = Annotated[
    Path | None, typer.Option(help='Score predicted answers instead: JSON {"id": "text"}, as the SQuAD scripts take.')
]


@takes_recipe()
def score(
    chosen: Chosen,
    data: options.Data = "",
    questions: Questions = "",
    max_drop: MaxDrop = 1.0,
    workers: Workers = 0,
    device: options.Device = "host",
    shard: Shard = False,
    runtime: options.Runtime = "",
    profile: options.Profile = "",
    device_root: options.DeviceRoot = "",
    timeout: options.Timeout = 0,
    logits: DumpedLogits = None,
    layout: LogitsLayout = None,
    predictions: Predictions = None,
    as_json: options.Json = False,
) -> None:
    """F1 of every stage, and the gate. Writes accuracy.json; exit code 6 when a stage lost too much."""
    from snpe_tools import score as run_score
    from snpe_tools.devices.transports.address import parse_targets
    from snpe_tools.execution.on_device import DeviceOptions

    targets, count = parse_targets(device), options.parse_questions(questions)
    if logits or predictions:
        _check_source(logits, predictions, device)
    if predictions:
        score_predicted(predictions, data, count or 0, as_json=as_json)
        return
    if logits:
        score_dumped(logits, chosen, layout, data, count or 0, max_drop, as_json=as_json)
        return
    scored = run_score(
        chosen.recipe(),
        chosen.root,
        data=data,
        questions=count,
        max_drop=max_drop,
        workers=workers,
        targets=targets,
        shard=shard,
        options=DeviceOptions(runtime=runtime, profile=profile, root=device_root, timeout=timeout),
    )
    _show_scores(scored)
    finish(scored.document, as_json=as_json)
    scored.scores.check()


def _check_source(logits: list[Path] | None, predictions: Path | None, device: str) -> None:
    """Refuse two things to score at once, and a device for what needs none."""
    if logits and predictions:
        raise UsageError("--logits and --predictions are two things to score.", "Name one of them.")
    if device != "host":
        option = "--logits" if logits else "--predictions"
        raise UsageError(f"{option} scores what is there; no device is asked.", f"Leave --device out, or {option}.")


def _show_scores(scored: Scored) -> None:
    document = scored.document
    from snpe_tools.scoring.evaluate import FLOAT_STAGE

    say(f"\n{document['model']}, {document['precision']}, {document['questions']} questions of {document['dataset']}")
    columns = ("stage", "questions", "F1", "95 % interval", "EM", "float F1", "difference is", "likely change",
               "same answers", "SQNR dB", "NaN/Inf", "s/inference")  # fmt: skip
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
        _likely(stage) if verdict else "",
        f"{stage.same:.1f} %",
        decibel(stage.sqnr_db),
        str(stage.not_finite),
        seconds(stage.seconds),
    )


def _likely(stage: StageScore) -> str:
    low, high = stage.likely_interval
    return f"{stage.likely_change:+.2f} ± {(high - low) / 2:.2f}"


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
        "likely change: of F1 against float, each good span counted by its probability; a third of the luck of F1.",
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

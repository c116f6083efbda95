"""score: F1 of every stage, and the gate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snpe_tools.cli import options
from snpe_tools.cli.dumped import score_dumped, score_predicted
from snpe_tools.cli.output import decibel, finish, seconds, size, table
from snpe_tools.cli.providing import provide
from snpe_tools.cli.recipe_options import Chosen, takes_recipe
from snpe_tools.core.errors import UsageError
from snpe_tools.core.progress import say

if TYPE_CHECKING:
    from snpe_tools.scoring.gate import RunnerScore, Scores
    from snpe_tools.scoring.significance import Pair
    from snpe_tools.steps.score import Scored

Questions = Annotated[
    str,
    typer.Option(
        "--questions",
        "--examples",
        help='Questions every stage is asked: a number, "all", or "" for the default sample.',
    ),
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
    fetch: options.Fetch = False,
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
    how = DeviceOptions(runtime=runtime, profile=profile, root=device_root, timeout=timeout)
    recipe = chosen.recipe()
    provide(targets.devices, how, fetch=fetch)
    scored = run_score(
        recipe,
        chosen.root,
        data=data,
        examples=count,
        max_drop=max_drop,
        workers=workers,
        targets=targets,
        shard=shard,
        options=how,
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
    document, scores = scored.document, scored.scores
    from snpe_tools.scoring.evaluate import FLOAT_RUNNER

    label, words = scores.metric.label, scores.words
    asked = f"{document['examples']} {words.examples} of {document['dataset']}"
    say(f"\n{document['model']}, {document['precision']}, {asked}")
    others = [key.upper() for key in scores.runners[0].others]
    columns = ("stage", words.examples, label, "95 % interval", *others, f"float {label}", "difference is",
               "likely change", f"same {words.predictions}", "SQNR dB", "NaN/Inf", "s/inference")  # fmt: skip
    verdicts = {pair.second: _verdict(pair) for pair in scores.pairs if pair.first == FLOAT_RUNNER}
    rows = [_score_row(row, verdicts.get(row.runner, "")) for row in scores.runners]
    nothing = ("failed", *["-"] * (len(columns) - 2))
    table(columns, [*rows, *((failed.runner, *nothing) for failed in scores.failed_runners)])
    say(_explain(scored))


def _verdict(pair: Pair) -> str:
    if not pair.changed:
        return "none"
    return f"{'real' if pair.is_news else 'maybe luck'} (p {pair.p_value:.2f})"


def _score_row(row: RunnerScore, verdict: str) -> tuple[str, ...]:
    return (
        row.runner,
        str(row.examples),
        f"{row.score:.2f}",
        "{:.1f} … {:.1f}".format(*row.interval),
        *(f"{value:.2f}" for value in row.others.values()),
        f"{row.float_score:.2f}",
        verdict,
        _likely(row) if verdict else "",
        f"{row.same:.1f} %",
        decibel(row.sqnr_db),
        str(row.not_finite),
        seconds(row.seconds),
    )


def _likely(row: RunnerScore) -> str:
    if math.isnan(row.likely_change):
        return "-"
    low, high = row.likely_interval
    return f"{row.likely_change:+.2f} ± {(high - low) / 2:.2f}"


def _but(scores: Scores) -> str:
    return ", luck aside" if scores.undecided else ""


def _ties(row: RunnerScore, scores: Scores) -> str:
    words, label = scores.words, scores.metric.label
    low, high = row.ties
    return (
        f"{row.runner}: {words.ties}; the rule ({words.tie_rule}) gives {label} {row.score:.2f}, "
        f"others {low:.2f} to {high:.2f}."
    )


def _device(made: Mapping[str, Any]) -> str:
    what = "emulates" if made["emulated"] else "is"
    return (
        f"{made['device']} {what} {made['soc']} (HTP {made['htp']}), {made['os']}; {made['runtime']}; "
        f"profile: {made['profile']}; {size(made['bytes_pushed'])} pushed."
    )


def _explain(scored: Scored) -> str:
    scores = scored.scores
    label, words = scores.metric.label, scores.words
    fewest = min(scores.runners, key=lambda row: row.examples)
    lines = [
        f"95 % interval: where {label} would lie with other {words.examples} of the kind.",
        "maybe luck: a difference from float as large comes about by chance in more than 1 of 20 trials.",
        (
            f"likely change: of {label} against float, each good {words.choice} counted by its probability; "
            f"a third of the luck of {label}."
        ),
        f"float {label}: of onnx-float on the same {words.examples}. Emulator seconds say nothing about a device.",
    ]
    lines += [_device(made) for made in scored.document["devices"]]
    lines += [f"{failed.runner}: {failed.error}" for failed in scores.failed_runners]
    lines += [_ties(row, scores) for row in scores.runners if row.ties[0] < row.ties[1]]
    if fewest.examples < scored.document["examples"]:
        lines.append(
            f"The emulator is asked a fixed, evenly spread sample; of {fewest.examples} {words.examples} one is worth "
            f"{100 / fewest.examples:.1f} {label}. QUESTIONS=N or all asks every stage the same number."
        )
    lines += [
        f"{row.runner}: {scores.drop(row):.2f} {label} below float on a sample of {row.examples}, which may be luck: "
        "QUESTIONS=100 decides."
        for row in scores.undecided
    ]
    if scored.document["passed"]:
        lines.append(
            f"Passed: no stage lost more than {scores.max_drop:g} {label}{_but(scores)}. Written to {scored.file}."
        )
    return "\n".join(lines)

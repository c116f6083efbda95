"""tune: the cheapest mixed precision that keeps its answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snpe_tools.cli import options
from snpe_tools.cli.output import decibel, finish, size, table
from snpe_tools.cli.recipe_options import Chosen, takes_recipe
from snpe_tools.core.progress import say

if TYPE_CHECKING:
    from snpe_tools.steps.tune import Tuned
    from snpe_tools.tuning.trial import Trial

_SHOWN_COSTS = 12


@takes_recipe(tuning=True)
def tune(
    chosen: Chosen,
    max_drop: Annotated[float, typer.Option(help="Likely F1 that the model may lose against float.", min=0)] = 0.5,
    budget: Annotated[float, typer.Option(help="Minutes after which no new trial begins.", min=0)] = 20.0,
    questions: Annotated[
        int,
        typer.Option("--questions", "--examples", help="Questions asked of every trial; others are held out.", min=8),
    ] = 192,
    data: Annotated[
        Path | None,
        typer.Option(help="Questions to search with: SQuAD JSON, or rows (.jsonl, .jsonl.xz); else the shipped ones."),
    ] = None,
    evaluation: Annotated[
        str, typer.Option("--eval", help='Questions it will be scored on, never searched with: SQuAD JSON or "squad".')
    ] = "",
    restart: Annotated[bool, typer.Option("--restart", help="Forget the trials of an earlier search.")] = False,
    as_json: options.Json = False,
) -> None:
    """The fewest operations in 16 bits that keep F1. Writes Models/<model>/w8a8-mixed.toml once one holds."""
    from snpe_tools import tune as run_tune
    from snpe_tools.tasks import find_task
    from snpe_tools.tuning.session import TuneSettings
    from snpe_tools.tuning.trial import tuning_document

    recipe = chosen.recipe()
    settings = TuneSettings(max_drop, budget, questions, data, find_task(recipe.task).find(evaluation), restart)
    tuned = run_tune(recipe, chosen.root, settings)
    _show(tuned)
    finish(tuning_document(tuned.tuning), as_json=as_json)
    tuned.check()


def _show(tuned: Tuned) -> None:
    tuning, label = tuned.tuning, tuned.metric.label
    say(f"\nWhat each operation costs at 8 bits (of {len(tuning.costs)}):")
    rows = [(cost.operation, cost.why, f"{1000 * cost.noise:.2f}") for cost in tuning.costs[:_SHOWN_COSTS]]
    table(("operation", "likely cause", "divergence, 1/1000 nat"), rows, left=2)
    say(
        f"\n{tuning.model}: {len(tuning.trials)} trials, {tuning.examples} {tuning.noun}, float {label} "
        f"{tuning.float_score:.2f}"
    )
    columns = (
        "trial",
        label,
        "likely drop",
        "held-out drop",
        "equal",
        "SQNR dB",
        "divergence",
        "16-bit",
        "16-bit MACs",
        "converts",
        "size",
    )
    table(columns, [_row(trial, trial is tuned.best) for trial in tuning.trials])
    say(f"\nChosen: {tuned.best.label}. It stands in {tuned.plan}; all trials are in {tuned.file}.")
    if tuning.emulated:
        say(f"Its DLC answered on the emulator: {tuning.emulated}.")
    if tuned.stopped:
        say("The time ran out; the same command goes on from here.")
    if tuning.reached:
        say(f"Next: make accuracy MODEL={tuning.model} PRECISION=w8a8-mixed")


def _row(trial: Trial, chosen: bool) -> tuple[str, ...]:
    return (
        f"{'* ' if chosen else '  '}{trial.label}",
        f"{trial.score:.2f}",
        f"{trial.drop:+.2f}",
        "" if trial.held_out is None else f"{trial.held_out:+.2f}",
        f"{trial.same:.1f} %",
        decibel(trial.sqnr_db),
        f"{trial.divergence:.4f}",
        f"{trial.wide:.1f} %",
        f"{trial.wide_macs:.1f} %",
        str(trial.converts),
        size(trial.bytes),
    )

"""The commands around the whole flow: build, and doctor."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snpe_tools.cli import options
from snpe_tools.cli.output import finish, seconds, show, size, table
from snpe_tools.cli.recipe_options import Chosen, takes_recipe
from snpe_tools.core.progress import say

if TYPE_CHECKING:
    from snpe_tools.project.recipe import Recipe
    from snpe_tools.steps.build import Artefact


@takes_recipe()
def build(
    chosen: Chosen,
    data: options.Data = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With the SDK: print its commands, to paste, and why each flag is there.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Checkpoint → DLC with HTP caches. Only what is out of date is made again."""
    from snpe_tools import build as run_build
    from snpe_tools.tasks import find_task

    recipe, root = chosen.recipe(), chosen.root
    evaluation = find_task(recipe.task).find(data)
    if dry_run:
        _show_commands(recipe, root, evaluation, as_json=as_json)
        return
    done = run_build(recipe, root, evaluation=evaluation)
    _show_artefacts(done, chosen, data)
    finish({"model": recipe.name, "artefacts": done}, as_json=as_json)


def _show_commands(recipe: Recipe, root: Path, evaluation: Path, *, as_json: bool) -> None:
    from snpe_tools.steps.dry_run import dry_run

    made = dry_run(recipe, root, evaluation=evaluation)
    if not as_json:
        for line in made.script.splitlines():
            show(line)
    say(f"Nothing was called. The commands and what they read are in {made.folder}.")
    finish(made, as_json=as_json)


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
    from snpe_tools.core.findings import require_healthy
    from snpe_tools.devices.transports.address import DeviceAddress
    from snpe_tools.execution.readiness import examine

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


def _say_latency(built: Path) -> None:
    """The estimated latency of a DLC that was built, on the SoCs that it was compiled for."""
    from snpe_tools.cli.estimating import latency
    from snpe_tools.core.errors import SnpeToolsError
    from snpe_tools.dlc import open as open_dlc

    if built.suffix != ".dlc":
        return
    try:
        with open_dlc(built) as opened:
            rows = latency(opened)[0]
    except SnpeToolsError as problem:
        say(f"No latency estimate: {problem.message}")
        return
    for soc, milliseconds, words in rows:
        say(f"Latency on {soc}: {milliseconds}, {words}." if milliseconds else f"No latency estimate: {words}")


def _show_artefacts(done: list[Artefact], chosen: Chosen, data: str) -> None:
    rows = [(str(item.path), size(item.bytes), "up to date" if item.fresh else seconds(item.seconds)) for item in done]
    table(("artefact", "size", "seconds"), rows)
    _say_latency(done[-1].path)
    words = ["make accuracy", chosen.as_variables(), f"DATA={shlex.quote(data)}" if data else ""]
    say(f"\nNext: {' '.join(filter(None, words))}    (F1 of every stage, on the emulator)")

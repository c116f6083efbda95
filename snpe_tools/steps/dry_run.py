"""The SDK's commands for a recipe, written and not run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.errors import UsageError
from snpe_tools.core.files import whole_folder, write_text
from snpe_tools.core.socs import DEFAULT
from snpe_tools.dlc.edit.rename import graph_identifier
from snpe_tools.project.recipe import Recipe
from snpe_tools.project.workspace import Workspace
from snpe_tools.steps.build import build_sources, choose_for, sdk_quantization
from snpe_tools.steps.build_quantized import float_source
from snpe_tools.steps.convert import conversion
from snpe_tools.toolchains.sdk import SdkTools, lay_out
from snpe_tools.toolchains.sdk.commands import Command, conversion_commands, environment_script, preparation_command

SCRIPT = "commands.sh"


@dataclass(frozen=True)
class DryRun:
    """Commands that would be run.

    Attributes:
        folder: all that they read, and `commands.sh`.
        script: that file's text, to paste.
        commands: tool and arguments of each.
    """

    folder: Path
    script: str
    commands: Sequence[Sequence[str]]


def dry_run(recipe: Recipe, root: Path = Path(), *, evaluation: Path | None = None) -> DryRun:
    """Build what the SDK's tools would read, and write the commands instead of running them.

    Raises:
        UsageError: the toolchain is not the SDK.
        SnpeToolsError: of the step that failed.
    """
    toolchain = choose_for(recipe)
    if not isinstance(toolchain, SdkTools):
        raise UsageError(
            "--dry-run prints the SDK's commands, and this build calls none.", "Add TOOLCHAIN=sdk (--toolchain sdk)."
        )
    space, precision = Workspace(root, recipe.name), recipe.parsed_precision
    with space.locked():
        build_sources(recipe, space, precision, evaluation)
        place = space.sdk_commands(precision)
        with whole_folder(place, known_by=SCRIPT) as folder:
            commands = _commands(recipe, space, toolchain, folder)
            script = _script(toolchain, place.absolute(), commands)
            write_text(folder / SCRIPT, script)
    return DryRun(place, script, [command.arguments for command in commands])


def _commands(recipe: Recipe, space: Workspace, toolchain: SdkTools, folder: Path) -> list[Command]:
    precision, socs = recipe.parsed_precision, recipe.parsed_socs
    target, prepared = space.dlc(precision), space.prepared(precision, socs)
    quantization = sdk_quantization(recipe, space, precision)
    source = float_source(recipe, space, precision)
    job = conversion(source, folder, target, graph_identifier(recipe.name), DEFAULT, quantization)
    lay_out(job, folder)
    outputs = [spec.name for spec in job.outputs]
    return [*conversion_commands(toolchain.sdk, job), preparation_command(target.name, prepared.name, socs, outputs)]


def _script(toolchain: SdkTools, folder: Path, commands: Sequence[Command]) -> str:
    head = f"# {toolchain.label}, by snpe-tools build --dry-run: sh {shlex.quote(str(folder / SCRIPT))}"
    calls = [command.script(toolchain.sdk.launcher(command.tool)) for command in commands]
    return "\n\n".join([f"{head}\nset -e\n{environment_script(toolchain.sdk, folder)}", *calls, ""])

"""All commands, and what becomes of errors."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from typing import Annotated, NoReturn

import typer
from typer.models import CommandInfo

from snpe_tools._version import __version__
from snpe_tools.cli import (
    compare,
    contexts,
    devices,
    estimating,
    flow,
    inspect,
    net_run,
    reading,
    scoring,
    sdk,
    socs,
    steps,
    training,
    tuning,
    view,
)
from snpe_tools.cli.output import begin, finish
from snpe_tools.cli.signals import INTERRUPTED, end_of_interruption
from snpe_tools.cli.terminal import attach, console
from snpe_tools.core.errors import InputError, SnpeToolsError, StorageError
from snpe_tools.core.progress import say

_ENDINGS = {
    1: "a defect of snpe-tools",
    2: "the command line is not understood",
    INTERRUPTED: "interrupted",
    143: "terminated",
}
_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS}
_EXIT_CODES = "Exit codes: 0 done, 1 a defect of snpe-tools, 2 usage, 3 bad input, 4 conversion refused, 5 execution failed, 6 accuracy gate, 7 something is missing on this machine, 8 no space, 9 diff found differences, 10 a model computes something else, 130 interrupted, 143 terminated."  # noqa: E501

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    flow.build,
    scoring.score,
    reading.report,
    reading.explain,
    steps.export,
    steps.simplify,
    steps.inputs,
    steps.quantize,
    steps.convert,
    steps.prepare,
    steps.run,
    compare.compare,
    estimating.estimate,
    inspect.info,
    inspect.diff,
    inspect.encodings,
    inspect.audit,
    contexts.extract,
    view.view,
    training.train,
    training.distill,
    training.qat,
    tuning.tune,
    devices.devices,
    devices.bench,
    socs.socs,
    flow.doctor,
):
    app.command()(command)
app.command("net-run", context_settings=net_run.ANY_FLAG)(net_run.net_run)
app.command()(net_run.bundle)
app.command("install-snpe-net-run")(net_run.install_net_run)
app.add_typer(sdk.app, name="sdk")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"snpe-tools {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """From a question-answering checkpoint to a Snapdragon NPU, with F1 as proof that it still answers."""
    begin()


def main() -> None:
    """Run a command; every error becomes a message and an exit code."""
    attach()
    try:
        app()
    except SnpeToolsError as problem:
        _fail(problem)
    except SystemExit as ending:
        _end(ending)
    except KeyboardInterrupt:
        _end(SystemExit(INTERRUPTED))
    except OSError as problem:
        _system_error(problem)
    except Exception:  # noqa: BLE001 - the last resort: say that it is our defect
        console.print(traceback.format_exc(), markup=False)
        say("This is a defect of snpe-tools. Please report it with the lines above.")
        _end(SystemExit(1))


def keep_only_the_named_command(arguments: list[str]) -> None:
    """The options of 30 commands take 0.1 s to set up; those of one are needed when it is named first."""
    named = [item for item in app.registered_commands if arguments and _name(item) == arguments[0]]
    if named:
        app.registered_commands, app.registered_groups = named, []


def _name(item: CommandInfo) -> str:
    return item.name or (item.callback.__name__.replace("_", "-") if item.callback else "")


def _end(ending: SystemExit) -> NoReturn:
    """Leave with an exit code; `--json` promises a document, whatever happens."""
    if ending.code == INTERRUPTED:
        ending = SystemExit(end_of_interruption())
        say(f"{_ENDINGS[ending.code].capitalize()}. Nothing half-written was kept.")  # type: ignore[index]
    if ending.code and "--json" in sys.argv:
        words = _ENDINGS.get(int(ending.code), "stderr says more")
        finish({"error": {"type": "SystemExit", "message": words, "hint": "", "exit_code": ending.code}}, as_json=True)
    raise ending


def _system_error(problem: OSError) -> NoReturn:
    if problem.errno == errno.EPIPE:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    where = problem.filename or f"A temporary file in {tempfile.gettempdir()}"
    message = f"{where}: {problem.strerror or problem}."
    if problem.errno in _STORAGE:
        _fail(StorageError(message, "Free some space, or choose a folder that you may write to."))
    _fail(InputError(message, "Check the path."))


def _fail(problem: SnpeToolsError) -> NoReturn:
    say(f"error: {problem}")
    if "--json" in sys.argv:
        error = {
            "type": type(problem).__name__,
            "message": problem.message,
            "hint": problem.hint,
            "exit_code": problem.exit_code,
        }
        finish({"error": error}, as_json=True)
    raise SystemExit(problem.exit_code)

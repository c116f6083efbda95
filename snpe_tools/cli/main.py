"""The console script `snpe-tools`."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Annotated

import typer

from snpe_tools import __version__
from snpe_tools.cli import flow, net_run, steps
from snpe_tools.cli.output import finish
from snpe_tools.errors import SnpeToolsError, StorageError
from snpe_tools.progress import console, say

_INTERRUPTED = 130
_EXIT_CODES = "Exit codes: 0 done, 1 a defect of snpe-tools, 2 usage, 3 bad input, 4 conversion refused, 5 execution failed, 6 accuracy gate, 7 something is missing on this machine, 8 no space, 130 interrupted."  # noqa: E501

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
    flow.score,
    steps.export,
    steps.simplify,
    steps.inputs,
    steps.quantize,
    steps.convert,
    steps.prepare,
    steps.run,
    steps.compare,
    flow.doctor,
):
    app.command()(command)
app.command("net-run", context_settings=net_run.ANY_FLAG)(net_run.net_run)
app.command()(net_run.bundle)
app.command("install-snpe-net-run")(net_run.install_net_run)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"snpe-tools {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """From a question-answering checkpoint to a Snapdragon NPU, with F1 as proof that it still answers."""


def main() -> None:
    """Run a command; every error becomes a message and an exit code."""
    try:
        app()
    except SnpeToolsError as problem:
        _fail(problem)
    except (KeyboardInterrupt, SystemExit) as ending:
        if isinstance(ending, SystemExit) and ending.code != _INTERRUPTED:
            raise
        say("Interrupted. Nothing half-written was kept.")
        raise SystemExit(_INTERRUPTED) from None
    except OSError as problem:
        if problem.errno == errno.EPIPE:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0) from None
        _fail(StorageError(f"{problem.filename or 'A file'}: {problem.strerror}.", "Check space and permissions."))
    except Exception:  # noqa: BLE001 - the last resort: say that it is our defect
        console.print(traceback.format_exc(), markup=False)
        say("This is a defect of snpe-tools. Please report it with the lines above.")
        raise SystemExit(1) from None


def _fail(problem: SnpeToolsError) -> None:
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

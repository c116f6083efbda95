"""sdk: fetch Qualcomm's SDK, or the parts of it that a phone needs; list, remove, path."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snpe_tools.cli import options
from snpe_tools.cli.output import finish, show, size, table
from snpe_tools.core.errors import UsageError
from snpe_tools.core.progress import say

if TYPE_CHECKING:
    from snpe_tools.toolchains.sdk_store import Installed

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Qualcomm's SDK, or parts of it. Fetched from Qualcomm's public server; no account is needed.",
)
Accept = Annotated[bool, typer.Option("--accept-licence", help="Accept the licence without being asked.")]
Version = Annotated[str, typer.Argument(help="Such as 2.51.0.260929.", show_default=False)]


@app.command()
def fetch(
    version: Annotated[str, typer.Argument(help="The one that fits the installed runtime by default.")] = "",
    targets: Annotated[
        str, typer.Option("--for", help="android, linux, converters or all; several by commas.")
    ] = "android",
    soc: Annotated[
        str, typer.Option("--soc", metavar="NAMES", help="Only the DSP libraries of these SoCs; all by default.")
    ] = "",
    archive: Annotated[Path | None, typer.Option("--archive", help="The SDK's zip on this machine.")] = None,
    accept: Accept = False,
    as_json: options.Json = False,
) -> None:
    """Fetch an SDK, or what a target needs of it."""
    from snpe_tools.core.soc_names import parse_socs
    from snpe_tools.toolchains.sdk_store import parts, releases
    from snpe_tools.toolchains.sdk_store.fetching import fetch as run_fetch

    chosen = parts.parse(targets)
    archs = {one.arch for one in parse_socs(soc)} if soc else set()
    ask_licence(str(releases.choose(version)), accepted=accept)
    made = run_fetch(version, chosen, archs=archs, archive=archive)
    say(f"QAIRT {made.release} for {', '.join(made.targets)}: {size(made.bytes)} in {made.folder}")
    finish(_as_dict(made), as_json=as_json)


def ask_licence(version: str, *, accepted: bool) -> None:
    """Name the licence, and have it accepted.

    Raises:
        UsageError: it is not, or nobody is there to ask.
    """
    from snpe_tools.toolchains.sdk_store.releases import LICENCE, LICENCE_ADDRESS

    say(f"QAIRT {version} is Qualcomm's, under {LICENCE}:\n  {LICENCE_ADDRESS}")
    if accepted:
        return
    if not sys.stdin.isatty():
        raise UsageError("The licence was not accepted, and there is no terminal to ask on.", "Add --accept-licence.")
    if not typer.confirm("Do you accept it?", err=True):
        raise UsageError("The licence was not accepted. Nothing was fetched.")


@app.command("list")
def list_(as_json: options.Json = False) -> None:
    """Fetched SDKs."""
    from snpe_tools.toolchains.sdk_store import installed

    found = installed()
    if found:
        table(("version", "for", "HTP", "size", "folder"), [_row(one) for one in found], left=3)
    else:
        say("No SDK was fetched. snpe-tools sdk fetch")
    finish([_as_dict(one) for one in found], as_json=as_json)


@app.command()
def path(version: Annotated[str, typer.Argument(help="The newest by default.")] = "") -> None:
    """The folder of a fetched SDK, on stdout: export SNPE_ROOT=$(snpe-tools sdk path)."""
    from snpe_tools.toolchains.sdk_store.store import named

    show(str(named(version).folder))


@app.command()
def remove(version: Version, as_json: options.Json = False) -> None:
    """Remove a fetched SDK."""
    from snpe_tools.toolchains.sdk_store.releases import Release
    from snpe_tools.toolchains.sdk_store.store import remove as run_remove

    release = Release.parse(version)
    freed = run_remove(release)
    say(f"QAIRT {release}: {size(freed)} freed." if freed else f"QAIRT {release} was not there.")
    finish({"version": str(release), "freed": freed}, as_json=as_json)


def _row(one: Installed) -> tuple[str, ...]:
    archs = ", ".join(f"v{arch}" for arch in one.archs) or "all"
    return (str(one.release), ", ".join(one.targets), archs, size(one.bytes), str(one.folder))


def _as_dict(one: Installed) -> dict[str, object]:
    return {
        "version": str(one.release), "folder": one.folder, "targets": one.targets, "archs": one.archs,
        "bytes": one.bytes, "url": one.url, "directory_sha256": one.directory_sha256,
        "archive_sha256": one.archive_sha256 or None,
    }  # fmt: skip

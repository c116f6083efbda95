"""A command `snpe-net-run` that is `snpe-tools net-run`: installed only when asked for."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from snpe_tools.core.errors import UsageError
from snpe_tools.core.files import whole_file

NAME = "snpe-net-run"
_MARK = "# snpe-tools net-run under the name of the SDK's tool"
_SCRIPT = """#!{python}
{mark}
import sys

from snpe_tools.cli.main import main

sys.argv[1:1] = ["net-run"]
main()
"""


def install(folder: Path | None = None) -> Path:
    """Write the command into a folder, by default where this Python keeps its commands; returns its path.

    Raises:
        UsageError: another `snpe-net-run` would be replaced, or is found before it.
        StorageError: no permission to write there.
    """
    target = (folder or Path(sysconfig.get_path("scripts"))) / NAME
    for other in (target, Path(shutil.which(NAME) or target)):
        if other.exists() and not _is_ours(other):
            raise UsageError(
                f"{other} exists, and is not ours; it would be hidden or replaced.",
                "Choose another folder with --folder, or call snpe-tools net-run.",
            )
    with whole_file(target) as temporary:
        temporary.write_text(_SCRIPT.format(python=sys.executable, mark=_MARK), encoding="utf-8")
    target.chmod(0o755)
    return target


def is_on_path(command: Path) -> bool:
    """Whether the shell finds commands of its folder."""
    return str(command.parent.absolute()) in os.environ.get("PATH", "").split(os.pathsep)


def _is_ours(file: Path) -> bool:
    return _MARK.encode() in file.read_bytes()[:4096]

"""How the tests of net-run call it, and what it wrote."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from snpe_tools.core.raw_files import read_list
from snpe_tools.execution.net_run import NetRun, NetRunResult, net_run
from tests.integration.conftest import Tiny

NAMES = ("start_logits", "end_logits")


def absolute_list(model: Tiny, folder: Path, repeat: int = 1, header: str = "") -> Path:
    """The model's list with absolute paths, several times over."""
    lines = [" ".join(f"{name}:={file}" for name, file in line.items()) for line in read_list(model.listed).lines]
    listed = folder / "list.txt"
    listed.write_text(header + "\n".join(lines * repeat) + "\n")
    return listed


def call_net_run(model: Tiny, folder: Path, **options: object) -> tuple[NetRunResult, list[str]]:
    lines: list[str] = []
    call = NetRun(model.dlc, absolute_list(model, folder), folder / "out", **options)  # type: ignore[arg-type]
    return net_run(call, lines.append), lines


def command_line(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "snpe_tools", "net-run", "--use_dsp", *map(str, arguments)]


def raws_in(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.glob("Result_*/**/*.raw")}


def wait_for(condition: Callable[[], bool], timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)

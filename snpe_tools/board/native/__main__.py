"""Builds the runner for all targets: `make runner`."""

from __future__ import annotations

import sys

from snpe_tools.board.native.building import build_all
from snpe_tools.core.errors import SnpeToolsError

if __name__ == "__main__":
    try:
        for file in build_all():
            sys.stdout.write(f"{file}: {file.stat().st_size} bytes\n")
    except SnpeToolsError as problem:
        sys.stderr.write(f"error: {problem}\n")
        raise SystemExit(problem.exit_code) from None

"""Executes a notebook of the repository in a kernel of this environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def execute(notebook: str, folder: Path, **environment: str) -> list[dict[str, Any]]:
    """The code cells after a run from top to bottom; an error in a cell fails."""
    target = folder / "executed.ipynb"
    command = [
        sys.executable,
        "-c",
        "from nbclient.cli import main; main()",
        f"--output={target}",
        str(ROOT / notebook),
    ]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    cells: list[dict[str, Any]] = json.loads(target.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def outputs(cell: dict[str, Any]) -> str:
    """Everything a cell showed, as text."""
    texts = [output.get("text") or output.get("data", {}).get("text/html") or "" for output in cell["outputs"]]
    return "".join("".join(text) for text in texts)

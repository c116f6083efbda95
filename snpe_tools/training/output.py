"""The folder that a training run writes."""

from __future__ import annotations

from pathlib import Path

from snpe_tools.core.files import require_replaceable

LOG = "training.json"
CURVE = "training.svg"


def model_name(checkpoint: Path) -> str:
    """Name of the model that a checkpoint folder is of: `Models/<model>/checkpoint`, or its own."""
    folder = checkpoint.absolute()
    return folder.parent.name if folder.name == "checkpoint" else folder.name


def check_output(output: Path) -> None:
    """Whether `write_trained` may replace `output`: asked before training, which takes hours.

    Raises:
        UsageError: it holds something else.
    """
    require_replaceable(output, LOG)

"""What `score` kept → one HTML page."""

from __future__ import annotations

from pathlib import Path

from snpe_tools.core.files import write_text
from snpe_tools.project.workspace import Workspace
from snpe_tools.reporting.documents import load_documents
from snpe_tools.reporting.page import render


def report(model: str, root: Path = Path(), target: Path | None = None, *, layers: Path | None = None) -> Path:
    """Write the page of a model's last scores.

    Args:
        model: a folder below Models/.
        root: folder that holds Models/.
        target: the file to write, `Models/<model>/report.html` by default.
        layers: what `compare --layers -o` wrote, to show instead of float against QDQ.

    Returns:
        The page: one file, no network, no scripts.

    Raises:
        InputError: the model was not scored, or what was kept is damaged.
        StorageError: no space.
    """
    space = Workspace(root, model)
    target = target or space.report
    write_text(target, render(load_documents(space, layers)))
    return target

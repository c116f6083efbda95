"""The notebook that makes a model, from top to bottom on a tiny checkpoint. The other one is in test_flow.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conftest import SEQUENCE
from tests.notebooks import ROOT, execute, outputs


def test_from_checkpoint_to_onnx(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    cells = execute(
        "generating_model/generate_model.ipynb",
        tmp_path,
        CHECKPOINT=str(checkpoint("bert")),
        OUTPUT=str(tmp_path / "made"),
        SEQ=str(SEQUENCE),
    )
    shown = "".join(outputs(cell) for cell in cells)
    assert "answers equal the checkpoint's" in shown
    assert f"input_ids        Int_32     (1, {SEQUENCE})" in shown
    assert shown.count("\n  -> ") == 3
    assert "%start_logits end_logits" in shown or "%end_logits start_logits" in shown
    assert (tmp_path / "made" / "model.onnx").is_file()
    assert (tmp_path / "made" / "raw_inputs" / "input_ids" / "0.raw").stat().st_size == 4 * SEQUENCE


@pytest.mark.parametrize("notebook", ["accuracy/accuracy_analyzer.ipynb", "generating_model/generate_model.ipynb"])
def test_notebooks_are_kept_without_outputs(notebook: str) -> None:
    cells = json.loads((ROOT / notebook).read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)

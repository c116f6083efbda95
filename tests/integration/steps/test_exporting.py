"""Checkpoints and raw files that must not become a model or its inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snpe_tools import export, inputs
from snpe_tools.core.errors import (
    CheckpointError,
    TensorError,
)
from snpe_tools.tasks.question_answering.squad import SHIPPED_QUESTIONS, load_questions
from tests.integration.conftest import SEQUENCE


def test_an_export_that_answers_otherwise_leaves_nothing(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="other answers than the checkpoint to"):
        export(str(checkpoint("bert")), tmp_path / "m.onnx", sequence_length=SEQUENCE, mask_value=-0.001)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_without_the_head_is_refused(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    from transformers import AutoModel

    AutoModel.from_pretrained(checkpoint("bert")).save_pretrained(tmp_path / "headless")
    with pytest.raises(CheckpointError, match="no weights for qa_outputs"):
        export(str(tmp_path / "headless"), tmp_path / "m.onnx", sequence_length=48)


def test_damaged_and_wrong_checkpoints_are_refused(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    good = checkpoint("bert")
    (tmp_path / "bad").mkdir()
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        export(str(tmp_path / "bad"), tmp_path / "m.onnx")
    for file in good.iterdir():
        (tmp_path / "bad" / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "bad" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="bad cannot be loaded"):
        export(str(tmp_path / "bad"), tmp_path / "m.onnx", sequence_length=48)
    with pytest.raises(CheckpointError, match=r"reads 48 tokens at most(.|\n)*SEQ=48"):
        export(str(good), tmp_path / "m.onnx", sequence_length=64)
    assert not (tmp_path / "m.onnx").exists()


def test_raws_that_read_back_otherwise_are_refused(
    exported: Callable[[str], Path], checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that stores something else: the written file is changed behind our back."""
    from snpe_tools.core import raw_files as tensors

    original = tensors._write_column

    def corrupt(folder: Path, values: Any, spec: Any, *, native: bool) -> None:
        original(folder, values, spec, native=native)
        for file in folder.iterdir() if spec.name == "input_ids" else ():
            file.write_bytes(bytes(file.stat().st_size))

    monkeypatch.setattr(tensors, "_write_column", corrupt)
    questions = load_questions(SHIPPED_QUESTIONS)[:2]
    with pytest.raises(TensorError, match="read back give other logits"):
        inputs(exported("bert"), questions, checkpoint("bert") / "tokenizer.json", tmp_path / "raws")
    assert list(tmp_path.iterdir()) == []

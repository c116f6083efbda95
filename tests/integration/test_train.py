"""Training tiny models for real: they learn, they go on after a kill with the same result, and they become a DLC."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from snpe_tools.cli.main import app
from snpe_tools.core.errors import CheckpointError, DataError, ExecutionError, InputError, RecipeError, UsageError
from snpe_tools.steps.train import train
from snpe_tools.tasks.question_answering.squad import SHIPPED_CALIBRATION
from snpe_tools.tasks.question_answering.training.answer_settings import TrainingSettings
from snpe_tools.tasks.question_answering.training.fine_tuning import TrainResult
from tests.integration.killing import killed_at_step

SEQUENCE = 48


def settings(encoder: Path, **changes: Any) -> TrainingSettings:
    usual = {"base": str(encoder), "max_seq_length": SEQUENCE, "batch_size": 32, "learning_rate": 2e-3, "epochs": 4}
    return TrainingSettings(**{**usual, "precision": "float32", **changes})


def weights(result: TrainResult) -> dict[str, Any]:
    return load_file(result.checkpoint / "model.safetensors")


@pytest.mark.parametrize("family", ["bert", "distilbert", "mobilebert"])
def test_a_tiny_model_learns(
    family: str, base: Callable[[str], Path], easy_questions: Path, held_out: Path, tmp_path: Path
) -> None:
    made = train(settings(base(family)), easy_questions, tmp_path / family, evaluation=held_out)
    log = json.loads((made.checkpoint / "training.json").read_text())
    (losses,) = log["loss"].values()
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    assert made.f1 > 80
    assert made.steps == len(losses) == 4 * 13
    assert (made.checkpoint / "training.svg").read_text().lstrip().startswith("<?xml")
    assert weights(made)["qa_outputs.weight"].dtype == np.float16
    assert not list(tmp_path.glob("*training-state*"))


def test_a_killed_run_goes_on_with_the_same_result(
    base: Callable[[str], Path],
    easy_questions: Path,
    held_out: Path,
    tmp_path: Path,
    capfd: Any,
) -> None:
    chosen = settings(base("bert"), epochs=2, dropout=0.1, save_dtype="float32", save_minutes=1e-9)
    whole = train(chosen, easy_questions, tmp_path / "whole", evaluation=held_out)
    with killed_at_step(11):
        train(chosen, easy_questions, tmp_path / "killed", evaluation=held_out)
    assert not (tmp_path / "killed").exists()
    assert "goes on from the state" in capfd.readouterr().err
    resumed = train(chosen, easy_questions, tmp_path / "killed", evaluation=held_out)
    assert "going on from step 11" in capfd.readouterr().err
    assert resumed.steps == whole.steps
    for name, values in weights(whole).items():
        np.testing.assert_array_equal(values, weights(resumed)[name], name)


def test_a_state_of_other_settings_is_refused_until_restart(
    base: Callable[[str], Path],
    easy_questions: Path,
    held_out: Path,
    tmp_path: Path,
) -> None:
    target = tmp_path / "model"
    encoder = base("bert")
    chosen = settings(encoder, epochs=1, save_minutes=1e-9)
    with killed_at_step(2):
        train(chosen, easy_questions, target, evaluation=held_out)
    other = settings(encoder, epochs=1, learning_rate=1e-3)
    with pytest.raises(UsageError, match="other settings"):
        train(other, easy_questions, target, evaluation=held_out)
    assert train(other, easy_questions, target, evaluation=held_out, restart=True).steps == 13


def test_a_damaged_state_is_named(
    base: Callable[[str], Path], easy_questions: Path, held_out: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.training-state").write_bytes(b"not a state")
    with pytest.raises(InputError, match="is damaged"):
        train(settings(base("bert")), easy_questions, tmp_path / "model", evaluation=held_out)


def test_a_loss_that_is_not_a_number_stops_the_run(
    base: Callable[[str], Path], easy_questions: Path, held_out: Path, tmp_path: Path
) -> None:
    with pytest.raises(ExecutionError, match="fell apart"):
        train(
            settings(base("bert"), learning_rate=1e30, warmup_steps=0),
            easy_questions,
            tmp_path / "model",
            evaluation=held_out,
        )
    assert not (tmp_path / "model").exists()


def test_frozen_parameters_stay_and_the_others_move(
    base: Callable[[str], Path], easy_questions: Path, held_out: Path, tmp_path: Path
) -> None:
    encoder = base("bert")
    chosen = settings(encoder, epochs=1, freeze=("word_embeddings",), save_dtype="float32")
    made = weights(train(chosen, easy_questions, tmp_path / "model", evaluation=held_out))
    before = load_file(encoder / "model.safetensors")
    same = [name for name, values in before.items() if np.array_equal(values, made.get(f"bert.{name}", 0))]
    assert same == ["embeddings.word_embeddings.weight"]


def test_an_unknown_parameter_to_freeze_is_refused(
    base: Callable[[str], Path], easy_questions: Path, held_out: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="no parameter"):
        train(settings(base("bert"), freeze=("nothing",)), easy_questions, tmp_path / "m", evaluation=held_out)


def test_training_on_the_evaluated_passages_is_refused(base: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="training questions use passages that are also evaluated"):
        train(settings(base("bert")), SHIPPED_CALIBRATION, tmp_path / "m", evaluation=SHIPPED_CALIBRATION)


def test_a_checkpoint_without_an_encoder_is_refused(
    base: Callable[[str], Path], easy_questions: Path, held_out: Path, tmp_path: Path
) -> None:
    file = base("bert") / "model.safetensors"
    kept = {name: values for name, values in load_file(file).items() if "layer.1" not in name}
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="cannot be fine-tuned"):
        train(settings(file.parent), easy_questions, tmp_path / "m", evaluation=held_out)


def test_bfloat16_trains_too(base: Callable[[str], Path], easy_questions: Path, held_out: Path, tmp_path: Path) -> None:
    made = train(
        settings(base("bert"), precision="bf16", windows="answer"),
        easy_questions,
        tmp_path / "model",
        evaluation=held_out,
    )
    assert made.f1 > 80


def test_the_command_trains_and_its_checkpoint_can_be_exported(
    base: Callable[[str], Path], easy_questions: Path, held_out: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'base = "{base("bert")}"\nmax_seq_length = {SEQUENCE}\nlearning_rate = 2e-3\n')
    target = tmp_path / "mine" / "checkpoint"
    given = ["train", "--recipe", str(recipe), "--data", str(easy_questions), "--eval", str(held_out)]
    result = CliRunner().invoke(app, [*given, "--epochs", "1", "--batch-size", "64", "-o", str(target), "--json"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["steps"] == 7
    assert "make dlc MODEL=mine" in result.stderr
    assert "Training loss of mine" in (target / "training.svg").read_text()
    exporting = ["export", str(target), "-o", str(tmp_path / "m.onnx"), "--seq", str(SEQUENCE)]
    exported = CliRunner().invoke(app, exporting)
    assert exported.exit_code == 0, exported.stderr
    assert (tmp_path / "m.onnx").is_file()

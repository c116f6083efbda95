"""Distilling tiny models for real: the student learns, goes on after a kill unchanged, and can be exported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from snpe_tools.cli.main import app
from snpe_tools.core.errors import CheckpointError, DataError, InputError, RecipeError, UsageError
from snpe_tools.steps.distill import distill
from snpe_tools.steps.train import train
from snpe_tools.tasks.question_answering.squad import SHIPPED_CALIBRATION, load_questions
from snpe_tools.tasks.question_answering.training.answer_settings import TrainingSettings
from snpe_tools.tasks.question_answering.training.distill_settings import DistillSettings
from snpe_tools.tasks.question_answering.training.distilling import DistillResult
from tests.integration.killing import killed_at_step

SEQUENCE = 48
STUDENT = {
    "layers": 3, "hidden_size": 48, "embedding_size": 32, "bottleneck_size": 32, "heads": 4, "feedforward_size": 48,
    "feedforward_networks": 2, "positions": SEQUENCE,
}  # fmt: skip


@pytest.fixture(scope="module")
def teacher(
    tmp_path_factory: pytest.TempPathFactory, base: Callable[[str], Path], easy_questions: Path, held_out: Path
) -> Path:
    """A BERT of two layers, 64 features and 4 heads that answers."""
    folder = tmp_path_factory.mktemp("teacher") / "checkpoint"
    settings = TrainingSettings(
        base=str(base("bert")), max_seq_length=SEQUENCE, learning_rate=2e-3, epochs=4, precision="float32"
    )
    assert train(settings, easy_questions, folder, evaluation=held_out).f1 > 80
    return folder


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the passages of the shipped calibration questions."""
    folder = tmp_path_factory.mktemp("text")
    passages = dict.fromkeys(question.context for question in load_questions(SHIPPED_CALIBRATION))
    (folder / "passages.txt").write_text("\n".join(passages))
    return folder


def settings(teacher: Path, **changes: Any) -> DistillSettings:
    lesson = {"precision": "float32", "batch_size": 32, **changes}
    transfer = {"length": 32, "epochs": 4, "learning_rate": 4e-3, **lesson}
    answers = {"base": str(teacher), "max_seq_length": SEQUENCE, "epochs": 2, "learning_rate": 2e-3, **lesson}
    return DistillSettings.model_validate(
        {"teacher": str(teacher), "student": STUDENT, "transfer": transfer, "answers": answers}
    )


def weights(made: DistillResult) -> dict[str, Any]:
    return load_file(made.checkpoint / "model.safetensors")


def test_a_tiny_student_learns_both_lessons(
    teacher: Path, text: Path, easy_questions: Path, held_out: Path, tmp_path: Path
) -> None:
    made = distill(settings(teacher), easy_questions, text, tmp_path / "student", evaluation=held_out)
    log = json.loads((made.checkpoint / "training.json").read_text())
    first, second = log["loss"]["unlike the teacher"], log["loss"]["cross-entropy (nats)"]
    assert (len(first), len(second)) == (made.transfer_steps, made.answer_steps)
    assert np.mean(first[-5:]) < 0.5 * np.mean(first[:5])
    assert made.transferred_f1 > 40
    assert made.f1 > 80
    config = json.loads((made.checkpoint / "config.json").read_text())
    assert (config["model_type"], config["num_hidden_layers"]) == ("mobilebert", 3)
    assert config["normalization_type"] == "no_norm"
    assert sum(array.size for array in weights(made).values()) == made.parameters
    assert (made.checkpoint / "training.svg").read_text().count("unlike the teacher") == 1
    assert not list(tmp_path.glob("*-state"))


@pytest.fixture(scope="module")
def whole(
    teacher: Path, text: Path, easy_questions: Path, held_out: Path, tmp_path_factory: pytest.TempPathFactory
) -> DistillResult:
    """What a run makes that nobody kills."""
    folder = tmp_path_factory.mktemp("whole") / "student"
    made: DistillResult = distill(settings(teacher), easy_questions, text, folder, evaluation=held_out)
    return made


@pytest.mark.parametrize("step", [3, 90])
def test_a_run_killed_in_either_lesson_goes_on_with_the_same_result(
    whole: DistillResult,
    teacher: Path,
    text: Path,
    easy_questions: Path,
    held_out: Path,
    tmp_path: Path,
    capfd: Any,
    step: int,
) -> None:
    chosen = settings(teacher, save_minutes=1e-9)
    assert step < whole.transfer_steps or whole.transfer_steps < step < whole.transfer_steps + whole.answer_steps
    with killed_at_step(step):
        distill(chosen, easy_questions, text, tmp_path / "killed", evaluation=held_out)
    assert not (tmp_path / "killed").exists()
    capfd.readouterr()
    resumed = distill(chosen, easy_questions, text, tmp_path / "killed", evaluation=held_out)
    assert "going on from step" in capfd.readouterr().err
    assert resumed.f1 == whole.f1
    for name, values in weights(whole).items():
        np.testing.assert_array_equal(values, weights(resumed)[name], name)


def test_the_first_lesson_is_kept_for_another_second_one(
    teacher: Path,
    text: Path,
    easy_questions: Path,
    held_out: Path,
    tmp_path: Path,
    capfd: Any,
) -> None:
    chosen = settings(teacher, epochs=1)
    with killed_at_step(21):
        distill(chosen, easy_questions, text, tmp_path / "student", evaluation=held_out)
    answers = chosen.answers.model_copy(update={"learning_rate": 5e-4, "epochs": 2, "teacher_weight": 0.5})
    other = chosen.model_copy(update={"answers": answers})
    made = distill(other, easy_questions, text, tmp_path / "student", evaluation=held_out)
    assert "going on from step 21 of 21" in capfd.readouterr().err
    assert (made.transfer_steps, made.answer_steps) == (21, 26)


def test_a_state_of_other_settings_is_refused_until_restart(
    teacher: Path, text: Path, easy_questions: Path, held_out: Path, tmp_path: Path
) -> None:
    with killed_at_step(2):
        distill(settings(teacher, save_minutes=1e-9), easy_questions, text, tmp_path / "student", evaluation=held_out)
    other = settings(teacher, learning_rate=1e-3, epochs=1)
    with pytest.raises(UsageError, match="other settings"):
        distill(other, easy_questions, text, tmp_path / "student", evaluation=held_out)
    assert distill(other, easy_questions, text, tmp_path / "student", evaluation=held_out, restart=True).f1 > 0


@pytest.mark.parametrize("family", ["albert", "distilbert", "electra", "mobilebert"])
def test_every_family_can_teach(
    family: str,
    checkpoint: Callable[[str], Path],
    text: Path,
    easy_questions: Path,
    held_out: Path,
    tmp_path: Path,
) -> None:
    chosen = settings(checkpoint(family), epochs=1)
    made = distill(chosen, easy_questions, text, tmp_path / "student", evaluation=held_out)
    log = json.loads((made.checkpoint / "training.json").read_text())
    first = log["loss"]["unlike the teacher"]
    assert np.mean(first[-5:]) < np.mean(first[:5])


def test_heads_that_do_not_divide_the_teacher_are_refused(
    checkpoint: Callable[[str], Path], text: Path, easy_questions: Path, held_out: Path, tmp_path: Path
) -> None:
    chosen = settings(checkpoint("bert"))
    given = chosen.model_dump() | {"student": {**STUDENT, "bottleneck_size": 36, "heads": 3}}
    given["transfer"]["relation_heads"] = 3
    with pytest.raises(RecipeError, match="does not divide the teacher's 64 features"):
        distill(DistillSettings.model_validate(given), easy_questions, text, tmp_path / "s", evaluation=held_out)


@pytest.mark.parametrize("key", ["transfer.length", "answers.max_seq_length"])
def test_windows_longer_than_the_teacher_reads_are_refused(
    key: str, teacher: Path, text: Path, easy_questions: Path, held_out: Path, tmp_path: Path
) -> None:
    reads = json.loads((teacher / "config.json").read_text())["max_position_embeddings"]
    lesson, name = key.split(".")
    given = settings(teacher).model_dump()
    given["student"]["positions"] = given[lesson][name] = reads + 1
    with pytest.raises(RecipeError, match=f"{key}: windows of {reads + 1} tokens, and the teacher .* reads {reads}"):
        distill(DistillSettings.model_validate(given), easy_questions, text, tmp_path / "s", evaluation=held_out)


def test_a_restart_with_wrong_text_keeps_the_states(
    teacher: Path, easy_questions: Path, held_out: Path, tmp_path: Path
) -> None:
    states = [tmp_path / f"student.{lesson}-state" for lesson in ("transfer", "training")]
    for state in states:
        state.write_bytes(b"hours of work")
    with pytest.raises(InputError, match="does not exist"):
        distill(
            settings(teacher), easy_questions, tmp_path / "none.txt", tmp_path / "student", evaluation=held_out,
            restart=True,
        )  # fmt: skip
    assert [state.read_bytes() for state in states] == [b"hours of work"] * 2


def test_a_teacher_without_a_head_is_refused(
    base: Callable[[str], Path], text: Path, easy_questions: Path, held_out: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="not a trained question-answering model"):
        distill(settings(base("bert")), easy_questions, text, tmp_path / "s", evaluation=held_out)


def test_distilling_on_the_evaluated_passages_is_refused(teacher: Path, text: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="training questions use passages that are also evaluated"):
        distill(settings(teacher), SHIPPED_CALIBRATION, text, tmp_path / "s", evaluation=SHIPPED_CALIBRATION)


def test_the_command_distills_and_its_checkpoint_can_be_exported(
    teacher: Path, text: Path, easy_questions: Path, held_out: Path, tmp_path: Path
) -> None:
    recipe, target = tmp_path / "recipe.toml", tmp_path / "student"
    shape = "\n".join(f"{key} = {value}" for key, value in STUDENT.items())
    lessons = f"[transfer]\nlength = 32\n[answers]\nmax_seq_length = {SEQUENCE}\nepochs = 1\n"
    recipe.write_text(f'teacher = "{teacher}"\nlearning_rate = 2e-3\n[student]\n{shape}\n{lessons}')
    given = ["distill", "--recipe", str(recipe), "--data", str(easy_questions), "--text", str(text)]
    result = CliRunner().invoke(app, [*given, "--eval", str(held_out), "-o", str(target), "--json"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["answer_steps"] == 13
    exporting = ["export", str(target), "-o", str(tmp_path / "m.onnx"), "--seq", str(SEQUENCE)]
    exported = CliRunner().invoke(app, exporting)
    assert exported.exit_code == 0, exported.stderr
    trial = CliRunner().invoke(app, [*given, "--eval", str(held_out), "-o", str(target), "--share", "0.1", "--json"])
    assert json.loads(trial.stdout)["answer_steps"] == 2

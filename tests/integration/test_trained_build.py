"""A build that trains the quantized model on the way, on a tiny model: TRAIN=questions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from snpe_tools.cli.main import app
from snpe_tools.core.precision import Precision
from snpe_tools.graph.loading import load
from snpe_tools.project.recipe import load_recipe
from snpe_tools.project.workspace import Workspace
from snpe_tools.quantization.calibration import constants
from snpe_tools.steps.build_quantized import float_source
from snpe_tools.tasks.question_answering.squad import SHIPPED_PRACTICE

MIXED = Precision.parse("w8a8-mixed")


@pytest.fixture(scope="module")
def root(new_root: Callable[[str], Path]) -> Path:
    made = new_root("trained")
    folder = made / "Models" / "tiny"
    (folder / "w8a8-mixed.toml").write_text('fold_scales = true\nwide = ["Add>LayerNormalization"]\n')
    with (folder / "recipe.toml").open("a") as recipe:
        recipe.write("train_questions = 400\n")
    return made


def build(root: Path, *options: str) -> dict[str, bool]:
    """Which steps were up to date, by name."""
    given = ["build", "--model", "tiny", "--root", str(root), "--precision", "w8a8-mixed", *options, "--json"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.stderr
    return {item["step"]: item["fresh"] for item in json.loads(result.stdout)["artefacts"]}


def test_a_build_trains_once(root: Path, easy_questions: Path, held_out: Path) -> None:
    space, options = Workspace(root, "tiny"), ("--train", str(easy_questions), "--data", str(held_out))
    assert not build(root, *options)["qat"]
    assert all(build(root, *options).values())
    notes = json.loads(space.qdq(MIXED).with_name(f"{space.qdq(MIXED).name}.provenance.json").read_text())
    assert (notes["step"], notes["notes"]["steps"]) == ("qat", 50)
    assert notes["inputs"]["examples"]["path"] == str(easy_questions)
    trained, before = constants(load(space.quantized_float(MIXED))), constants(load(space.onnx))
    changed = [name for name in before if name in trained and not np.array_equal(before[name], trained[name])]
    assert changed
    assert not any("word_embeddings" in name for name in changed), "tables stay"
    recipe = load_recipe("tiny", root / "Models", {"train": str(easy_questions)})
    assert float_source(recipe, space, Precision.parse("w8a16")) == space.quantized_float(Precision.parse("w8a16"))
    assert float_source(recipe, space, Precision.parse("fp16")) == space.onnx


def test_scores_are_those_of_the_trained_model(root: Path, easy_questions: Path, held_out: Path) -> None:
    given = ["score", "--model", "tiny", "--root", str(root), "--precision", "w8a8-mixed", "--questions", "4"]
    given += ["--train", str(easy_questions), "--data", str(held_out), "--max-drop", "100", "--json"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.stderr
    assert "qat:" not in result.stderr, "what was trained is not trained again"


def test_the_shipped_questions_train_as_well(root: Path) -> None:
    assert not build(root, "--train", "shipped")["qat"]
    assert build(root, "--train", "shipped")["qat"], "up to date"
    made = Workspace(root, "tiny").qdq(MIXED)
    notes = json.loads(made.with_name(f"{made.name}.provenance.json").read_text())
    assert notes["inputs"]["examples"]["path"] == str(SHIPPED_PRACTICE)


@pytest.mark.parametrize("damaged", [False, True])
def test_the_state_of_another_run_is_no_hindrance(
    root: Path, easy_questions: Path, held_out: Path, tmp_path: Path, damaged: bool
) -> None:
    """It is left by a run that was killed, whose questions or plan were other ones."""
    state, few = root / "Models" / "tiny" / "tiny.w8a8-mixed.qdq.onnx.training-state", tmp_path / "few.jsonl"
    few.write_text("".join(easy_questions.read_text().splitlines(keepends=True)[: 24 if damaged else 16]))
    torch.save({"identity": "another", "model": {}}, state)
    if damaged:
        state.write_bytes(state.read_bytes()[:100])
    assert not build(root, "--train", str(few), "--data", str(held_out))["qat"]
    assert not state.exists()


def test_without_questions_it_is_only_calibrated(root: Path) -> None:
    given = ["build", "--model", "tiny", "--root", str(root), "--precision", "w8a8-mixed"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.stderr
    assert "(the one that is there was made by another step: qat, …)" in result.stderr
    assert build(root)["quantize"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--train", "nothing.jsonl"), "nothing.jsonl"),
        (("--method", "mse"), "Training learns the ranges"),
        (("--data", "{train}"), "passage"),
    ],
)
def test_what_cannot_be_trained_is_refused(root: Path, held_out: Path, options: tuple[str, ...], message: str) -> None:
    given = ["build", "--model", "tiny", "--root", str(root), "--precision", "w8a8", "--train", str(held_out)]
    result = CliRunner().invoke(app, [*given, *(option.format(train=held_out) for option in options)])
    assert result.exit_code != 0
    assert message in str(result.exception)

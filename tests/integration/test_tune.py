"""The search for a mixed precision on a tiny model, from a checkpoint to the DLC of its plan."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from snpe_tools import build, tune
from snpe_tools.cli.main import app
from snpe_tools.core.errors import AccuracyError, DataError
from snpe_tools.graph.fingerprint import weights_fingerprint
from snpe_tools.graph.loading import load
from snpe_tools.graph.session import open_session
from snpe_tools.graph.twins import carried_over, shorter
from snpe_tools.project.recipe import load_recipe
from snpe_tools.project.workspace import Workspace
from snpe_tools.quantization.plan import Plan, load_plan
from snpe_tools.tasks.question_answering.squad import SHIPPED_CALIBRATION
from snpe_tools.tuning.model import Candidate, Judge
from snpe_tools.tuning.session import TuneSettings
from snpe_tools.tuning.trial import Trial, Tuning
from tests.integration.conftest import SEQUENCE

ROOMY = 100.0


@pytest.fixture(scope="module")
def root(new_root: Callable[[str], Path]) -> Path:
    return new_root("tune")


def settings(data: Path, max_drop: float = ROOMY, minutes: float = 10, *, restart: bool = False) -> TuneSettings:
    return TuneSettings(max_drop, minutes, examples=8, data=data, restart=restart)


def test_a_goal_that_8_bits_reach_raises_nothing(root: Path, easy_questions: Path) -> None:
    recipe, space = load_recipe("tiny", root / "Models", {}), Workspace(root, "tiny")
    found = tune(recipe, root, settings(easy_questions))
    found.check()
    labels = [trial.label for trial in found.tuning.trials]
    assert labels[:2] == ["w8a8 as it is", "scales folded"]
    assert found.best.wide == 0
    assert all(cost.why for cost in found.tuning.costs)
    assert [cost.noise for cost in found.tuning.costs] == sorted((c.noise for c in found.tuning.costs), reverse=True)
    by_label = {trial.label: trial for trial in found.tuning.trials}
    widest, plain = by_label["every operation in 16 bits"], by_label["w8a8 as it is"]
    assert (widest.sqnr_db or 0) > (plain.sqnr_db or 0) + 3
    assert (widest.wide_macs, plain.wide_macs, plain.converts) == (100, 0, 0)
    written = load_plan(space.plan)
    assert written.model_copy(update={"weights": ""}) == found.best.plan
    assert written.weights == weights_fingerprint(load(space.onnx))
    emulated = found.tuning.emulated
    assert emulated
    assert emulated.examples == 8
    assert emulated.as_qdq >= 6, "the DLC computes what the QDQ model does"
    assert Tuning.model_validate_json(space.tuning.read_bytes()) == found.tuning


def test_trials_of_an_interrupted_search_are_not_made_again(
    root: Path, easy_questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, original, made = load_recipe("tiny", root / "Models", {}), Judge.judge, list[str]()
    space = Workspace(root, "tiny")
    before = space.plan.read_bytes()

    def dying(self: Judge, label: str, candidate: Candidate, plan: Plan) -> Trial:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(label)
        return original(self, label, candidate, plan)

    with monkeypatch.context() as patch:
        patch.setattr(Judge, "judge", dying)
        with pytest.raises(KeyboardInterrupt):
            tune(recipe, root, settings(easy_questions, restart=True))
    assert space.plan.read_bytes() == before
    kept = Tuning.model_validate_json(space.tuning.read_bytes())
    assert [trial.label for trial in kept.trials] == list(dict.fromkeys(made))
    assert made[0] == "the plan that was there"
    again: list[str] = []

    def counting(self: Judge, label: str, candidate: Candidate, plan: Plan) -> Trial:
        again.append(label)
        return original(self, label, candidate, plan)

    monkeypatch.setattr(Judge, "judge", counting)
    tune(recipe, root, settings(easy_questions))
    assert not set(made) & set(again)
    assert again


def test_a_goal_that_nothing_reaches_is_refused_with_what_would_help(root: Path, easy_questions: Path) -> None:
    recipe, space = load_recipe("tiny", root / "Models", {}), Workspace(root, "tiny")
    before = space.plan.read_bytes()
    found = tune(recipe, root, settings(easy_questions, max_drop=-ROOMY))
    assert not found.tuning.reached
    assert space.plan.read_bytes() == before
    assert found.plan == space.folder / "w8a8-mixed.best.toml"
    assert load_plan(found.plan).model_copy(update={"weights": ""}) == found.best.plan
    with pytest.raises(AccuracyError, match="no plan reaches the goal") as refusal:
        found.check()
    assert refusal.value.hint.count(";") == 2


def test_the_time_limit_stops_with_the_best_so_far(root: Path, easy_questions: Path) -> None:
    recipe = load_recipe("tiny", root / "Models", {})
    with pytest.raises(AccuracyError, match="time ran out"):
        tune(recipe, root, settings(easy_questions, max_drop=-ROOMY, minutes=0, restart=True)).check()


def test_questions_that_are_evaluated_are_refused(root: Path) -> None:
    given = TuneSettings(ROOMY, examples=8, data=SHIPPED_CALIBRATION, evaluation=SHIPPED_CALIBRATION)
    with pytest.raises(DataError):
        tune(load_recipe("tiny", root / "Models", {}), root, given)


def test_the_command_writes_a_plan_that_builds(root: Path, easy_questions: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "Models", tmp_path / "Models")
    given = ["tune", "--model", "tiny", "--root", str(tmp_path), "--data", str(easy_questions), "--questions", "8"]
    result = CliRunner().invoke(app, [*given, "--max-drop", str(ROOMY), "--json"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["reached"]
    assert "What each operation costs at 8 bits" in result.stderr
    recipe = load_recipe("tiny", tmp_path / "Models", {"precision": "w8a8-mixed"})
    assert build(recipe, tmp_path)[-1].path.name == "tiny.w8a8-mixed.sm8650.dlc"


@pytest.mark.parametrize("family", ["bert", "electra", "albert", "mobilebert", "distilbert"])
def test_a_shorter_graph_computes_the_same(family: str, exported: Callable[[str], Path], tmp_path: Path) -> None:
    full = load(exported(family))
    short = shorter(load(exported(family).with_suffix(".dynamic.onnx")), full, 32)
    file = tmp_path / "short.onnx"
    file.write_bytes(short.SerializeToString())
    generator = np.random.default_rng(0)
    inputs = {value.name: np.ones((1, 32), np.int32) for value in full.graph.input}
    inputs["input_ids"] = generator.integers(5, 2000, (1, 32), np.int32)
    inputs["attention_mask"][:, 28:] = inputs["input_ids"][:, 28:] = 0  # MobileBERT looks at the neighbours
    padded = {name: np.pad(array, ((0, 0), (0, SEQUENCE - 32))) for name, array in inputs.items()}
    wanted = open_session(exported(family)).run(None, padded)
    got = open_session(file).run(None, inputs)
    for one, other in zip(wanted, got, strict=True):
        np.testing.assert_allclose(other[:, :28], one[:, :28], atol=1e-3)
    assert weights_fingerprint(short) == weights_fingerprint(full)
    names = [name for node in full.graph.node for name in node.output]
    assert len(carried_over(dict.fromkeys(names, 0.0), full, short)) == len(names)

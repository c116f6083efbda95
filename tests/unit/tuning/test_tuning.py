"""The search for a mixed precision: sensitivities, the order of raising, what is kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from snpe_tools.core.errors import DataError, UsageError
from snpe_tools.core.socs import BY_NAME, Soc
from snpe_tools.graph.dequantized import dequantize_constants
from snpe_tools.graph.session import plain_session
from snpe_tools.project.recipe import Recipe
from snpe_tools.quantization.operations import find_operations
from snpe_tools.quantization.plan import Plan, load_plan
from snpe_tools.reporting.trials import draw_costs, draw_trials, frontier
from snpe_tools.steps.tune import helpful, tune, write_best
from snpe_tools.tasks.question_answering.features import Windows, load_tokenizer, make_windows
from snpe_tools.tasks.question_answering.squad import SHIPPED_CALIBRATION, SHIPPED_PRACTICE, Question, load_questions
from snpe_tools.tasks.question_answering.task import TASK
from snpe_tools.tuning.greedy import Step
from snpe_tools.tuning.search import Search, SearchContext, smooth
from snpe_tools.tuning.sensitivity import FULL
from snpe_tools.tuning.session import TuneSettings, search_key, split
from snpe_tools.tuning.trial import Cost, Trial, Tuning, load_tuning, save_tuning
from tests.conftest import make_model, two_layers

TOKENIZER = Path(__file__).parents[3] / "Models" / "minilm-qa" / "checkpoint" / "tokenizer.json"


def trial(label: str, drop: float, wide: float, held_out: float | None = None) -> Trial:
    return Trial(
        label=label, plan=Plan(wide=(label,)), score=70 - drop, drop=drop, same=90, sqnr_db=20, divergence=drop / 100,
        wide=wide, bytes=1, wide_macs=0, converts=0, seconds=1, held_out=held_out,
    )  # fmt: skip


def tuning(*trials: Trial) -> Tuning:
    return Tuning(model="m", key="k", examples=1, length=32, max_drop=0.5, float_score=70, trials=list(trials))


def test_the_cheapest_trial_that_holds_is_chosen() -> None:
    found = tuning(
        trial("a", 3, 0),
        trial("b", 0.4, 30, held_out=0.1),
        trial("c", 0.1, 20, held_out=-0.1),
        trial("d", 0.0, 10, held_out=2),
        trial("e", 0.6, 10, held_out=0),
    )
    found.choose()
    assert (found.trials[found.best].label, found.reached) == ("c", True)


def test_a_trial_that_held_out_questions_confirm_goes_before_others() -> None:
    found = tuning(trial("a", 0.4, 10), trial("b", 0.4, 20, held_out=0.3))
    found.choose()
    assert (found.trials[found.best].label, found.reached) == ("b", True)


def test_without_held_out_questions_nothing_is_reached() -> None:
    found = tuning(trial("a", 3, 0), trial("b", 0.4, 30), trial("c", 0.1, 20), trial("d", 0.0, 10, held_out=2))
    found.choose()
    assert (found.trials[found.best].label, found.reached) == ("c", False)


Drops = Mapping[tuple[str, ...], float]


def scripted(tmp_path: Path, searched: Drops, held_out: Drops, seconds: float = 60) -> Search:
    """A search among operations a, b and c whose plans lose what is written, else 5."""
    operations = find_operations(two_layers(), ["h", "r", "y"])

    def judge(lost: Drops) -> Any:
        def judged(label: str, _: Any, plan: Plan) -> Trial:
            made = trial(label, lost.get(plan.wide, 5.0), 30.0 * len(plan.wide))
            return made.model_copy(update={"plan": plan})

        return SimpleNamespace(judge=judged)

    candidate: Any = SimpleNamespace(operations=operations, wide_share=lambda plan: 30.0 * len(plan.wide))
    ground = SearchContext(
        candidate, candidate, judge(searched), judge(held_out), monotonic() + seconds, tmp_path / "tune.json", "F1"
    )
    return Search(ground, tuning())


H, R, Y = "MatMul>Relu#0", "Relu>MatMul#0", "MatMul>output#0"
STEPS = [Step(("y",), 0.5), Step(("r",), 0.4), Step(("h",), 0.1)]


def test_the_last_plan_of_the_order_is_tried_as_well(tmp_path: Path) -> None:
    search = scripted(tmp_path, {(H, R, Y): 0.0}, {(H, R, Y): 0.2})
    search.raise_until_it_holds(Plan(), STEPS)
    best = search.tuning.trials[search.tuning.best]
    assert (best.plan.wide, best.held_out, search.tuning.reached) == ((H, R, Y), 0.2, True)


def test_held_out_questions_that_disagree_raise_more(tmp_path: Path) -> None:
    searched = {(Y,): 0.1, (R, Y): 0.1, (H, R, Y): 0.0}
    search = scripted(tmp_path, searched, {(Y,): 3.0, (H, R, Y): 0.0})
    search.raise_until_it_holds(Plan(), STEPS)
    found = {one.plan.wide: one.held_out for one in search.tuning.trials}
    assert found[Y,] == 3
    assert search.tuning.trials[search.tuning.best].plan.wide == (H, R, Y)
    assert search.tuning.reached


def test_before_giving_up_every_promising_trial_is_confirmed_the_cheapest_first(tmp_path: Path) -> None:
    """Trials of other methods, which the order does not hold."""
    search = scripted(tmp_path, {(R,): 0.2, (H, R): 0.1, (H,): 0.3}, {(H,): 2.0, (R,): 0.4, (H, R): 0.0})
    for wide in ((H, R), (H,), (R,)):
        search.attempt("other", Plan(wide=wide))
    search.raise_until_it_holds(Plan(), STEPS)
    found = {one.plan.wide: one.held_out for one in search.tuning.trials}
    assert (found[R,], found[H, R]) == (0.4, None)
    assert search.tuning.reached


def test_a_cheaper_promising_trial_is_confirmed_too(tmp_path: Path) -> None:
    search = scripted(tmp_path, {(R,): 0.2, (H, R, Y): 0.0}, {(R,): 0.4, (H, R, Y): 0.0})
    search.attempt("other", Plan(wide=(R,)))
    search.raise_until_it_holds(Plan(), STEPS)
    assert search.tuning.trials[search.tuning.best].plan.wide == (R,)


def test_luck_with_few_questions_is_smoothed_along_the_order() -> None:
    """0.2 at 10 % is luck where 20 % and 30 % lose more; 1.1 at 50 % is bad luck."""
    tried = [trial("", drop, wide) for drop, wide in ((5, 0), (0.2, 10), (2, 20), (0.8, 30), (0, 40), (0.4, 50))]
    smooth(tried)
    expected = [one.expected or 0 for one in tried]
    assert expected == pytest.approx([5, 1.1, 1.1, 0.8, 0.2, 0.2])
    assert [one.promises(0.5) for one in tried] == [False, False, False, False, True, True]


def test_a_lucky_trial_is_not_the_best_once_the_order_is_known(tmp_path: Path) -> None:
    search = scripted(tmp_path, {(): 0.0, (Y,): 3.0, (R, Y): 3.0, (H, R, Y): 0.0}, {(H, R, Y): 0.0})
    search.raise_until_it_holds(Plan(), STEPS)
    kept = Tuning.model_validate_json((tmp_path / "tune.json").read_bytes())
    assert kept.trials[kept.best].plan.wide == (H, R, Y)
    assert [round(trial.expected or 0) for trial in kept.trials] == [2, 2, 2, 0]


def test_a_search_that_is_late_confirms_nothing(tmp_path: Path) -> None:
    search = scripted(tmp_path, {(): 0.0}, {(): 0.0}, seconds=-1)
    search.raise_until_it_holds(Plan(), STEPS)
    assert (len(search.tuning.trials), search.stopped, search.tuning.reached) == (1, True, False)


def test_without_any_the_one_that_loses_least_is_kept() -> None:
    found = tuning(trial("a", 3, 0), trial("b", 1, 30))
    found.choose()
    assert (found.trials[found.best].label, found.reached) == ("b", False)


def test_a_plan_is_replaced_only_by_one_that_reaches_the_goal(tmp_path: Path) -> None:
    path, beside = tmp_path / "w8a8-mixed.toml", tmp_path / "w8a8-mixed.best.toml"
    path.write_text('wide = ["b"] # by hand\n')
    found, known = tuning(trial("a", 3, 0)), load_plan(path)
    found.choose()
    assert write_best(found, path, known) == beside
    assert load_plan(beside).wide == ("a",)
    found.trials.append(trial("b", 0, 10, held_out=0))
    found.choose()
    assert write_best(found, path, known) == path
    assert path.read_text().endswith("by hand\n")
    assert not beside.exists()
    found.trials.append(trial("c", 0, 5, held_out=0))
    found.choose()
    assert write_best(found, path, known) == path
    assert load_plan(path).wide == ("c",)


def with_costs(found: Tuning, *tensors: str) -> Tuning:
    found.choose()
    found.costs = [Cost(operation=f"{name}#0", tensor=name, noise=1, clip=FULL, why="long tail") for name in tensors]
    return found


def test_what_helps_after_a_stop_is_more_time_then_what_is_left_at_8_bits() -> None:
    found = with_costs(tuning(trial("a", 3, 0)), "h", "r", "y")
    first, *others = helpful(found, {"h"}, stopped=True)
    assert "--budget" in first
    assert others == ["r#0 in 16 bits (long tail)", "y#0 in 16 bits (long tail)"]


def test_what_helps_where_16_bits_lose_too_much_is_not_more_of_them() -> None:
    found = with_costs(tuning(trial("a", 3, 0), trial("all", 1, 100)), "h", "r", "y")
    assert "TRAIN" in helpful(found, (), stopped=False)[0]
    found.trials[-1] = trial("all", 0.1, 100)
    assert "h#0" in helpful(found, (), stopped=False)[0]


def test_an_soc_that_is_too_old_is_refused_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BY_NAME, "older", Soc("older", 1, 66))
    recipe = Recipe(name="m", checkpoint="c", socs="older")
    with pytest.raises(UsageError, match="w8a8-mixed"):
        tune(recipe, tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_shipped_recipe_has_a_plan() -> None:
    models = Path(__file__).parents[3] / "Models"
    plans = [load_plan(recipe.with_name("w8a8-mixed.toml")) for recipe in models.glob("*/recipe.toml")]
    assert len(plans) >= 7
    assert all(plan.wide for plan in plans)


def asked(passages: int, each: int) -> list[Question]:
    return [
        Question(f"{one}-{two}", "what", f"passage {one}", (str(one),))
        for one in range(passages)
        for two in range(each)
    ]


def cut(long: Collection[str] = ()) -> Callable[[Sequence[Question]], Windows]:
    """Windows of 16 tokens; questions on `long` passages fill two."""

    def make(questions: Sequence[Question]) -> Windows:
        rows = [index for index, one in enumerate(questions) for _ in range(1 + (one.context in long))]
        blank = np.zeros((len(rows), 16), np.int32)
        return Windows(blank, blank, blank, np.dstack([blank, blank]), np.array(rows, np.int32), tuple(questions))

    return make


def test_search_and_held_out_questions_share_no_passage() -> None:
    searched, held_out = split(asked(20, 4), 16, (), cut(long={"passage 3"}), TASK)
    parts = [{question.context for question in windows.examples} for windows in (searched, held_out)]
    assert (len(searched.examples), len(held_out.examples)) == (16, 32)
    assert not parts[0] & parts[1]
    assert "passage 3" not in parts[0] | parts[1]


def test_held_out_questions_are_new_where_there_are_enough() -> None:
    calibrated = {f"passage {number}" for number in range(8)}
    searched, held_out = split(asked(20, 4), 16, calibrated, cut(), TASK)
    assert {question.context for question in searched.examples} <= calibrated
    assert not {question.context for question in held_out.examples} & calibrated


@pytest.mark.parametrize(("passages", "fewer"), [(20, "--questions 26 "), (1, "SEARCH=FILE).")])
def test_too_few_questions_are_refused_with_how_many_would_do(passages: int, fewer: str) -> None:
    with pytest.raises(DataError, match="too few to search with 64") as refusal:
        split(asked(passages, 4), 64, (), cut(), TASK)
    assert fewer in refusal.value.hint


def test_too_few_questions_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="80 questions"):
        tune(Recipe(name="m", checkpoint="c"), tmp_path, TuneSettings(data=SHIPPED_CALIBRATION))
    assert not list(tmp_path.iterdir())


def test_the_shipped_questions_are_enough_to_search_with() -> None:
    tokenizer, count = load_tokenizer(TOKENIZER), TuneSettings().examples
    searched, held_out = split(
        load_questions(SHIPPED_PRACTICE), count, (), lambda some: make_windows(some, tokenizer, 192), TASK
    )
    assert len(searched) == count
    assert len(held_out) >= count


def test_the_picture_shows_every_trial_and_the_line_of_the_best() -> None:
    found = tuning(trial("a", 3, 0), trial("b", 3.5, 10), trial("c", 0.4, 20), trial("d", 0.5, 30))
    found.choose()
    assert [one.label for one in frontier(found.trials)] == ["a", "c"]
    picture = draw_trials(found, "F1")
    assert picture.startswith("<svg")
    assert "activations in 16 bits, percent" in picture
    assert "var(--seen)" in picture
    assert "0.5 may be lost" in picture


def test_the_picture_of_costs_names_the_dearest_and_adds_up_the_others() -> None:
    picture = draw_costs(with_costs(tuning(trial("a", 3, 0)), *(f"t{number}" for number in range(15))), "answers")
    assert "t11#0" in picture
    assert "t12#0" not in picture
    assert "3 others together" in picture


def test_trials_are_taken_over_only_for_the_same_search(tmp_path: Path) -> None:
    found = tuning(trial("a", 3, 0))
    save_tuning(found, tmp_path / "tune.json")
    assert load_tuning(tmp_path / "tune.json", "k", 0.5) == found
    assert load_tuning(tmp_path / "tune.json", "other", 0.5) is None
    (tmp_path / "tune.json").write_text("{")
    assert load_tuning(tmp_path / "tune.json", "k", 0.5) is None
    save_tuning(tuning(), tmp_path / "tune.json")
    assert load_tuning(tmp_path / "tune.json", "k", 0.5) is None


def test_trials_that_are_taken_over_are_judged_by_the_new_bound(tmp_path: Path) -> None:
    found = tuning(trial("a", 1, 0, held_out=1), trial("b", 0.1, 30, held_out=0.1))
    found.choose()
    save_tuning(found, tmp_path / "tune.json")
    looser = load_tuning(tmp_path / "tune.json", "k", 2.0)
    assert looser
    assert (found.best, looser.best, looser.max_drop, looser.reached) == (1, 0, 2.0, True)


def test_trials_depend_on_all_of_a_question_and_on_how_weights_are_quantized() -> None:
    one = Question("1", "who", "Ann was there.", ("Ann",))
    key = search_key(["f"], [[one], []], per_channel=True)
    assert search_key(["f"], [[replace(one)], []], per_channel=True) == key
    others = [
        search_key(["g"], [[one], []], per_channel=True),
        search_key(["f"], [[one], []], per_channel=False),
        search_key(["f"], [[], [one]], per_channel=True),
        search_key(["f"], [[replace(one, context="Ann was not there.")], []], per_channel=True),
        search_key(["f"], [[replace(one, answers=("Ann", "Ann was"))], []], per_channel=True),
    ]
    assert len({key, *others}) == 6


def test_constants_of_a_qdq_model_become_the_floats_they_stand_for() -> None:
    generator = np.random.default_rng(0)
    constants: dict[str, np.ndarray] = {
        "w_q": generator.integers(-128, 128, (8, 4)).astype(np.int8),
        "w_scale": generator.uniform(0.01, 0.1, 4).astype(np.float32),
        "w_zero": np.zeros(4, np.int8),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["w_q", "w_scale", "w_zero"], ["w"], name="w", axis=1),
        helper.make_node("MatMul", ["x", "w"], ["y"], name="y"),
    ]
    model = make_model(nodes, {"x": (TensorProto.FLOAT, (2, 8))}, {"y": (2, 4)}, constants)
    values = {"x": generator.normal(size=(2, 8)).astype(np.float32)}
    before = plain_session(model).run(None, values)[0]
    assert dequantize_constants(model) == 1
    assert [node.op_type for node in model.graph.node] == ["MatMul"]
    np.testing.assert_array_equal(plain_session(model).run(None, values)[0], before)

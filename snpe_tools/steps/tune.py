"""A recipe + examples → the plan of the cheapest mixed precision that keeps its predictions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from snpe_tools.core.errors import AccuracyError
from snpe_tools.core.precision import Precision
from snpe_tools.core.socs import check_fit
from snpe_tools.graph.session import explained
from snpe_tools.project.recipe import Recipe
from snpe_tools.project.workspace import Workspace
from snpe_tools.quantization.plan import Plan, load_plan, save_plan
from snpe_tools.steps.build import build_sources
from snpe_tools.steps.tune_confirm import confirm
from snpe_tools.tasks import Metric, Words, find_task
from snpe_tools.tuning.search import Search
from snpe_tools.tuning.session import MIXED, TuneSettings, TuningSession, too_few
from snpe_tools.tuning.trial import Trial, Tuning, save_tuning

_HELP = 3
_BEYOND_BITS = (
    "train the quantized model: TRAIN=questions (build --train)",
    "w8a16",
    "more calibration: --windows 256 (WINDOWS=256)",
)


@dataclass(frozen=True)
class Tuned:
    """What a search found, where its plan and all trials stand; whether the time ran out, and what would help."""

    tuning: Tuning
    plan: Path
    file: Path
    stopped: bool
    metric: Metric
    words: Words
    helpful: tuple[str, ...] = field(default=())

    @property
    def best(self) -> Trial:
        """The cheapest trial that holds, else the most promising one."""
        return self.tuning.trials[self.tuning.best]

    def check(self) -> None:
        """The goal.

        Raises:
            AccuracyError: no trial reaches it, with what would help most.
        """
        if not self.tuning.reached:
            drop = self.best.drop if self.best.held_out is None else max(self.best.drop, self.best.held_out)
            held_out = f"held-out {self.words.examples}"
            asked = f"not confirmed by {held_out}" if self.best.held_out is None else f"{held_out} too"
            why = "the time ran out" if self.stopped else "no plan reaches the goal"
            raise AccuracyError(
                f"{self.tuning.model}: {why}; the best is likely to lose {drop:.2f} {self.metric.label} "
                f"({asked}), "
                f"and {self.tuning.max_drop:g} were allowed.",
                "What would help most: " + "; ".join(self.helpful) + ".",
            )


def tune(recipe: Recipe, root: Path = Path(), settings: TuneSettings | None = None) -> Tuned:
    """Search for the plan of w8a8-mixed, and write it to the model's folder.

    A plan that is there is tried first. It is replaced at the end, and only by one that reaches the goal; a search that
    does not reach it leaves its best beside, as w8a8-mixed.best.toml.

    Args:
        root: folder that holds Models/ and raw_inputs/.
        settings: the goal, the examples and the time.

    Raises:
        DataError: too few examples, or some that are also evaluated.
        UsageError: the HTP of an SoC is too old.
        RecipeError: the plan that is there is not one of this model.
        SnpeToolsError: of the step that failed. Trials of an interrupted search are kept, and not made again.
    """
    chosen, space = settings or TuneSettings(), Workspace(root, recipe.name)
    check_fit(f"A {MIXED} model", recipe.parsed_socs, MIXED.need)
    recipe = recipe.model_copy(update={"precision": str(MIXED), "method": "min-max", "train": ""})
    task = find_task(recipe.task)
    pool = task.load_practice(chosen.data or task.practice)
    if len(pool) < 2 * chosen.examples:
        raise too_few(len(pool), chosen.examples, len(pool) // 3, task.words)
    with space.locked():
        known = load_plan(space.plan).model_copy(update={"weights": ""}) if space.plan.is_file() else None
        build_sources(recipe, space, Precision.parse("fp16"), chosen.evaluation or task.evaluation)
        session = TuningSession(recipe, space, chosen, pool)
        search = Search(session.context(), session.tuning())
        with explained(space.onnx):
            search.run(session.sensitivity(), known)
        help_ = helpful(search.tuning, search.wide_in_best(), stopped=search.stopped)
        written = write_best(search.tuning, space.plan, known, session.weights, task.metric.label)
        if search.tuning.reached and not search.stopped:
            search.tuning.emulated = confirm(recipe, space, session.held_out)
            save_tuning(search.tuning, space.tuning)
    return Tuned(search.tuning, written, space.tuning, search.stopped, task.metric, task.words, help_)


def write_best(tuning: Tuning, path: Path, known: Plan | None, weights: str = "", metric: str = "score") -> Path:
    """Write the best plan: to `path` where it reaches the goal, else beside it. The known one stays as it is written.

    Args:
        weights: fingerprint of those that it was found for.
        metric: what the task's metric is called.

    Returns:
        The file that holds it.
    """
    best, beside = tuning.trials[tuning.best], path.with_suffix(".best.toml")
    target = path if tuning.reached else beside
    if target == beside or best.plan != known:
        save_plan(
            best.plan.model_copy(update={"weights": weights}),
            target,
            f"By `snpe-tools tune`: {metric} {best.score:.2f} on {tuning.examples} {tuning.noun}, float "
            f"{tuning.float_score:.2f};"
            f"\n{best.wide:.0f} % of activations and {best.wide_macs:.0f} % of multiply-accumulates in 16 bits.",
        )
    if tuning.reached:
        beside.unlink(missing_ok=True)
    return target


def helpful(tuning: Tuning, wide: Collection[str], *, stopped: bool) -> tuple[str, ...]:
    """What would help most, three things; `wide`: the tensors that the best trial computes in 16 bits.

    More time after a stop; training, where 16 bits everywhere are not enough; else the dearest that is left at 8 bits.
    """
    if not stopped and not max(tuning.trials, key=lambda trial: trial.wide).promises(tuning.max_drop):
        return _BEYOND_BITS
    left = [cost for cost in tuning.costs if cost.tensor not in wide]
    dearest = [f"{cost.operation} in 16 bits ({cost.why})" for cost in left]
    more = ["more time: --budget (BUDGET), the same command goes on"] if stopped else []
    return tuple([*more, *dearest, *_BEYOND_BITS][:_HELP])

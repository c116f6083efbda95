"""A recipe + questions → the plan of the cheapest mixed precision that keeps its answers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from snpe_tools.errors import AccuracyError, DataError
from snpe_tools.files import sha256
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import load
from snpe_tools.graph.ranges import Ranges
from snpe_tools.graph.ranges_file import load_ranges
from snpe_tools.graph.session import explained
from snpe_tools.graph.sharing import unshare_vectors
from snpe_tools.precision import Precision
from snpe_tools.progress import progress, say
from snpe_tools.provenance import versions
from snpe_tools.qa.features import Windows, load_tokenizer, make_windows
from snpe_tools.qa.squad import SHIPPED_CALIBRATION, SHIPPED_QUESTIONS, Question, check_disjoint, load_questions
from snpe_tools.quantization.mixing import adjusted, prepared
from snpe_tools.quantization.plan import Plan, load_plan, save_plan
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.recipe import Recipe
from snpe_tools.socs import check_fit
from snpe_tools.spec import Array
from snpe_tools.stages.build import build_sources
from snpe_tools.stages.quantize import Calibration
from snpe_tools.tensors import LIST_NAME, read_list
from snpe_tools.training.corpus import load_corpus
from snpe_tools.tuning.model import Candidate, Judge, Variant, carried_over, shorter
from snpe_tools.tuning.search import Ground, Search
from snpe_tools.tuning.sensitivity import Sensitivity, measure
from snpe_tools.tuning.trial import Trial, Tuning, load_tuning
from snpe_tools.workspace import Workspace

MIXED = Precision.parse("w8a8-mixed")
_SEARCH_LENGTH = 192
"""Windows of the search: most passages fit, and an inference takes a third of the time of 384 tokens."""
_PROBED = 48
"""Windows that sensitivities are measured on: with 8 of them the ranges fit those eight."""
_POOL = 6
"""So many times the search questions are cut into windows, to find those that fit."""
_HELP = 3
FEWEST = 8
"""Search questions; of fewer, one is worth more F1 than any goal allows."""
_BEYOND_BITS = (
    "train the model for its quantization: snpe-tools qat",
    "w8a16",
    "more calibration: --windows 256 (WINDOWS=256)",
)
_FORMAT = 3
"""Of what is kept of trials; another number wherever a trial of an equal plan would come out differently."""


@dataclass(frozen=True)
class TuneSettings:
    """How to search.

    Attributes:
        max_drop: F1 that the model may lose against float.
        minutes: no new trial begins later.
        questions: asked of every trial; twice as many others are held out.
        data: SQuAD JSON or rows to take them from; None for the shipped calibration questions.
        evaluation: questions that the model will be scored on: none of their passages may be searched with.
        restart: forget the trials of an earlier run.
    """

    max_drop: float = 0.5
    minutes: float = 20.0
    questions: int = 128
    data: Path | None = None
    evaluation: Path = SHIPPED_QUESTIONS
    restart: bool = False


@dataclass(frozen=True)
class Tuned:
    """What a search found, where its plan and all trials stand; whether the time ran out, and what would help."""

    tuning: Tuning
    plan: Path
    file: Path
    stopped: bool
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
            asked = "not confirmed by held-out questions" if self.best.held_out is None else "held-out questions too"
            why = "the time ran out" if self.stopped else "no plan reaches the goal"
            raise AccuracyError(
                f"{self.tuning.model}: {why}; the best loses {drop:.2f} F1 ({asked}), "
                f"and {self.tuning.max_drop:g} were allowed.",
                "What would help most: " + "; ".join(self.helpful) + ".",
            )


def tune(recipe: Recipe, root: Path = Path(), settings: TuneSettings | None = None) -> Tuned:
    """Search for the plan of w8a8-mixed, and write it to the model's folder.

    A plan that is there is tried first. It is replaced at the end, and only by one that reaches the goal; a search that
    does not reach it leaves its best beside, as w8a8-mixed.best.toml.

    Args:
        root: folder that holds Models/ and raw_inputs/.
        settings: the goal, the questions and the time.

    Raises:
        DataError: too few questions, or passages that are also evaluated.
        UsageError: the HTP of an SoC is too old.
        RecipeError: the plan that is there is not one of this model.
        SnpeToolsError: of the step that failed. Trials of an interrupted search are kept, and not made again.
    """
    chosen, space = settings or TuneSettings(), Workspace(root, recipe.name)
    check_fit(f"A {MIXED} model", recipe.parsed_socs, MIXED.need)
    recipe = recipe.model_copy(update={"precision": str(MIXED), "method": "min-max"})
    pool = list(load_corpus(chosen.data).questions) if chosen.data else load_questions(SHIPPED_CALIBRATION)
    if len(pool) < 2 * chosen.questions:
        raise _too_few(len(pool), chosen.questions, fewer=0)
    with space.locked():
        known = load_plan(space.plan) if space.plan.is_file() else None
        build_sources(recipe, space, Precision.parse("fp16"), chosen.evaluation)
        workshop = _Workshop(recipe, space, chosen, pool)
        search = Search(workshop.ground(), workshop.tuning())
        with explained(space.onnx):
            search.run(workshop.sensitivity(), known)
        help_ = helpful(search.tuning, search.wide_in_best(), stopped=search.stopped)
        written = write_best(search.tuning, space.plan, known)
    return Tuned(search.tuning, written, space.tuning, search.stopped, help_)


def search_key(files: Sequence[str], asked: Sequence[Sequence[Question]], *, per_channel: bool) -> str:
    """What trials depend on: hashes of files, the questions of each part with all that is in them, how to quantize.

    The bound is not among them: it only decides which trial is chosen.
    """
    parts = (_FORMAT, *files, [list(part) for part in asked], per_channel, versions())
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def write_best(tuning: Tuning, path: Path, known: Plan | None) -> Path:
    """Write the best plan: to `path` where it reaches the goal, else beside it. The known one stays as it is written.

    Returns:
        The file that holds it.
    """
    best, beside = tuning.trials[tuning.best], path.with_suffix(".best.toml")
    target = path if tuning.reached else beside
    if target == beside or best.plan != known:
        save_plan(
            best.plan,
            target,
            f"By `snpe-tools tune`: F1 {best.f1:.2f} on {tuning.questions} questions, float {tuning.float_f1:.2f};"
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


def split(
    pool: Sequence[Question], count: int, calibrated: Collection[str], cut: Callable[[Sequence[Question]], Windows]
) -> tuple[Windows, Windows]:
    """`count` search questions, and up to twice as many held-out ones, each in one window; no passage is in both.

    Passages that ranges are `calibrated` on go to the search questions first, so that those held out are new wherever
    there are enough others.

    Raises:
        DataError: there are too few to search with, or to hold out as many.
    """
    order = np.random.default_rng(0).permutation(len(pool))[: _POOL * count]
    windows = cut([pool[index] for index in order])
    single = np.flatnonzero(np.bincount(windows.question, minlength=len(windows.questions)) == 1)
    by_passage: dict[str, list[int]] = {}
    for index in single:
        by_passage.setdefault(windows.questions[index].context, []).append(int(index))
    searched, held_out = list[int](), list[int]()
    for context in sorted(by_passage, key=lambda context: context not in calibrated):
        (searched if len(searched) < count else held_out).extend(by_passage[context])
    if min(len(searched), len(held_out)) < count:
        raise _too_few(len(single), count, fewer=min(len(single) // 3, count // 2))
    return windows.of_questions(searched[:count]), windows.of_questions(held_out[::-1][: 2 * count])


def _too_few(found: int, count: int, fewer: int) -> DataError:
    return DataError(
        f"{found} questions (each in one window) are too few to search with {count} and to hold out as many of other "
        "passages.",
        "Give training questions: --data FILE (SEARCH=FILE)"
        + (f", or --questions {fewer} (QUESTIONS={fewer})." if fewer >= FEWEST else "."),
    )


class _Workshop:
    """Everything a search needs, made from a model's folder."""

    def __init__(self, recipe: Recipe, space: Workspace, settings: TuneSettings, pool: Sequence[Question]) -> None:
        self._recipe, self._space, self._settings, self._pool = recipe, space, settings, pool
        self._full = use_int32_inputs(load(space.onnx))
        unshare_vectors(self._full)
        self._length = min(_SEARCH_LENGTH, recipe.sequence_length)
        self._short = (
            self._full
            if self._length == recipe.sequence_length
            else shorter(load(space.dynamic), self._full, self._length)
        )
        self._judge = Judge(self._short, self._windows[0])

    @cached_property
    def _windows(self) -> tuple[Windows, Windows]:
        """Of the search questions, and of the held-out ones."""
        count, tokenizer = self._settings.questions, load_tokenizer(self._space.tokenizer)
        calibration = Path(self._recipe.calibration) if self._recipe.calibration else SHIPPED_CALIBRATION
        calibrated = {question.context for question in load_questions(calibration)}
        searched, held_out = split(
            self._pool, count, calibrated, lambda some: make_windows(some, tokenizer, self._length)
        )
        seen = sum(question.context in calibrated for question in held_out.questions)
        say(
            f"  searching with {count} questions (one is worth {100 / count:.1f} F1), {len(held_out.questions)} are "
            f"held out, {seen} of them on passages of the calibration set"
        )
        check_disjoint(
            load_questions(self._settings.evaluation),
            (*searched.questions, *held_out.questions),
            what="search",
            hint="Search with training data: --data FILE.",
        )
        return searched, held_out

    def tuning(self) -> Tuning:
        """The trials of an earlier run on the same, or a blank sheet."""
        key = self._key()
        known = None if self._settings.restart else load_tuning(self._space.tuning, key, self._settings.max_drop)
        if known:
            say(f"  {len(known.trials)} trials of an earlier run are taken over")
        return known or Tuning(
            model=self._recipe.name,
            key=key,
            questions=len(self._windows[0].questions),
            length=self._length,
            max_drop=self._settings.max_drop,
            float_f1=self._judge.f1,
        )

    def _key(self) -> str:
        files = [sha256(self._space.onnx), sha256(self._space.ranges)]
        return search_key(files, [windows.questions for windows in self._windows], per_channel=self._recipe.per_channel)

    def ground(self) -> Ground:
        """The model in both variants, and the judges."""
        options = QuantizationOptions(MIXED, per_channel=self._recipe.per_channel, plan=Plan())
        self._folded = Candidate(self._variant(Plan(fold_scales=True)), options)
        return Ground(
            plain=Candidate(self._variant(Plan()), options),
            folded=self._folded,
            judge=self._judge,
            referee=Judge(self._short, self._windows[1]),
            deadline=time.monotonic() + 60 * self._settings.minutes,
            file=self._space.tuning,
        )

    def _variant(self, plan: Plan) -> Variant:
        """The graph of a plan for short windows, with what was observed on full ones."""
        full, short = prepared(self._full, plan), prepared(self._short, plan)
        raws = read_list(self._space.raws("calibration") / LIST_NAME)
        calibration = Calibration(full, raws, native=False)
        ranges = calibration.observe() if plan.changes_graph else load_ranges(self._space.ranges)
        floors = calibration.score_floors()
        moved = carried_over(ranges.as_dict(), full, short)
        return Variant(short, Ranges.from_dict(moved, ranges.windows), carried_over(floors, full, short))

    def sensitivity(self) -> Sensitivity:
        """What each operation costs, measured on some of the search windows."""
        variant, simulator = self._folded.variant, self._folded.simulator
        operations = self._folded.operations
        ranges = adjusted(variant.ranges, Plan(score_floor=True), operations, variant.floors)
        symmetric = {name: quantizer.symmetric for name, quantizer in simulator.quantizers().items()}
        rows = np.unique(np.linspace(0, len(self._judge.windows) - 1, _PROBED).astype(int))
        with progress("measuring what each tensor costs", len(rows)) as advance:

            def windows() -> Iterator[Mapping[str, Array]]:
                for row in rows:
                    yield self._judge.inputs(int(row))
                    advance()

            return measure(variant.model, operations, symmetric, ranges, windows())

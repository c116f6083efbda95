"""What a search for a mixed precision stands on: questions in short windows, the model for them, and its costs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from snpe_tools.core.errors import DataError
from snpe_tools.core.files import sha256
from snpe_tools.core.precision import Precision
from snpe_tools.core.progress import progress, say
from snpe_tools.core.raw_files import LIST_NAME, read_list
from snpe_tools.core.tensor_spec import Array
from snpe_tools.graph.fingerprint import weights_fingerprint
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import load
from snpe_tools.graph.ranges import Ranges
from snpe_tools.graph.ranges_file import load_ranges
from snpe_tools.graph.sharing import unshare_vectors
from snpe_tools.graph.twins import carried_over, for_windows
from snpe_tools.project.provenance import versions
from snpe_tools.project.recipe import Recipe
from snpe_tools.project.workspace import Workspace
from snpe_tools.quantization.calibration import Calibration
from snpe_tools.quantization.mixing import adjusted, prepared
from snpe_tools.quantization.plan import Plan
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.tasks.question_answering.features import Windows, load_tokenizer, make_windows
from snpe_tools.tasks.question_answering.squad import (
    SHIPPED_CALIBRATION,
    SHIPPED_PRACTICE,
    SHIPPED_QUESTIONS,
    Question,
    check_disjoint,
    load_questions,
)
from snpe_tools.tuning.model import Candidate, Judge, Variant
from snpe_tools.tuning.search import Ground
from snpe_tools.tuning.sensitivity import Sensitivity, measure
from snpe_tools.tuning.trial import Tuning, load_tuning

MIXED = Precision.parse("w8a8-mixed")
_SEARCH_LENGTH = 192
"""Windows of the search: most passages fit, and an inference takes a third of the time of 384 tokens."""
_PROBED = 48
"""Windows that sensitivities are measured on: with 8 of them the ranges fit those eight."""
_POOL = 6
"""So many times the search questions are cut into windows, to find those that fit."""
FEWEST = 8
"""Search questions; of fewer, one is worth more F1 than any goal allows."""
_FORMAT = 4
"""Of what is kept of trials; another number wherever a trial of an equal plan would come out differently."""


@dataclass(frozen=True)
class TuneSettings:
    """How to search.

    Attributes:
        max_drop: likely F1 that the model may lose against float.
        minutes: no new trial begins later.
        questions: asked of every trial; up to twice as many others are held out.
        data: SQuAD JSON or rows to take them from.
        evaluation: questions that the model will be scored on: none of their passages may be searched with.
        restart: forget the trials of an earlier run.
    """

    max_drop: float = 0.5
    minutes: float = 20.0
    questions: int = 192
    data: Path = SHIPPED_PRACTICE
    evaluation: Path = SHIPPED_QUESTIONS
    restart: bool = False


def search_key(files: Sequence[str], asked: Sequence[Sequence[Question]], *, per_channel: bool) -> str:
    """What trials depend on: hashes of files, the questions of each part with all that is in them, how to quantize.

    The bound is not among them: it only decides which trial is chosen.
    """
    parts = (_FORMAT, *files, [list(part) for part in asked], per_channel, versions("tune"))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


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
        raise too_few(len(single), count, fewer=min(len(single) // 3, count // 2))
    return windows.of_questions(searched[:count]), windows.of_questions(held_out[::-1][: 2 * count])


def too_few(found: int, count: int, fewer: int) -> DataError:
    """What to say of `found` questions where `count` are searched with; `fewer` would do, if that is enough."""
    return DataError(
        f"{found} questions (each in one window) are too few to search with {count} and to hold out as many of other "
        "passages.",
        "Give training questions: --data FILE (SEARCH=FILE)"
        + (f", or --questions {fewer} (QUESTIONS={fewer})." if fewer >= FEWEST else "."),
    )


class Workshop:
    """Everything a search needs, made from a model's folder."""

    def __init__(self, recipe: Recipe, space: Workspace, settings: TuneSettings, pool: Sequence[Question]) -> None:
        self._recipe, self._space, self._settings, self._pool = recipe, space, settings, pool
        self._full = use_int32_inputs(load(space.onnx))
        unshare_vectors(self._full)
        self._length = min(_SEARCH_LENGTH, recipe.sequence_length)
        self._short = for_windows(self._full, space.dynamic, self._length)
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

    @property
    def held_out(self) -> tuple[Question, ...]:
        """The questions that were held out."""
        return self._windows[1].questions

    @property
    def weights(self) -> str:
        """Fingerprint of the model's weights."""
        return weights_fingerprint(self._full)

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

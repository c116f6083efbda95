"""What a search for a mixed precision stands on: short examples, the model for them, and its costs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

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
from snpe_tools.tasks import Batch, Task, Words, find_task
from snpe_tools.tuning.model import Candidate, Judge, Variant
from snpe_tools.tuning.search import SearchContext
from snpe_tools.tuning.sensitivity import Sensitivity, measure
from snpe_tools.tuning.trial import Tuning, load_tuning

MIXED = Precision.parse("w8a8-mixed")
_SEARCH_LENGTH = 192
"""Windows of the search: most passages fit, and an inference takes a third of the time of 384 tokens."""
_PROBED = 48
"""Windows that sensitivities are measured on: with 8 of them the ranges fit those eight."""
_POOL = 6
"""So many times the search examples are encoded, to find those that fit."""
FEWEST = 8
"""Search examples; of fewer, one is worth more than any goal allows."""
_FORMAT = 4
"""Of what is kept of trials; another number wherever a trial of an equal plan would come out differently."""


Encode = Callable[[Sequence[Any]], Batch]


@dataclass(frozen=True)
class TuneSettings:
    """How to search.

    Attributes:
        max_drop: how much of the task's metric the model is allowed to be likely to lose against float.
        minutes: no new trial begins later.
        examples: asked of every trial; up to twice as many others are held out.
        data: file to take them from; None takes the shipped ones.
        evaluation: examples that the model will be scored on, None for the shipped ones: none of their passages or
            images may be searched with.
        restart: forget the trials of an earlier run.
    """

    max_drop: float = 0.5
    minutes: float = 20.0
    examples: int = 192
    data: Path | None = None
    evaluation: Path | None = None
    restart: bool = False


def search_key(files: Sequence[str], asked: Sequence[Sequence[Any]], *, per_channel: bool) -> str:
    """What trials depend on: hashes of files, the examples of each part with all that is in them, how to quantize.

    The bound is not among them: it only decides which trial is chosen.
    """
    parts = (_FORMAT, *files, [list(part) for part in asked], per_channel, versions("tune"))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def split(
    pool: Sequence[Any], count: int, calibrated: Collection[str], encode: Encode, task: Task
) -> tuple[Batch, Batch]:
    """`count` search examples, and up to twice as many held-out ones, each in one inference; no group is in both.

    Groups (such as passages) that ranges are `calibrated` on go to the search examples first, so that those held out
    are new wherever there are enough others.

    Raises:
        DataError: there are too few to search with, or to hold out as many.
    """
    order: list[int] = np.random.default_rng(0).permutation(len(pool))[: _POOL * count].tolist()
    batch = encode([pool[index] for index in order])
    single = np.flatnonzero(np.bincount(batch.owners, minlength=len(batch.examples)) == 1)
    by_group: dict[str, list[int]] = {}
    for index in single:
        by_group.setdefault(task.group(batch.examples[int(index)]), []).append(int(index))
    searched, held_out = list[int](), list[int]()
    for group in sorted(by_group, key=lambda group: group not in calibrated):
        (searched if len(searched) < count else held_out).extend(by_group[group])
    if min(len(searched), len(held_out)) < count:
        raise too_few(len(single), count, min(len(single) // 3, count // 2), task.words)
    return batch.of_examples(searched[:count]), batch.of_examples(held_out[::-1][: 2 * count])


def too_few(found: int, count: int, fewer: int, words: Words) -> DataError:
    """What to say of `found` examples where `count` are searched with; `fewer` would do, if that is enough."""
    return DataError(
        f"{found} {words.examples} (each in one window) are too few to search with {count} and to hold out as many of "
        "other passages.",
        f"Give training {words.examples}: --data FILE (SEARCH=FILE)"
        + (f", or --questions {fewer} (QUESTIONS={fewer})." if fewer >= FEWEST else "."),
    )


class TuningSession:
    """Everything a search needs, made from a model's folder."""

    def __init__(self, recipe: Recipe, space: Workspace, settings: TuneSettings, pool: Sequence[Any]) -> None:
        self._recipe, self._space, self._settings, self._pool = recipe, space, settings, pool
        self._task = find_task(recipe.task)
        self._full = use_int32_inputs(load(space.onnx))
        unshare_vectors(self._full)
        self._length = min(_SEARCH_LENGTH, recipe.sequence_length)
        self._short = for_windows(self._full, space.dynamic, self._length)
        self._judge = Judge(self._short, self._batches[0], self._task)

    @cached_property
    def _batches(self) -> tuple[Batch, Batch]:
        """Of the search examples, and of the held-out ones."""
        count, task = self._settings.examples, self._task
        calibration = Path(self._recipe.calibration) if self._recipe.calibration else task.calibration
        calibrated = {task.group(example) for example in task.load(calibration)}
        searched, held_out = split(self._pool, count, calibrated, self._encode, task)
        seen = sum(task.group(example) in calibrated for example in held_out.examples)
        say(
            f"  searching with {count} {task.words.examples} (one is worth {100 / count:.1f} {task.metric.label}), "
            f"{len(held_out.examples)} are held out, {seen} of them on passages of the calibration set"
        )
        task.check_disjoint(
            task.load(self._settings.evaluation or task.evaluation),
            (*searched.examples, *held_out.examples),
            what="search",
            hint="Search with training data: --data FILE.",
        )
        return searched, held_out

    def _encode(self, examples: Sequence[Any]) -> Batch:
        return self._task.encode(examples, self._space.tokenizer, (1, self._length))

    @property
    def held_out(self) -> Sequence[Any]:
        """The examples that were held out."""
        return self._batches[1].examples

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
            metric=self._task.metric.key,
            noun=self._task.words.examples,
            examples=len(self._batches[0].examples),
            length=self._length,
            max_drop=self._settings.max_drop,
            float_score=self._judge.score,
        )

    def _key(self) -> str:
        files = [sha256(self._space.onnx), sha256(self._space.ranges)]
        return search_key(files, [batch.examples for batch in self._batches], per_channel=self._recipe.per_channel)

    def context(self) -> SearchContext:
        """The model in both variants, and the judges."""
        options = QuantizationOptions(MIXED, per_channel=self._recipe.per_channel, plan=Plan())
        self._folded = Candidate(self._variant(Plan(fold_scales=True)), options)
        return SearchContext(
            plain=Candidate(self._variant(Plan()), options),
            folded=self._folded,
            judge=self._judge,
            referee=Judge(self._short, self._batches[1], self._task),
            deadline=time.monotonic() + 60 * self._settings.minutes,
            file=self._space.tuning,
            metric=self._task.metric.label,
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
        """What each operation costs, measured on some of the search examples."""
        variant, simulator = self._folded.variant, self._folded.simulator
        operations = self._folded.operations
        ranges = adjusted(variant.ranges, Plan(score_floor=True), operations, variant.floors)
        symmetric = {name: quantizer.symmetric for name, quantizer in simulator.quantizers().items()}
        rows = np.unique(np.linspace(0, len(self._judge.batch) - 1, _PROBED).astype(int))
        with progress("measuring what each tensor costs", len(rows)) as advance:

            def windows() -> Iterator[Mapping[str, Array]]:
                for row in rows:
                    yield self._judge.inputs(int(row))
                    advance()

            return measure(variant.model, operations, symmetric, ranges, windows(), self._task.distributions)

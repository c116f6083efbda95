"""The search: methods alone and together, then the fewest operations in 16 bits."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.progress import say
from snpe_tools.quantization.mixing import wide_tensors
from snpe_tools.quantization.operations import CONSTANT, Operation
from snpe_tools.quantization.plan import Plan
from snpe_tools.tuning.greedy import Effects, Step, noise_of, raise_in_order
from snpe_tools.tuning.model import Candidate, Judge
from snpe_tools.tuning.sensitivity import FULL, Clip, Sensitivity
from snpe_tools.tuning.trial import Cost, Trial, Tuning, save_tuning

_SMALLEST_CLIP_GAIN = 0.9
"""A clipped range is kept where it leaves less than this share of the noise."""
_SHARES = (0, 5, 10, 15, 20, 25, 30, 40, 50, 75, 100)
"""Percent of activations in 16 bits that are tried: they are the line of the table and of its picture."""


@dataclass(frozen=True)
class SearchContext:
    """What a search stands on.

    Attributes:
        plain, folded: the model as exported, and with its scales folded.
        judge: of the search examples; `referee` of held-out ones.
        deadline: monotonic seconds at which no new trial begins.
        file: where trials are kept, and which is the best so far.
        metric: what the task's metric is called.
    """

    plain: Candidate
    folded: Candidate
    judge: Judge
    referee: Judge
    deadline: float
    file: Path
    metric: str


class Search:
    """Tries plans, keeps every trial, and knows those of an earlier run."""

    def __init__(self, context: SearchContext, tuning: Tuning) -> None:
        self.context, self.tuning, self.stopped = context, tuning, False

    def run(self, sensitivity: Sensitivity, known: Plan | None = None) -> None:
        """The known plan first, then methods, then raise operations until the goal holds on both sets of examples.

        Raises:
            RecipeError: the known plan names an operation that the model does not have.
        """
        if known and (trial := self.attempt("the plan that was there", known)):
            self._holds(trial)
        clips = _worthwhile(sensitivity)
        self.tuning.costs = costs(sensitivity, clips, self.context.folded.operations)
        base = self._methods(clips)
        kept = clips if base.clip else {}
        self.raise_until_it_holds(
            base, raise_in_order(_computed(sensitivity.effects(kept), self.context.folded.operations))
        )

    def _methods(self, clips: Mapping[str, Clip]) -> Plan:
        """Each method alone and all together; returns the best for operations of 8 bits."""
        names = {operation.tensor: operation.name for operation in self.context.folded.operations}
        clip = {names[tensor]: shares for tensor, shares in clips.items()}
        together = Plan(fold_scales=True, score_floor=True)
        clipped = together.model_copy(update={"clip": clip})
        everything = tuple(dict.fromkeys(operation.type for operation in self.context.folded.operations))
        wide = together.model_copy(update={"wide": tuple(kind for kind in everything if kind != CONSTANT)})
        for label, plan in (
            ("w8a8 as it is", Plan()),
            ("scales folded", Plan(fold_scales=True)),
            ("score floor", Plan(score_floor=True)),
            ("scales folded, score floor", together),
            ("and ranges clipped", clipped),
            ("every operation in 16 bits", wide),
        ):
            self.attempt(label, plan)
        both = [trial for trial in (self.tuning.find(together), self.tuning.find(clipped)) if trial]
        return min(both, key=lambda trial: trial.divergence).plan if both else together

    def raise_until_it_holds(self, base: Plan, steps: Sequence[Step]) -> None:
        """Try the order at every share, then confirm the cheapest that promises to hold, until held-out examples do.

        Along the order a loss can only fall, so what a trial is expected to lose is read off the falling line that fits
        all of them best.
        """
        plans = dict.fromkeys(self._within(base, steps, share).wide for share in _SHARES)
        tried = []
        for wide in plans:
            plan = base.model_copy(update={"wide": wide})
            if trial := self.attempt(f"{len(wide)} operations in 16 bits", plan):
                tried.append(trial)
        if tried:
            smooth(tried)
            self._keep()
        for trial in self.tuning.promising():
            if self._holds(trial) or self.stopped:
                return

    def _holds(self, trial: Trial) -> bool:
        """Whether the goal holds on the search examples and on held-out ones, which are asked once."""
        if trial.held_out is None and trial.promises(self.tuning.max_drop) and not self._late():
            trial.held_out = self.context.referee.judge(trial.label, self._candidate(trial.plan), trial.plan).drop
            self._keep()
            metric, noun = self.context.metric, self.tuning.noun
            say(f"    {trial.label}, held-out {noun}: likely {metric} {-trial.held_out:+.2f} against float")
        return trial.holds(self.tuning.max_drop)

    def _late(self) -> bool:
        self.stopped = self.stopped or time.monotonic() > self.context.deadline
        return self.stopped

    def _within(self, base: Plan, steps: Sequence[Step], share: float) -> Plan:
        """The longest part of the order that raises no more than `share` percent of activations."""
        plans = (self.plan_after(base, steps, count) for count in range(len(steps), -1, -1))
        return next(plan for plan in plans if self.context.folded.wide_share(plan) <= share)

    def plan_after(self, base: Plan, steps: Sequence[Step], count: int) -> Plan:
        """The plan with the first `count` steps raised."""
        raised = {tensor for step in steps[:count] for tensor in step.raised}
        names = tuple(operation.name for operation in self.context.folded.operations if operation.tensor in raised)
        return base.model_copy(update={"wide": names})

    def wide_in_best(self) -> set[str]:
        """The tensors that the best trial computes in 16 bits."""
        plan = self.tuning.trials[self.tuning.best].plan
        return set(wide_tensors(self._candidate(plan).operations, plan))

    def attempt(self, label: str, plan: Plan) -> Trial | None:
        """Score a plan, unless that was done before or the time is over."""
        if known := self.tuning.find(plan):
            return known
        if self.tuning.trials and self._late():
            return None
        trial = self.context.judge.judge(label, self._candidate(plan), plan)
        say(
            f"  {label}: {self.context.metric} {trial.score:.2f}, likely {-trial.drop:+.2f} against float, "
            f"{trial.same:.0f} % equal, {trial.wide:.0f} % 16-bit"
        )
        self.tuning.trials.append(trial)
        self._keep()
        return trial

    def _keep(self) -> None:
        self.tuning.choose()
        save_tuning(self.tuning, self.context.file)

    def _candidate(self, plan: Plan) -> Candidate:
        return self.context.folded if plan.fold_scales else self.context.plain


def smooth(trials: Sequence[Trial]) -> None:
    """Set what each is expected to lose: the falling line that fits the drops best (isotonic regression)."""
    from scipy.optimize import isotonic_regression

    fitted = isotonic_regression([trial.drop for trial in trials], increasing=False).x
    for trial, expected in zip(trials, fitted.tolist(), strict=True):
        trial.expected = expected


def _worthwhile(sensitivity: Sensitivity) -> dict[str, Clip]:
    """Clipped ranges that gain something."""
    found = sensitivity.best_clips()
    return {
        tensor: clip
        for tensor, clip in found.items()
        if clip != FULL
        and noise_of(sensitivity.by_clip[clip], tensor, ())
        < _SMALLEST_CLIP_GAIN * noise_of(sensitivity.by_clip[FULL], tensor, ())
    }


def _computed(effects: Effects, operations: Sequence[Operation]) -> Effects:
    """Without constants: they follow their readers."""
    kept = {operation.tensor for operation in operations if operation.type != CONSTANT}
    return {tensor: readers for tensor, readers in effects.items() if tensor in kept}


def costs(sensitivity: Sensitivity, clips: Mapping[str, Clip], operations: Sequence[Operation]) -> list[Cost]:
    """What each operation costs at 8 bits, the dearest first."""
    found = []
    for operation in operations:
        if operation.tensor not in sensitivity.by_clip[FULL]:
            continue
        clip = clips.get(operation.tensor, FULL)
        noise = noise_of(sensitivity.by_clip[clip], operation.tensor, ())
        found.append(
            Cost(
                operation=operation.name,
                tensor=operation.tensor,
                noise=noise,
                clip=clip,
                why=sensitivity.why(operation.tensor),
            )
        )
    return sorted(found, key=lambda cost: -cost.noise)

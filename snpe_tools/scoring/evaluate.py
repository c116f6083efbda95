"""The same questions to several stages: F1, EM, and how far each is from float."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from snpe_tools.core.errors import SnpeToolsError
from snpe_tools.core.progress import say
from snpe_tools.core.sqnr import sqnr_db
from snpe_tools.scoring.answers_file import Given, Sheet, blank_sheet
from snpe_tools.scoring.gate import DEFAULT_MAX_DROP, Lost, Scores, StageScore
from snpe_tools.scoring.significance import interval
from snpe_tools.scoring.soc_differences import Contrast, Told, contrast
from snpe_tools.tasks.question_answering.answers import FloatArray, find_answers
from snpe_tools.tasks.question_answering.features import Windows
from snpe_tools.tasks.question_answering.inference import Logits
from snpe_tools.tasks.question_answering.likely import likely_f1
from snpe_tools.tasks.question_answering.metrics import QaScore, evaluate, has_unanswerable
from snpe_tools.tasks.question_answering.ties import tied_texts

FLOAT_STAGE = "onnx-float"


@dataclass(frozen=True)
class Stage:
    """One way to compute logits.

    Attributes:
        name: such as "onnx-float" or "dlc-w8a16@host".
        runtime: what computes, for the record.
        compute: logits of windows.
        questions: how many questions it is asked, evenly spread; 0 for all.
        group: stages of the same group run the same model on other SoCs, and are compared with each other.
        may_fail: a failure is this stage's alone, as of one device among several; the others are asked all the same.
    """

    name: str
    runtime: str
    compute: Callable[[Windows], Logits]
    questions: int = 0
    group: str = ""
    may_fail: bool = False


def compare(stages: Sequence[Stage], windows: Windows, *, max_drop: float = DEFAULT_MAX_DROP) -> Scores:
    """Ask every stage its questions.

    Args:
        stages: the float model first; the others are compared with it.
        windows: the questions' windows.
        max_drop: bound of the gate, in F1.

    Raises:
        SnpeToolsError: of the stage that failed.
    """
    reference, sheet = _Answers(stages[0].compute(windows), windows), blank_sheet(windows.questions)
    rows: list[StageScore] = []
    contrasts: list[Contrast] = []
    firsts: dict[str, Told] = {}
    lost: list[Lost] = []
    for stage in stages:
        indices = spread_sample(len(windows.questions), stage.questions or len(windows.questions))
        part = windows.of_questions(indices)
        known = reference.of_questions(windows, indices)
        try:
            answers = known if stage is stages[0] else _Answers(stage.compute(part), part)
        except SnpeToolsError as problem:
            if not stage.may_fail:
                raise
            lost.append(Lost(stage.name, stage.runtime, problem.message, problem.hint))
            say(f"  {stage.name}: failed: {problem.message}")
            continue
        rows.append(_compare(stage, answers, known, part))
        answers.enter(sheet, stage.name, indices)
        say(f"  {stage.name}: F1 {rows[-1].f1:.2f} on {len(indices)} questions")
        told = Told(stage.name, answers.logits.logits, answers.texts)
        if stage.group and firsts.setdefault(stage.group, told) is not told:
            contrasts.append(contrast(firsts[stage.group], told, part))
            say(f"  {contrasts[-1]}")
    return Scores(tuple(rows), max_drop, tuple(contrasts), sheet, tuple(sheet.pairs()), tuple(lost))


class _Answers:
    """A stage's logits and what they answer."""

    def __init__(self, logits: Logits, windows: Windows) -> None:
        self.logits, self.questions = logits, windows.questions
        may_be_empty = has_unanswerable(windows.questions)
        self.found = find_answers(*logits.logits, windows, may_be_empty=may_be_empty)
        self.likely = likely_f1(*logits.logits, windows, may_be_empty=may_be_empty)
        self.texts = [answer.text for answer in self.found]
        self.tied = tied_texts(*logits.logits, windows, self.found)
        self.score: QaScore = evaluate(windows.questions, self.texts)
        self.low, self.high = self._over_ties()

    def _over_ties(self) -> tuple[list[float], list[float]]:
        """Smallest and largest F1 of each question over the texts that tie."""
        low, high = self.score.f1_each.tolist(), self.score.f1_each.tolist()
        for index, texts in enumerate(self.tied):
            if len(texts) > 1:
                each = evaluate([self.questions[index]] * len(texts), texts, v2=self.score.v2).f1_each
                low[index], high[index] = float(each.min()), float(each.max())
        return low, high

    def enter(self, sheet: Sheet, stage: str, indices: Sequence[int]) -> None:
        """Write the answers to the questions `indices` into a sheet."""
        sheet.stages.append(stage)
        for place, index in enumerate(indices):
            answer = self.found[place]
            sheet.questions[index].answers[stage] = Given(
                text=answer.text,
                start=answer.start,
                end=answer.end,
                score=answer.score if math.isfinite(answer.score) else None,
                f1=self.score.f1_each[place],
                em=self.score.em_each[place],
                tied=list(self.tied[place][1:]),
                f1_low=self.low[place],
                f1_high=self.high[place],
            )

    def of_questions(self, windows: Windows, indices: Sequence[int]) -> _Answers:
        """The same for some of the questions."""
        if len(indices) == len(self.questions):
            return self
        rows = windows.rows_of(indices)
        seconds = self.logits.seconds * len(rows) / max(len(windows), 1)
        return _Answers(Logits(self.logits.start[rows], self.logits.end[rows], seconds), windows.of_questions(indices))


def _compare(stage: Stage, answers: _Answers, known: _Answers, windows: Windows) -> StageScore:
    change = answers.likely - known.likely
    same = np.mean([one == other for one, other in zip(answers.texts, known.texts, strict=True)])
    return StageScore(
        stage=stage.name,
        runtime=stage.runtime,
        questions=len(windows.questions),
        f1=answers.score.f1,
        em=answers.score.em,
        float_f1=known.score.f1,
        same=100 * float(same),
        sqnr_db=_logit_sqnr(known.logits.logits, answers.logits.logits, windows),
        not_finite=answers.logits.not_finite(windows),
        seconds=answers.logits.seconds / len(windows),
        f1_interval=interval(answers.score.f1_each),
        f1_ties=(float(np.mean(answers.low)), float(np.mean(answers.high))),
        likely_change=float(change.mean()),
        likely_interval=interval(change),
    )


def _logit_sqnr(wanted: Sequence[FloatArray], got: Sequence[FloatArray], windows: Windows) -> float | None:
    """Of logits at real tokens."""
    real = windows.attention_mask > 0
    return sqnr_db(np.stack(wanted)[:, real], np.stack(got)[:, real])


def spread_sample(count: int, size: int) -> list[int]:
    """`size` of `count` questions at even distances: the same ones every time."""
    if size >= count:
        return list(range(count))
    return [int(index) for index in np.linspace(0, count - 1, size)]

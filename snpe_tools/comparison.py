"""The same questions to several stages: F1, EM, and how far each is from float; and the gate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snpe_tools.answer_sheet import Given, Sheet, blank_sheet
from snpe_tools.contrast import Contrast, Told, contrast
from snpe_tools.errors import AccuracyError, ExecutionError, SnpeToolsError
from snpe_tools.noise import sqnr_db
from snpe_tools.progress import progress, say
from snpe_tools.qa.answers import FloatArray, find_answers
from snpe_tools.qa.features import Windows
from snpe_tools.qa.inference import LOGITS, Logits, run_onnx
from snpe_tools.qa.metrics import QaScore, evaluate, has_unanswerable
from snpe_tools.qa.ties import tied_texts
from snpe_tools.significance import Pair, interval
from snpe_tools.socs import DEFAULT, Soc

FLOAT_STAGE = "onnx-float"
DEFAULT_MAX_DROP = 1.0


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


@dataclass(frozen=True)
class Lost:
    """A stage that failed, and why."""

    stage: str
    runtime: str
    error: str
    hint: str


@dataclass(frozen=True)
class StageScore:
    """What a stage scored.

    Attributes:
        f1, em: percent, over `questions` questions.
        f1_interval: where F1 would lie with other questions of the kind: 95 %, bootstrap over questions.
        f1_ties: the smallest and largest F1 over all rules for equal scores of two spans.
        float_f1: F1 of the float model on the same questions.
        same: share of answers equal to the float model's, percent.
        sqnr_db: 10 log10 of float logits' energy over the difference's, real tokens only; None where nothing differs.
        not_finite: NaN and infinite logits of real tokens.
        seconds: of one inference. An emulator's seconds say nothing about a device.
    """

    stage: str
    runtime: str
    questions: int
    f1: float
    em: float
    float_f1: float
    same: float
    sqnr_db: float | None
    not_finite: int
    seconds: float
    f1_interval: tuple[float, float] = (math.nan, math.nan)
    f1_ties: tuple[float, float] = (math.nan, math.nan)

    @property
    def drop(self) -> float:
        """F1 lost against float on the same questions."""
        return self.float_f1 - self.f1


@dataclass(frozen=True)
class Scores:
    """The scores of all stages, and the gate's bound.

    Attributes:
        contrasts: how far the same model's stages on several SoCs are apart.
        sheet: every answer.
        pairs: every two stages, and whether their difference is more than luck.
        lost: stages that failed.
    """

    stages: tuple[StageScore, ...]
    max_drop: float
    contrasts: tuple[Contrast, ...] = ()
    sheet: Sheet | None = None
    pairs: tuple[Pair, ...] = ()
    lost: tuple[Lost, ...] = ()

    @property
    def failed(self) -> list[StageScore]:
        """Stages that the gate refuses: they lost more than `max_drop`, or computed NaN or infinite logits.

        A stage that was asked a sample only is not refused for a loss that may be luck: one question of 32 is 3 F1.
        """
        lost = [stage for stage in self.stages if stage.drop > self.max_drop]
        return [stage for stage in self.stages if stage.not_finite or (stage in lost and stage not in self.undecided)]

    @property
    def undecided(self) -> list[StageScore]:
        """Stages whose sample lost more than `max_drop`, though no more than chance would take."""
        reference = self.stages[0]
        lucky = {pair.second for pair in self.pairs if pair.first == reference.stage and not pair.is_news}
        return [
            stage
            for stage in self.stages
            if stage.drop > self.max_drop and stage.questions < reference.questions and stage.stage in lucky
        ]

    def check(self) -> None:
        """The gate.

        Raises:
            AccuracyError: a stage lost too much; each is named with its figures.
            ExecutionError: no stage did, but one could not be asked.
        """
        if self.failed:
            lines = "".join(f"\n    {_failure(stage)}" for stage in self.failed)
            raise AccuracyError(
                f"The gate allows {self.max_drop:g} F1 below float; "
                f"{len(self.failed)} of {len(self.stages)} stages fail.{lines}",
                "Try PRECISION=w8a16, METHOD=mse or more calibration; "
                "QUESTIONS=100 tells a bad model from a hard sample.",
            )
        if self.lost:
            lines = "".join(f"\n    {lost.error}" for lost in self.lost)
            raise ExecutionError(f"{len(self.lost)} stages have no score.{lines}", self.lost[0].hint)

    def as_dicts(self) -> list[dict[str, Any]]:
        """Rows for accuracy.json, rounded to what they mean."""
        return [{key: _rounded(value) for key, value in asdict(stage).items()} for stage in self.stages]


def _rounded(value: Any) -> Any:  # noqa: ANN401 - any value of a row
    if isinstance(value, tuple):
        return [_rounded(part) for part in value]
    return round(value, 4) if isinstance(value, float) else value


def _failure(stage: StageScore) -> str:
    if stage.not_finite:
        return f"{stage.stage}: {stage.not_finite} logits are NaN or infinite"
    return (
        f"{stage.stage}: F1 {stage.f1:.2f}, {stage.drop:.2f} below float ({stage.float_f1:.2f}) "
        f"on the same {stage.questions} questions"
    )


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
        self.found = find_answers(*logits.logits, windows, may_be_empty=has_unanswerable(windows.questions))
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
        rows = windows.rows_of(indices)
        seconds = self.logits.seconds * len(rows) / max(len(windows), 1)
        return _Answers(Logits(self.logits.start[rows], self.logits.end[rows], seconds), windows.of_questions(indices))


def _compare(stage: Stage, answers: _Answers, known: _Answers, windows: Windows) -> StageScore:
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


def onnx_stage(name: str, model: Path, *, optimize: bool = True) -> Stage:
    """ONNX Runtime on the CPU."""

    def compute(windows: Windows) -> Logits:
        with progress(name, len(windows)) as advance:
            return run_onnx(model, windows, optimize=optimize, advance=advance)

    return Stage(name, "ONNX Runtime CPU" if optimize else "ONNX Runtime CPU, graph optimizations off", compute)


def emulator_stage(
    name: str,
    dlc: Path,
    model: Path,
    folder: Path,
    *,
    soc: Soc = DEFAULT,
    workers: int = 0,
    executor: Executor | None = None,
) -> Stage:
    """A DLC on the Hexagon emulator, through raw files and result folders as on a device.

    Args:
        model: the fixed-shape ONNX model it was made from, which says what its inputs are.
        folder: where raw inputs and results go.
        executor: runs the inferences instead of `workers` child processes.
    """

    def compute(windows: Windows) -> Logits:
        from snpe_tools.stages.inputs import write_windows
        from snpe_tools.stages.run import output_shape, read_results, run

        written = write_windows(model, windows, folder / "inputs")
        result = run(dlc, written.list_file, folder / "results", soc=soc, workers=workers, executor=executor)
        start, end = (
            read_results(result.folder, output, output_shape(dlc, output), len(windows)).reshape(len(windows), -1)
            for output in LOGITS
        )
        return Logits(start, end, result.seconds * len(windows))

    return Stage(name, f"Hexagon emulator, {soc}", compute)

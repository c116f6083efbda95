"""Float scoring: ours against the transformers question-answering pipeline, same ONNX model and questions.

    make dlc
    .venv/bin/python bench/scoring.py --questions 200 [--data xquad-en.json]

All run ONNX Runtime on the CPU, windows of up to 384 tokens, stride 128, answers of up to 30 tokens. The pipeline
is timed on the exported model with dynamic shapes, which it does not pad either, and on the fixed-shape (1, 384) model
that is quantized and converted. Its answers differ where a passage has several windows: it compares probabilities that
are normalized within each window, where the published recipe compares logits.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snpe_tools.execution.onnx_cpu import run_onnx
from snpe_tools.tasks.question_answering.answers import find_answers
from snpe_tools.tasks.question_answering.features import load_tokenizer, make_windows
from snpe_tools.tasks.question_answering.logits import LOGITS, both_logits
from snpe_tools.tasks.question_answering.metrics import evaluate
from snpe_tools.tasks.question_answering.squad import SHIPPED_QUESTIONS, Question, load_questions

MODEL = Path(__file__).parents[1] / "Models" / "minilm-qa"


def ours(questions: Sequence[Question]) -> list[str]:
    windows = make_windows(questions, load_tokenizer(MODEL / "minilm-qa.tokenizer.json"))
    logits = both_logits(run_onnx(MODEL / "minilm-qa.dynamic.onnx", windows, LOGITS))
    return [answer.text for answer in find_answers(*logits, windows)]


def make_pipeline(name: str, folder: Path) -> Any:  # noqa: ANN401
    from optimum.onnxruntime import ORTModelForQuestionAnswering
    from transformers import AutoTokenizer, pipeline

    shutil.copytree(MODEL / "checkpoint", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors"))
    shutil.copy(MODEL / name, folder / "model.onnx")
    model = ORTModelForQuestionAnswering.from_pretrained(folder, provider="CPUExecutionProvider")
    return pipeline("question-answering", model=model, tokenizer=AutoTokenizer.from_pretrained(folder))


def theirs(ask: Any, questions: Sequence[Question], padding: str) -> list[str]:  # noqa: ANN401
    given = [{"question": question.text, "context": question.context} for question in questions]
    options = {"max_seq_len": 384, "doc_stride": 128, "max_question_len": 64, "max_answer_len": 30}
    return [answer["answer"] for answer in ask(given, padding=padding, **options)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHIPPED_QUESTIONS)
    parser.add_argument("--questions", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    questions = load_questions(arguments.data)[: arguments.questions]
    with tempfile.TemporaryDirectory() as dynamic, tempfile.TemporaryDirectory() as fixed:
        ask_dynamic = make_pipeline("minilm-qa.dynamic.onnx", Path(dynamic))
        ask_fixed = make_pipeline("minilm-qa.onnx", Path(fixed))
        for turn in range(arguments.rounds):
            runs = {
                "ours": lambda: ours(questions),
                "pipeline, dynamic": lambda: theirs(ask_dynamic, questions, "do_not_pad"),
                "pipeline, fixed": lambda: theirs(ask_fixed, questions, "max_length"),
            }
            for name, run in runs.items():
                started = time.perf_counter()
                answers = run()
                took = time.perf_counter() - started
                score = evaluate(questions, answers)
                print(
                    f"round {turn + 1}: {name:18} {len(questions) / took:6.1f} questions/s"
                    f"   F1 {score.f1:.2f} EM {score.em:.2f}"
                )


if __name__ == "__main__":
    main()

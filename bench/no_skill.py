"""F1 without any skill: the same words of every passage, whatever is asked. A trained model must be far above it.

    .venv/bin/python bench/no_skill.py train.jsonl.xz dev-v1.1.json

The words are those that score best on a sample of the training questions; the passage's first sentence and the whole
passage stand beside them.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from snpe_tools.tasks.question_answering.metrics import evaluate
from snpe_tools.tasks.question_answering.squad import Question, load_questions
from snpe_tools.tasks.question_answering.training.corpus import load_corpus

SAMPLE, FIRST, LONGEST = 500, range(0, 60, 2), (1, 2, 3, 5, 8, 12, 20, 40)
Guess = Callable[[str], str]


def words(first: int, count: int) -> Guess:
    return lambda passage: " ".join(passage.split()[first : first + count])


def first_sentence(passage: str) -> str:
    return re.split(r"(?<=[.!?])\s", passage, maxsplit=1)[0]


def f1(questions: Sequence[Question], guess: Guess) -> float:
    return evaluate(questions, [guess(question.context) for question in questions]).f1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("training", type=Path)
    parser.add_argument("evaluation", type=Path)
    arguments = parser.parse_args()
    known, asked = load_corpus(arguments.training).questions, load_questions(arguments.evaluation)
    sample = [known[index] for index in np.linspace(0, len(known) - 1, SAMPLE).astype(int)]
    first, count = max(product(FIRST, LONGEST), key=lambda place: f1(sample, words(*place)))
    guesses = {
        f"words {first + 1} to {first + count}": words(first, count),
        "the first sentence": first_sentence,
        "the whole passage": str,
    }
    for name, guess in guesses.items():
        print(f"{name:20} F1 {f1(asked, guess):6.2f} on {len(asked)} questions")


if __name__ == "__main__":
    main()

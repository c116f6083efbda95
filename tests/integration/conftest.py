"""Small checkpoints of every family, their DLC files, and the emulator they run on."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snpe_tools.qnn.library import library_folder

SEQUENCE = 48
VOCABULARY = 2000
_COMMON: dict[str, Any] = {
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": SEQUENCE,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": _COMMON,
    "electra": {**_COMMON, "embedding_size": 32},
    "albert": {**_COMMON, "embedding_size": 32},
    "mobilebert": {**_COMMON, "embedding_size": 32, "intra_bottleneck_size": 32, "intermediate_size": 64},
    "distilbert": {
        "n_layers": 2, "dim": 64, "n_heads": 4, "hidden_dim": 128, "vocab_size": VOCABULARY,
        "max_position_embeddings": SEQUENCE,
    },
}  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _emulator() -> None:
    """Without the runtime these tests cannot say anything: fail, do not skip."""
    assert library_folder().is_dir()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of a size such as "400k"."""
    with ExitStack() as stack:

        def mount(size: str) -> Path:
            folder = tmp_path / "small"
            folder.mkdir()
            command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
            if subprocess.run(command, capture_output=True, check=False).returncode:
                pytest.skip("mounting a small file system needs root")
            stack.callback(lambda: subprocess.run(["umount", folder], check=True))
            return folder

        yield mount


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, tokenizer_file: Path) -> Callable[[str], Path]:
    """Makes a checkpoint folder of a family, with random weights that are large enough to tell answers apart."""
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            made[family] = _save(family, tmp_path_factory.mktemp(family) / "checkpoint", tokenizer_file)
        return made[family]

    return make


def _save(family: str, folder: Path, tokenizer_file: Path) -> Path:
    import torch
    from transformers import AutoConfig, AutoModelForQuestionAnswering, PreTrainedTokenizerFast

    torch.manual_seed(1)
    model = AutoModelForQuestionAnswering.from_config(AutoConfig.for_model(family, **FAMILIES[family]))
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.ndim > 1:
                weights.normal_(0, 0.15)
            elif name.endswith("bias"):
                weights.normal_(0, 0.05)
    model.save_pretrained(folder)
    special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_file), **special).save_pretrained(folder)
    shutil.copy(tokenizer_file, folder / "tokenizer.json")
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, checkpoint: Callable[[str], Path]) -> Callable[[str], Path]:
    """The fixed-shape ONNX model of a family."""
    from snpe_tools import export

    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            target = tmp_path_factory.mktemp(f"{family}-onnx") / f"{family}.onnx"
            made[family] = export(str(checkpoint(family)), target, sequence_length=SEQUENCE).onnx
        return made[family]

    return make


@pytest.fixture(scope="session")
def new_root(tmp_path_factory: pytest.TempPathFactory, checkpoint: Callable[[str], Path]) -> Callable[[str], Path]:
    """Makes a root folder with the recipe of one model, `tiny`, in which nothing was built yet."""

    def make(name: str) -> Path:
        root = tmp_path_factory.mktemp(name)
        (root / "Models" / "tiny").mkdir(parents=True)
        recipe = f'checkpoint = "{checkpoint("bert")}"\nsequence_length = {SEQUENCE}\ncalibration_windows = 8\n'
        (root / "Models" / "tiny" / "recipe.toml").write_text(recipe)
        return root

    return make


@dataclass(frozen=True)
class Tiny:
    """A tiny model of a family at a precision: what was converted, its DLC, and 16 windows of raw inputs."""

    source: Path
    dlc: Path
    listed: Path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, exported: Callable[[str], Path]) -> Callable[[str, str], Tiny]:
    """The DLC of a family at a precision."""
    made: dict[tuple[str, str], Tiny] = {}

    def make(family: str, precision: str) -> Tiny:
        if (family, precision) not in made:
            folder = tmp_path_factory.mktemp(f"{family}-{precision}")
            made[family, precision] = _convert(exported(family), folder, precision)
        return made[family, precision]

    return make


def _convert(model: Path, folder: Path, precision: str) -> Tiny:
    from snpe_tools import convert, inputs, quantize
    from snpe_tools.core.precision import Precision
    from snpe_tools.quantization.simulator import QuantizationOptions
    from snpe_tools.tasks.question_answering.squad import SHIPPED_CALIBRATION, load_questions

    questions, tokenizer = load_questions(SHIPPED_CALIBRATION)[:16], model.with_suffix(".tokenizer.json")
    listed = inputs(model, questions, tokenizer, folder / "raws", limit=16, for_calibration=True).list_file
    bits, source = Precision.parse(precision), model
    if not bits.is_float:
        source = quantize(model, listed, folder / "m.qdq.onnx", QuantizationOptions(bits)).qdq
    return Tiny(source, convert(source, folder / "m.dlc").dlc, listed)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory, checkpoint: Callable[[str], Path]) -> Callable[[str], Path]:
    """An encoder without a question-answering head, as pre-training leaves it."""

    def make(family: str) -> Path:
        import torch
        from transformers import AutoConfig, AutoModel

        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp("base") / family
        shutil.copytree(checkpoint(family), folder)
        AutoModel.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
        return folder

    return make


ANSWERS = ("music", "water", "stone", "paper")
OTHERS = ("river", "bridge", "school", "winter", "market", "garden", "old", "new", "long", "small")


def easy_question(number: int, generator: np.random.Generator) -> dict[str, Any]:
    """A task that a tiny model learns in seconds: one word of the passage is of the kind that is asked for."""
    words = [str(word) for word in generator.choice(OTHERS, 9)]
    words[generator.integers(9)] = answer = str(generator.choice(ANSWERS))
    context = " ".join(words)
    row = {"id": str(number), "context": context, "question": "what was it", "answer": answer}
    return {**row, "answer_start": context.index(answer)}


@pytest.fixture(scope="session")
def easy_questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 of them, as rows."""
    generator = np.random.default_rng(0)
    file = tmp_path_factory.mktemp("questions") / "easy.jsonl"
    file.write_text("".join(json.dumps(easy_question(number, generator)) + "\n" for number in range(400)))
    return file


@pytest.fixture(scope="session")
def held_out(easy_questions: Path) -> Path:
    """40 others, as SQuAD JSON."""
    generator = np.random.default_rng(1)
    paragraphs = []
    for row in (easy_question(number, generator) for number in range(40)):
        answers = [{"text": row["answer"], "answer_start": row["answer_start"]}]
        question = {"id": row["id"], "question": row["question"], "answers": answers}
        paragraphs.append({"context": row["context"], "qas": [question]})
    file = easy_questions.with_name("held-out.json")
    file.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    return file

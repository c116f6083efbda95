"""Fixtures of all tests: small ONNX models and a small tokenizer, made on the spot."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import settings
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from snpe_tools.cli.terminal import attach
from snpe_tools.tasks.question_answering.squad import SHIPPED_CALIBRATION, SHIPPED_QUESTIONS, load_questions

REAL_SDK = {
    name: os.environ.pop(name) for name in ("SNPE_ROOT", "QNN_SDK_ROOT", "QAIRT_SDK_ROOT") if name in os.environ
}
"""Taken out of the environment, where a build would pick the SDK by itself; the tests of the SDK run it as well."""

os.environ["SNPE_SDK_HOME"] = os.devnull
"""No test finds an SDK that the user fetched."""

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Read when PyTorch is imported. On tiny models its threads wait for each other: 9 times slower on two busy cores."""


attach()
"""Tests read on stderr what a command would print."""

settings.register_profile("busy", deadline=None)
settings.load_profile("busy")


def make_model(
    nodes: list[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, Sequence[int | str]]],
    outputs: Mapping[str, Sequence[int | str]],
    constants: dict[str, np.ndarray] | None = None,
) -> onnx.ModelProto:
    """An ONNX model of opset 20; inputs are (type, shape), outputs float."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def two_layers() -> onnx.ModelProto:
    """Two products with a ReLU between; the first has small weights after it."""
    generator = np.random.default_rng(0)
    constants: dict[str, np.ndarray] = {
        "w": generator.normal(size=(8, 8)).astype(np.float32),
        "v": (0.05 * generator.normal(size=(8, 8))).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="h"),
        helper.make_node("Relu", ["h"], ["r"], name="r"),
        helper.make_node("MatMul", ["r", "v"], ["y"], name="y"),
    ]
    inputs = {"x": (TensorProto.FLOAT, (4, 8)), "attention_mask": (TensorProto.FLOAT, (4, 8))}
    return make_model(nodes, inputs, {"y": (4, 8)}, constants)


@pytest.fixture(autouse=True)
def _signals_work() -> None:
    """Processes that a test interrupts would inherit ignored signals: of a background job's shell, and of a command
    that was interrupted in this process.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's cache folder is another one for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WordPiece tokenizer of 2,000 tokens: the characters and the most frequent words of the shipped questions."""
    tokenizer = Tokenizer(
        models.WordPiece({token: index for index, token in enumerate(_vocabulary())}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(file))
    return file


def _vocabulary() -> list[str]:
    text = " ".join(text for file in (SHIPPED_QUESTIONS, SHIPPED_CALIBRATION) for text in _texts(file)).lower()
    characters = sorted(set(text) - {" "})
    words = sorted(Counter(re.findall(r"[a-z]{2,}", text)).items(), key=lambda pair: (-pair[1], pair[0]))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = special + characters + [f"##{character}" for character in characters]
    return (pieces + [word for word, _ in words])[:2000]


def _texts(file: Path) -> list[str]:
    return [part for question in load_questions(file) for part in (question.text, question.context)]

"""Quantization-aware training on a tiny model, from a checkpoint to answers of its DLC on the emulator."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from snpe_tools import convert, export, inputs, run
from snpe_tools.cli.main import app
from snpe_tools.core.precision import Precision
from snpe_tools.execution.emulator import read_results
from snpe_tools.graph.loading import load
from snpe_tools.graph.onnx_module import GraphFunction
from snpe_tools.graph.session import open_session
from snpe_tools.quantization.plan import Plan, save_plan
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.steps.qat import _Graphs, _pair, _write, qat
from snpe_tools.steps.train import train
from snpe_tools.tasks.question_answering.answers import find_answers
from snpe_tools.tasks.question_answering.features import load_tokenizer, make_windows
from snpe_tools.tasks.question_answering.logits import LOGITS
from snpe_tools.tasks.question_answering.metrics import evaluate
from snpe_tools.tasks.question_answering.squad import load_questions
from snpe_tools.tasks.question_answering.training.answer_settings import TrainingSettings
from snpe_tools.training.fake_quantization import quantize_activation
from tests.integration.conftest import FAMILIES, SEQUENCE
from tests.integration.killing import killed_at_step

W8A8 = QuantizationOptions(Precision.parse("w8a8"))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_graph_computes_in_pytorch_what_onnx_runtime_does(family: str, exported: Callable[[str], Path]) -> None:
    model = exported(family)
    graph, numbers = GraphFunction(load(model)), np.random.default_rng(0)
    inputs = {name: np.ones((3, SEQUENCE), np.int32) for name in graph.inputs}
    inputs["input_ids"] = numbers.integers(5, 2000, (3, SEQUENCE), np.int32)
    inputs["attention_mask"][:, SEQUENCE // 2 :] = 0
    if "token_type_ids" in inputs:
        inputs["token_type_ids"][:, :10] = 0
    with torch.no_grad():
        ours = graph({name: torch.from_numpy(array) for name, array in inputs.items()}, graph.weights)
    session = open_session(model)
    for row in range(3):
        theirs = session.run(graph.outputs, {name: array[row : row + 1] for name, array in inputs.items()})
        for name, wanted in zip(graph.outputs, theirs, strict=True):
            np.testing.assert_allclose(ours[name][row : row + 1].numpy(), wanted, atol=2e-4)


@pytest.fixture(scope="module")
def float_model(
    base: Callable[[str], Path], easy_questions: Path, held_out: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A tiny model that answers, as ONNX."""
    folder = tmp_path_factory.mktemp("float")
    settings = TrainingSettings(base=str(base("bert")), max_seq_length=SEQUENCE, learning_rate=2e-3, epochs=4)
    made = train(settings, easy_questions, folder / "checkpoint", evaluation=held_out)
    assert made.f1 > 80
    return export(str(made.checkpoint), folder / "m.onnx", sequence_length=SEQUENCE).onnx


def settings(**changes: Any) -> TrainingSettings:
    usual = {"base": "the model", "learning_rate": 1e-4, "epochs": 1, "batch_size": 16, "precision": "float32"}
    return TrainingSettings(**{**usual, **changes})


def test_a_trained_w8a8_model_answers_on_the_emulator(
    float_model: Path, easy_questions: Path, held_out: Path, tmp_path: Path
) -> None:
    tokenizer, target = float_model.with_suffix(".tokenizer.json"), tmp_path / "m.w8a8.qdq.onnx"
    made = qat(float_model, tokenizer, easy_questions, target, settings(), W8A8, evaluation=held_out)
    assert made.score >= max(made.before_score, made.float_score - 1)
    written = json.loads(target.with_name(f"{target.name}.provenance.json").read_text())
    assert len(written["notes"]["loss"]) == made.steps == 25
    questions = load_questions(held_out)
    listed = inputs(float_model, questions, tokenizer, tmp_path / "raws").list_file
    dlc = convert(made.qdq, tmp_path / "m.dlc").dlc
    windows = make_windows(questions, load_tokenizer(tokenizer), SEQUENCE)
    run(dlc, listed, tmp_path / "out")
    start, end = (read_results(tmp_path / "out", name, (1, SEQUENCE), len(windows)) for name in LOGITS)
    shape = (len(windows), SEQUENCE)
    answers = find_answers(start.reshape(shape), end.reshape(shape), windows)
    emulated = evaluate(questions, [answer.text for answer in answers]).f1
    assert emulated >= made.float_score - 1


PLAN = Plan(
    fold_scales=True, score_floor=True, wide=("Add>LayerNormalization", "Softmax#0"), clip={"Gemm>Gelu": (1, 0.7)}
)


@pytest.mark.parametrize(
    "options", [W8A8, QuantizationOptions(Precision.parse("w8a8-mixed"), plan=PLAN)], ids=["w8a8", "mixed"]
)
@pytest.mark.parametrize("length", [SEQUENCE, 32])
def test_the_qdq_model_computes_what_was_trained(
    float_model: Path, held_out: Path, tmp_path: Path, options: QuantizationOptions, length: int
) -> None:
    """The fake quantizers in PyTorch are those that AIMET writes: the logits agree to a step or two of 8 bits.

    So they do where the model was trained on windows of another length.
    """
    tokenizer, target = float_model.with_suffix(".tokenizer.json"), tmp_path / "m.qdq.onnx"
    dynamic = float_model.with_suffix(".dynamic.onnx")
    graphs = _Graphs.read(float_model, dynamic, length, options.plan or Plan())
    windows = make_windows(load_questions(held_out), load_tokenizer(tokenizer), length)
    pair = _pair(graphs, options, windows, settings())
    assert pair.student.length == length
    _write(pair, graphs, options, target)
    session = open_session(target, optimize=False)
    arrays = windows.inputs(slice(0, 4), pair.student.input_names)
    with torch.no_grad():
        ours = pair.student(**{name: torch.from_numpy(array) for name, array in arrays.items()})
    padded = {name: np.pad(array, ((0, 0), (0, SEQUENCE - length))) for name, array in arrays.items()}
    real = windows.real[:4]
    for name in LOGITS:
        rows = [
            session.run([name], {key: array[row : row + 1] for key, array in padded.items()})[0] for row in range(4)
        ]
        wanted, got = np.concatenate(rows)[:, :length][real], ours[name].numpy()[real]
        assert np.abs(got - wanted).max() < 4 * np.ptp(wanted) / 255
        assert np.abs(got - wanted).mean() < 0.5 * np.ptp(wanted) / 255


def test_the_command_trains(float_model: Path, easy_questions: Path, held_out: Path, tmp_path: Path) -> None:
    given = ["qat", str(float_model), "--tokenizer", str(float_model.with_suffix(".tokenizer.json"))]
    given += ["--data", str(easy_questions), "--eval", str(held_out), "-o", str(tmp_path / "m.w8a8.qdq.onnx")]
    result = CliRunner().invoke(app, [*given, "--questions", "80", "--json"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["steps"] == 10
    assert "Next: snpe-tools convert" in result.stderr
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == [
        "m.w8a8.encodings",
        "m.w8a8.float.onnx",
        "m.w8a8.legacy.encodings",
        "m.w8a8.qdq.onnx",
        "m.w8a8.qdq.onnx.provenance.json",
        "m.w8a8.qdq.svg",
    ]


def test_the_command_trains_a_mixed_precision_on_short_windows(
    float_model: Path, easy_questions: Path, held_out: Path, tmp_path: Path
) -> None:
    plan, target = tmp_path / "plan.toml", tmp_path / "m.w8a8-mixed.qdq.onnx"
    save_plan(PLAN, plan)
    given = ["qat", str(float_model), "--tokenizer", str(float_model.with_suffix(".tokenizer.json"))]
    given += ["--data", str(easy_questions), "--eval", str(held_out), "-o", str(target), "--precision", "w8a8-mixed"]
    refused = CliRunner().invoke(app, given)
    assert "needs a plan" in str(refused.exception)
    dynamic = float_model.with_suffix(".dynamic.onnx")
    given += ["--plan", str(plan), "--dynamic", str(dynamic), "--max-seq-length", "32", "--questions", "80", "--json"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.stderr
    assert "in windows of 32 tokens" in result.stderr
    made = json.loads(result.stdout)
    assert made["steps"] == 10
    assert made["f1"] > 80
    known = json.loads(target.with_name(f"{target.name}.provenance.json").read_text())
    assert known["inputs"]["dynamic"]["path"] == str(dynamic)
    assert {node.op_type for node in load(target).graph.node} >= {"QuantizeLinear", "DequantizeLinear"}


def test_a_killed_run_goes_on(float_model: Path, easy_questions: Path, held_out: Path, tmp_path: Path) -> None:
    tokenizer, chosen = float_model.with_suffix(".tokenizer.json"), settings(save_minutes=1e-9)
    whole = qat(float_model, tokenizer, easy_questions, tmp_path / "a.qdq.onnx", chosen, W8A8, evaluation=held_out)
    with killed_at_step(4):
        qat(float_model, tokenizer, easy_questions, tmp_path / "b.qdq.onnx", chosen, W8A8, evaluation=held_out)
    assert not (tmp_path / "b.qdq.onnx").exists()
    again = qat(float_model, tokenizer, easy_questions, tmp_path / "b.qdq.onnx", chosen, W8A8, evaluation=held_out)
    assert whole.qdq.read_bytes() == again.qdq.read_bytes()


def test_ranges_learn_to_clip_an_outlier() -> None:
    """A range that one outlier stretches shrinks, and the error of all other values with it."""
    values = torch.cat([torch.randn(2000), torch.tensor([400.0])])
    ends = torch.nn.Parameter(torch.tensor([-4.0, 400.0]))
    optimizer = torch.optim.Adam([ends], lr=1.0)
    errors = []
    for _ in range(380):
        rounded = quantize_activation(values, ends[0], ends[1], 8)
        loss = (rounded - values)[:-1].square().mean()
        errors.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert errors[-1] < 0.1 * errors[0]
    assert float(ends[1].detach()) < 200


@given(st.floats(-5, 0), st.floats(0.01, 5), st.integers(2, 16))
def test_zero_is_exact_and_steps_are_counted(low: float, high: float, bits: int) -> None:
    values = torch.linspace(-6, 6, 997)
    rounded = quantize_activation(values, torch.tensor(low), torch.tensor(high), bits)
    assert float(quantize_activation(torch.zeros(1), torch.tensor(low), torch.tensor(high), bits)) == 0
    assert len(rounded.unique()) <= 2**bits
    inside = (values > low) & (values < high)
    if inside.any():
        assert float((rounded - values)[inside].abs().max()) <= 1.01 * (high - low) / (2**bits - 1) + 1e-5

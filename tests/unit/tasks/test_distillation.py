"""What distillation minimizes, against plain formulas; the student's start; the settings."""

from __future__ import annotations

import weakref
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch._dynamo.utils import counters
from transformers import BertConfig, BertForQuestionAnswering

from snpe_tools.core.errors import CheckpointError, RecipeError
from snpe_tools.tasks.question_answering.features import Windows, load_tokenizer, make_windows
from snpe_tools.tasks.question_answering.squad import SHIPPED_CALIBRATION, load_questions
from snpe_tools.tasks.question_answering.training.distill_settings import (
    StudentShape,
    TransferSettings,
    load_distill_settings,
)
from snpe_tools.tasks.question_answering.training.distillation import distillation_loss, remembered
from snpe_tools.tasks.question_answering.training.labels import label
from snpe_tools.tasks.question_answering.training.observation import Observer
from snpe_tools.tasks.question_answering.training.student import new_student, teacher_basis
from snpe_tools.tasks.question_answering.training.transfer import (
    Transfer,
    layer_pairs,
    relation_divergence,
    unexplained,
)

RECIPES = Path(__file__).parents[3] / "generating_model"
SMALL = StudentShape(
    layers=2, hidden_size=48, embedding_size=16, bottleneck_size=16, heads=4, feedforward_size=32, positions=64
)
Array = NDArray[np.float64]


def teacher(**changes: Any) -> Any:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(**{**shape, "vocab_size": 200, "max_position_embeddings": 64, **changes})
    model = BertForQuestionAnswering(config).eval()
    with torch.no_grad():
        for name, weights in model.bert.embeddings.named_parameters():
            weights.copy_(torch.randn_like(weights) * 0.3 + ("norm.weight" in name.lower()))
    return model


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(array).float()


REAL = np.array([[True] * 5, [True, True, True, False, False]])


def relations(features: Array, tokens: int, heads: int) -> Array:
    """Of one window, by the formula of MiniLMv2: (heads, tokens, tokens)."""
    parts = np.split(features[:tokens], heads, axis=1)
    return np.stack([softmax(part @ part.T / np.sqrt(part.shape[1])) for part in parts])


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_relations_diverge_as_the_formula_says(heads: int) -> None:
    mine, theirs = random(2, 5, 8), random(2, 5, 12, seed=1)
    expected = []
    for window, tokens in enumerate(REAL.sum(axis=1)):
        own, wanted = relations(mine[window], tokens, heads), relations(theirs[window], tokens, heads)
        expected += (wanted * np.log(wanted / own)).sum(axis=-1).mean(axis=0).tolist()
    found = relation_divergence(tensor(mine), tensor(theirs), torch.from_numpy(REAL), heads)
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-5)
    assert float(relation_divergence(tensor(mine), tensor(mine), torch.from_numpy(REAL), heads)) == pytest.approx(0)


def test_what_is_unexplained_is_a_share_of_the_variance() -> None:
    mine, theirs = random(2, 5, 3), random(2, 5, 3, seed=1)
    wanted = theirs[REAL]
    spread = ((wanted - wanted.mean(axis=0)) ** 2).sum()
    real = torch.from_numpy(REAL)
    assert float(unexplained(tensor(mine), tensor(theirs), real)) == pytest.approx(
        ((mine[REAL] - wanted) ** 2).sum() / spread, rel=1e-5
    )
    mean = np.broadcast_to(wanted.mean(axis=0), theirs.shape).copy()
    assert float(unexplained(tensor(mean), tensor(theirs), real)) == pytest.approx(1)
    assert float(unexplained(tensor(theirs), tensor(theirs), real)) == 0


@pytest.mark.parametrize("weight", [0.0, 0.6, 1.0])
def test_the_answer_loss_is_the_formula(tokenizer_file: Path, weight: float) -> None:
    labelled = label(make_windows(load_questions(SHIPPED_CALIBRATION)[:3], load_tokenizer(tokenizer_file), 64, 16))
    rows = np.arange(len(labelled.windows))
    model = teacher(vocab_size=2000)
    wanted = random(2, len(rows), 64)
    loss, tokens = distillation_loss(model, remembered(wanted.astype(np.float32)), labelled, rows, weight)
    given = {name: torch.from_numpy(array).long() for name, array in labelled.windows.inputs(rows, INPUTS).items()}
    output = model(**given)
    parts = []
    for logits, theirs, answers in (
        (output.start_logits, wanted[0], labelled.start),
        (output.end_logits, wanted[1], labelled.end),
    ):
        for row in rows:
            length = labelled.lengths[row]
            log = np.log(softmax(logits[row, :length].detach().double().numpy()))
            parts.append(-(1 - weight) * log[answers[row]] - weight * (softmax(theirs[row, :length]) * log).sum())
    assert float(loss.detach()) == pytest.approx(np.mean(parts), rel=1e-4)
    assert tokens == len(rows) * 64


INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@pytest.mark.parametrize(
    ("student", "taught", "pairs"),
    [
        (4, 6, [(0, 1), (1, 2), (2, 4), (3, 5)]),
        (24, 6, [(3, 0), (7, 1), (11, 2), (15, 3), (19, 4), (23, 5)]),
        (2, 2, [(0, 0), (1, 1)]),
    ],
)
def test_layers_are_paired_evenly(student: int, taught: int, pairs: list[tuple[int, int]]) -> None:
    assert layer_pairs(student, taught) == pairs


@given(st.integers(1, 48), st.integers(1, 48))
def test_the_last_layer_learns_from_the_last_and_the_order_is_kept(student: int, taught: int) -> None:
    pairs = layer_pairs(student, taught)
    assert len(pairs) == min(student, taught)
    assert pairs[-1] == (student - 1, taught - 1)
    assert all(one[0] < two[0] and one[1] < two[1] for one, two in pairwise(pairs))
    assert pairs[0] >= (0, 0)


def text() -> Windows:
    ids = np.random.default_rng(0).integers(5, 199, (4, 32)).astype(np.int32)
    nothing = np.full((*ids.shape, 2), -1, np.int32)
    return Windows(ids, np.ones_like(ids), np.zeros_like(ids), nothing, np.zeros(4, np.int32), ())


def test_each_layer_learns_in_its_turn() -> None:
    model = teacher()
    transfer = Transfer(new_student(model, SMALL, 0), model, TransferSettings(layerwise=0.5, relation_heads=2))
    assert [transfer.depth_at(step, 8) for step in range(8)] == [1, 1, 2, 2, 2, 2, 2, 2]
    layers = transfer.student.mobilebert.encoder.layer
    for depth in (1, 2):
        transfer.zero_grad()
        transfer.loss(text(), np.arange(4), depth)[0].backward()
        moved = [any(weights.grad is not None for weights in layer.parameters()) for layer in layers]
        assert moved == [number < depth for number in range(2)]
    assert len(transfer.student.mobilebert.encoder.layer) == 2
    assert all(weights.grad is None for weights in model.parameters())


def test_the_student_takes_the_teachers_head_behind_the_last_map() -> None:
    model = teacher()
    transfer = Transfer(new_student(model, SMALL, 0), model, TransferSettings())
    transfer.finish(model)
    features = torch.randn(3, SMALL.hidden_size)
    with torch.no_grad():
        expected = model.qa_outputs(transfer.maps[-1](features))
        np.testing.assert_allclose(transfer.student.qa_outputs(features), expected, atol=1e-5)


def test_a_student_is_compiled_in_one_piece() -> None:
    """With what is watched inside it, and with its upper layers left out."""
    model, losses = teacher(), []
    counters.clear()
    for compiled in (False, True):
        student = new_student(model, SMALL, 0)
        if compiled:
            student.compile(dynamic=True, backend="eager")
        transfer = Transfer(student, model, TransferSettings())
        losses.append([float(transfer.loss(text(), np.arange(4), depth)[0].detach()) for depth in (1, 2)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert counters["stats"]["unique_graphs"] == 2
    assert not counters["graph_break"]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_model_that_is_not_watched_any_more_keeps_nothing(compiled: bool) -> None:
    student = new_student(teacher(), SMALL, 0)
    if compiled:
        student.compile(backend="eager")
    observer, given = Observer(student), torch.randint(0, 200, (2, 8))
    seen = observer(input_ids=given)
    assert [len(layer) for layer in seen.related] == [3, 3]
    kept = weakref.ref(seen.related[0][0])
    del seen
    assert kept() is None
    observer.close()
    output = student(given)
    assert observer._kept == ([], [], [])
    assert output.start_logits.shape == (2, 8)


def test_the_published_shape_has_the_published_size() -> None:
    student = new_student(teacher(vocab_size=30522), StudentShape(), 0)
    assert student.num_parameters() == pytest.approx(24.6e6, rel=0.01)
    layer = student.mobilebert.encoder.layer[0]
    assert len(layer.ffn) == 3
    assert type(layer.output.LayerNorm).__name__ == "NoNorm"
    assert layer.attention.self.num_attention_heads == 4
    assert student.mobilebert.embeddings.embedding_transformation.in_features == 3 * 128


def test_words_start_as_the_best_projection_of_the_teachers() -> None:
    model = teacher()
    student, basis = new_student(model, SMALL, 0), teacher_basis(model, SMALL.hidden_size)
    assert basis is not None
    words = student.mobilebert.embeddings.word_embeddings.weight.detach().double().numpy()
    exact = new_student(model, SMALL.model_copy(update={"embedding_size": 32}), 0)
    whole = exact.mobilebert.embeddings.word_embeddings.weight.detach().double().numpy()
    values = np.linalg.svd(whole, compute_uv=False)
    lost = (whole**2).sum() - (words**2).sum()
    assert lost == pytest.approx((values[16:] ** 2).sum(), rel=1e-4)
    np.testing.assert_allclose(basis[:, :32] @ basis[:, :32].T, np.eye(32), atol=1e-5)
    assert basis[:, 32:].abs().max() == 0


def test_a_student_that_is_wide_enough_starts_with_the_teachers_embeddings() -> None:
    model = teacher()
    shape = SMALL.model_copy(update={"embedding_size": 32})
    student, basis = new_student(model, shape, 0), teacher_basis(model, shape.hidden_size)
    transformation = student.mobilebert.embeddings.embedding_transformation.weight
    with torch.no_grad():
        transformation[:, :32] = transformation[:, 64:] = 0  # the neighbours, which the teacher does not see
        given = torch.randint(0, 200, (4, 20), generator=torch.Generator().manual_seed(0))
        assert basis is not None
        mine = student(given, output_hidden_states=True).hidden_states[0] @ basis.T
        theirs = model(given, output_hidden_states=True).hidden_states[0]
    assert np.corrcoef(mine.flatten(), theirs.flatten())[0, 1] > 0.97


def test_a_student_of_another_width_than_its_teachers_embeddings_still_starts() -> None:
    narrow = SMALL.model_copy(update={"hidden_size": 24, "embedding_size": 64})
    student = new_student(teacher(), narrow, 0)
    assert student.mobilebert.embeddings.word_embeddings.weight.shape == (200, 64)
    assert teacher_basis(teacher(), 24).shape == (32, 24)  # type: ignore[union-attr]


def test_a_teacher_of_an_unknown_family_is_refused() -> None:
    model = teacher()
    model.config.model_type = "bloom"
    with pytest.raises(CheckpointError, match="'bloom' model cannot teach"):
        new_student(model, SMALL, 0)


def test_what_stands_outside_the_lessons_holds_for_both(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('teacher = "t"\nseed = 7\nbatch_size = 8\n[answers]\nbatch_size = 4\n[transfer]\ntext_share = 0.5')
    found = load_distill_settings(file, {"share": 0.1, "precision": "float32"})
    assert (found.transfer.seed, found.answers.seed) == (7, 7)
    assert (found.transfer.batch_size, found.answers.batch_size) == (8, 4)
    assert (found.transfer.precision, found.answers.base) == ("float32", "t")
    assert found.transfer.text_share == pytest.approx(0.05)
    assert found.answers.share == 0.1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "teacher"),
        ("teacher = 't'\nteachr = 'x'", "teachr"),
        ("teacher = 't'\n[student]\nlayer = 2", "student.layer"),
        ("teacher = 't'\n[student]\nheads = 3", "no multiple of heads 3"),
        ("teacher = 't'\n[student]\npositions = 64", "need student.positions"),
        ("teacher = 't'\n[transfer]\nrelation_heads = 5", "relation_heads must divide"),
        ("teacher = 't'\n[answers]\nbase = 'x'", "answers.base"),
        ("teacher = 't'\nanswers = 3", "answers must be a table"),
        ("teacher = [", "not TOML"),
    ],
)
def test_a_wrong_recipe_names_the_key(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(text or "seed = 1")
    with pytest.raises(RecipeError, match=words):
        load_distill_settings(file, {})


@pytest.mark.parametrize("file", sorted(RECIPES.glob("mobilebert*.toml")), ids=lambda file: file.stem)
def test_shipped_recipes_are_valid(file: Path) -> None:
    assert Path(load_distill_settings(file, {}).teacher).is_dir()

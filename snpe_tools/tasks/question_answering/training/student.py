"""A MobileBERT to be taught: its shape, and a start from what its teacher knows of words and positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snpe_tools.core.architectures import ARCHITECTURES
from snpe_tools.core.errors import CheckpointError
from snpe_tools.tasks.question_answering.training.distill_settings import StudentShape

if TYPE_CHECKING:
    from torch import Tensor, nn


def new_student(teacher: Any, shape: StudentShape, seed: int) -> Any:  # noqa: ANN401 - models of transformers
    """A `MobileBertForQuestionAnswering` with the teacher's vocabulary, whose embeddings start from the teacher's.

    Word embeddings are projected onto their first `embedding_size` principal components. The features between layers
    begin as those components, too; `teacher_basis` leads back.

    Args:
        teacher: a question-answering model of the BERT family, float32.
        shape: the student's.
        seed: of all other weights.

    Raises:
        CheckpointError: the teacher is of another family.
    """
    import torch
    from transformers import MobileBertForQuestionAnswering

    if teacher.config.model_type not in ARCHITECTURES:
        raise CheckpointError(
            f"A {teacher.config.model_type!r} model cannot teach here.", f"Families: {', '.join(ARCHITECTURES)}."
        )
    torch.manual_seed(seed)
    student = MobileBertForQuestionAnswering(_configuration(teacher.config, shape))
    with torch.no_grad():
        _start(student.mobilebert.embeddings, teacher)
    return student


def _configuration(teacher: Any, shape: StudentShape) -> Any:  # noqa: ANN401
    from transformers import MobileBertConfig

    return MobileBertConfig(
        vocab_size=teacher.vocab_size,
        type_vocab_size=getattr(teacher, "type_vocab_size", 2),
        pad_token_id=teacher.pad_token_id,
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden_size,
        embedding_size=shape.embedding_size,
        intra_bottleneck_size=shape.bottleneck_size,
        num_attention_heads=shape.heads,
        intermediate_size=shape.feedforward_size,
        num_feedforward_networks=shape.feedforward_networks,
        max_position_embeddings=shape.positions,
        attention_probs_dropout_prob=0.0,
        hidden_dropout_prob=0.0,
        normalization_type="no_norm",
        trigram_input=True,
    )


def _start(target: Any, teacher: nn.Module) -> None:  # noqa: ANN401
    """Fill a MobileBERT's embeddings."""
    tables = _tables(teacher)
    basis = _principal_components(tables["word"])
    target.word_embeddings.weight.copy_(_columns(tables["word"] @ basis, target.embedding_size))
    width = target.embedding_size
    target.embedding_transformation.weight[:, width : 2 * width].copy_(_eye(target.hidden_size, width))
    for name in ("position", "token_type"):
        table = tables.get(name)
        if table is not None and table.shape[1] == len(basis):
            wanted = getattr(target, f"{name}_embeddings").weight
            rows = min(len(wanted), len(table))
            wanted[:rows].copy_(_columns(table @ basis, target.hidden_size)[:rows])


def _tables(teacher: nn.Module) -> dict[str, Tensor]:
    """The teacher's embedding tables, its layer normalization folded into them.

    MobileBERT has none: x / s * w + b, with the mean standard deviation s of a word at the first position.
    """
    from torch import nn

    source = teacher.base_model.embeddings
    names = ("word", "position", "token_type")
    tables = {name: getattr(source, f"{name}_embeddings").weight.detach() for name in names if _has(source, name)}
    norm, words = getattr(source, "LayerNorm", None), tables["word"]
    if not isinstance(norm, nn.LayerNorm) or any(len(norm.weight) != table.shape[1] for table in tables.values()):
        return tables
    beside = sum(table[0] for name, table in tables.items() if name != "word")
    scale = norm.weight.detach() / (words + beside).std(dim=1).mean()
    folded = {name: (table - table.mean(dim=1, keepdim=True)) * scale for name, table in tables.items()}
    folded["position"] = folded["position"] + norm.bias.detach()
    return folded


def _has(source: nn.Module, name: str) -> bool:
    return hasattr(source, f"{name}_embeddings")


def _principal_components(table: Tensor) -> Tensor:
    """Orthonormal columns (features, features), those that hold most of the table first."""
    import torch

    values, vectors = torch.linalg.eigh(table.double().T @ table.double())
    return vectors[:, values.argsort(descending=True)].to(table.dtype)


def _columns(matrix: Tensor, count: int) -> Tensor:
    """The first `count` columns; zeros where there are not as many."""
    from torch.nn import functional

    return functional.pad(matrix[:, :count], (0, max(0, count - matrix.shape[1])))


def _eye(rows: int, columns: int) -> Tensor:
    import torch

    return torch.eye(rows, columns)


def teacher_basis(teacher: nn.Module, hidden_size: int) -> Tensor | None:
    """The linear map (teacher's features, student's `hidden_size`) from where the student starts to the teacher.

    None when the teacher's embeddings have other features than its layers.
    """
    words = _tables(teacher)["word"]
    if words.shape[1] != teacher.config.hidden_size:
        return None
    return _columns(_principal_components(words), hidden_size)

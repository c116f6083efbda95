"""What a student learns from a teacher of another shape: its features, and how tokens relate to each other.

Features after a layer go through a linear map, which is learned beside the student and dropped afterwards. Relations
are those of MiniLMv2 (Wang et al., 2021): softmax(X Xᵀ / √d) for X the queries, the keys and the values, in as many
heads as one likes, so that neither widths nor numbers of heads need to match.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from snpe_tools.tasks.question_answering.features import Windows
from snpe_tools.tasks.question_answering.training.distill_settings import TransferSettings
from snpe_tools.tasks.question_answering.training.observation import Observer, lowest_layers
from snpe_tools.tasks.question_answering.training.student import teacher_basis
from snpe_tools.tasks.question_answering.training.tensors import model_inputs, padded_length

if TYPE_CHECKING:
    from torch import Tensor

_NEVER = -1e9


def layer_pairs(student: int, teacher: int) -> list[tuple[int, int]]:
    """Which layer (from 0) of the student learns from which of the teacher: spread evenly, the last from the last."""
    count = min(student, teacher)
    return [(math.ceil((n + 1) * student / count) - 1, math.ceil((n + 1) * teacher / count) - 1) for n in range(count)]


class Transfer(nn.Module):  # type: ignore[misc]
    """A student on its way to a teacher: `student`, and for each pair of layers a map to the teacher's features."""

    def __init__(self, student: Any, teacher: Any, settings: TransferSettings) -> None:  # noqa: ANN401
        super().__init__()
        self.student, self._settings = student, settings
        mine, theirs = student.config.hidden_size, teacher.config.hidden_size
        self.pairs = layer_pairs(student.config.num_hidden_layers, teacher.config.num_hidden_layers)
        self.maps = nn.ModuleList(nn.Linear(mine, theirs) for _ in self.pairs)
        basis = teacher_basis(teacher, mine)
        for learned in self.maps:
            nn.init.zeros_(learned.bias)
            if basis is not None:
                learned.weight.data.copy_(basis)
        self._observers = Observer(student), Observer(teacher)

    def loss(self, windows: Windows, rows: NDArray[np.intp], depth: int) -> tuple[Tensor, int]:
        """What is unexplained after `depth` pairs, plus the relations in the last of them; and the tokens of the batch.

        Each pair in its turn is the last one: relations of all of them at once cost more than the student itself.
        """
        import torch

        student, teacher = self._observers
        length = padded_length(self.student, windows, rows)
        given = model_inputs(self.student, windows, rows, length)
        with torch.no_grad():
            wanted = teacher(**model_inputs(teacher.model, windows, rows, length))
        with lowest_layers(self.student, self.pairs[depth - 1][0] + 1):
            seen = student(**given)
        real, taught = given["attention_mask"] > 0, self.pairs[:depth]
        hidden = [
            unexplained(learned(seen.hidden[mine]), wanted.hidden[theirs], real)
            for learned, (mine, theirs) in zip(self.maps, taught, strict=False)
        ]
        mine, theirs = taught[-1]
        relations = [
            relation_divergence(own, other, real, self._settings.relation_heads)
            for own, other in zip(seen.related[mine], wanted.related[theirs], strict=True)
        ]
        weights = self._settings.hidden_weight, self._settings.relation_weight
        loss = weights[0] * sum(hidden) / depth + weights[1] * sum(relations) / len(relations)
        return loss, int(given["input_ids"].numel())

    def depth_at(self, step: int, steps: int) -> int:
        """How many pairs learn in step `step` (from 0) of `steps`: one more after each part of the warm-up."""
        joining = self._settings.layerwise * steps
        return len(self.pairs) if step >= joining else 1 + int(step * len(self.pairs) / joining)

    def finish(self, teacher: Any) -> None:  # noqa: ANN401
        """Stop watching both models. The student's answers start as the teacher's: its head, behind the last map."""
        for observer in self._observers:
            observer.close()
        last, source, target = self.maps[-1], teacher.qa_outputs, self.student.qa_outputs
        target.weight.data.copy_(source.weight.data @ last.weight.data)
        target.bias.data.copy_(source.weight.data @ last.bias.data + source.bias.data)


def unexplained(mine: Tensor, theirs: Tensor, real: Tensor) -> Tensor:
    """Share of the teacher's variance that the student does not explain: 0 is equal, 1 is no better than the mean.

    Args:
        mine, theirs: (batch, length, features).
        real: bool (batch, length), tokens that are not padding.
    """
    wanted = theirs[real].float()
    spread = (wanted - wanted.mean(dim=0)).square().sum()
    return (mine[real].float() - wanted).square().sum() / spread


def relation_divergence(mine: Tensor, theirs: Tensor, real: Tensor, heads: int) -> Tensor:
    """Kullback-Leibler divergence (nats) of the student's relations from the teacher's, averaged over tokens and heads.

    Args:
        mine, theirs: (batch, length, features), the queries, keys or values of all heads.
        real: bool (batch, length), tokens that are not padding; others relate to nothing.
        heads: parts into which the features are split.
    """
    own, wanted = _log_relations(mine, real, heads), _log_relations(theirs, real, heads)
    each = (wanted.exp() * (wanted - own)).sum(dim=-1)
    return each.transpose(1, 2)[real].mean()


def _log_relations(features: Tensor, real: Tensor, heads: int) -> Tensor:
    """Log of softmax(X Xᵀ / √d), float32 (batch, heads, length, length)."""
    import torch

    batch, length, width = features.shape
    parts = features.reshape(batch, length, heads, width // heads).transpose(1, 2)
    scores = (parts @ parts.transpose(2, 3)).float() / math.sqrt(width // heads)
    return torch.log_softmax(scores.masked_fill(~real[:, None, None, :], _NEVER), dim=-1)

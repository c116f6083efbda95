"""What differs between families of checkpoints: positions, token types, and which of them can be exported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from snpe_tools.core.errors import CheckpointError, SnpeToolsError
from snpe_tools.core.tensor_spec import Array


def longest_window(model: Any) -> int | None:  # noqa: ANN401 - a transformers model
    """Tokens that a model reads at most; None where it has no limit of its own.

    RoBERTa, XLM-R, CamemBERT and MPNet count positions from behind their padding id: with 130 rows they read 128.
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit < 1:
        return None
    for module in model.modules():
        padding = getattr(getattr(module, "position_embeddings", None), "padding_idx", None)
        if isinstance(padding, int):
            return limit - padding - 1
    return limit


def check_length(model: Any, length: int) -> None:  # noqa: ANN401
    """Refuse windows longer than the model reads.

    Raises:
        CheckpointError: they are.
    """
    longest = longest_window(model)
    if longest is not None and length > longest:
        raise CheckpointError(
            f"The checkpoint reads {longest} tokens at most, and {length} were asked for.",
            f"Use SEQ={longest} (--seq {longest}) or less.",
        )


def check_tokens(model: Any, arrays: Mapping[str, Array]) -> None:  # noqa: ANN401
    """Refuse a tokenizer with more tokens, or more token types, than the model has.

    Raises:
        CheckpointError: it has.
    """
    vocabulary = model.config.vocab_size
    if int(arrays["input_ids"].max()) >= vocabulary:
        raise CheckpointError(
            f"The tokenizer knows more tokens than the model's {vocabulary}.",
            "Pass the tokenizer the model was trained with.",
        )
    types = getattr(model.config, "type_vocab_size", 0)
    largest = int(arrays["token_type_ids"].max()) if "token_type_ids" in arrays else 0
    if types and largest >= types:
        raise CheckpointError(
            f"The tokenizer gives the token type {largest}; the model knows {types} (type_vocab_size), from 0.",
            "Pass the tokenizer the model was trained with, whose template gives both texts a type that it knows.",
        )


def require_finite(model: Any) -> None:  # noqa: ANN401
    """Refuse NaN and infinite weights: what the model answers means nothing.

    Raises:
        CheckpointError: the first such weight, with how many.
    """
    import torch

    for name, values in model.state_dict().items():
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            bad = int((~torch.isfinite(values)).sum())
            raise CheckpointError(
                f"The weight {name!r} holds {bad} NaN or infinite numbers.",
                "The checkpoint is damaged, or its training diverged: take an earlier one.",
            )


@contextmanager
def exporting(model: Any, task: str) -> Iterator[None]:  # noqa: ANN401
    """What an exporter raises, as an error that names the family and those that can be exported.

    Raises:
        CheckpointError: the export failed.
    """
    try:
        yield
    except SnpeToolsError:
        raise
    except Exception as problem:
        family = getattr(model.config, "model_type", type(model).__name__)
        words = str(problem).strip().splitlines()[0][:200] if str(problem).strip() else type(problem).__name__
        raise CheckpointError(
            f"Checkpoints of the family {family} cannot be exported for {task}: {words}",
            f"Families that can: {', '.join(exportable_families(task))}.",
        ) from problem


def exportable_families(task: str) -> list[str]:
    """Families that the exporter knows for a task."""
    import optimum.exporters.onnx.model_configs  # noqa: F401 - which registers them
    from optimum.exporters.tasks import TasksManager

    return sorted(TasksManager.get_supported_model_type_for_task(task, exporter="onnx"))

"""Question-answering checkpoints: a folder, a model of the Hugging Face hub, or random weights of a family."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

from snpe_tools.core.architectures import ARCHITECTURES
from snpe_tools.core.errors import CheckpointError, SetupError, SnpeToolsError
from snpe_tools.core.files import whole_file
from snpe_tools.core.silence import quiet

_HEAD = "qa_outputs."


def load_model(checkpoint: str) -> Any:  # noqa: ANN401 - transformers' classes are chosen at run time
    """The PyTorch model of a checkpoint with a trained question-answering head, in evaluation mode, float32.

    Raises:
        CheckpointError: the folder is no checkpoint, is damaged, or lacks the head's weights.
        SetupError: a hub name, and the hub cannot be reached.
    """
    from transformers import AutoModelForQuestionAnswering

    _check_folder(checkpoint)
    with _explained(checkpoint):
        model, loading = AutoModelForQuestionAnswering.from_pretrained(
            checkpoint, dtype="float32", output_loading_info=True
        )
    if loading["missing_keys"]:
        missing = ", ".join(sorted(loading["missing_keys"])[:3])
        raise CheckpointError(
            f"{checkpoint} is not a trained question-answering model: it has no weights for {missing}.",
            "Fine-tune it on SQuAD first, or name a checkpoint that was.",
        )
    return model.eval()


def load_base(checkpoint: str, dropout: float | None, seed: int) -> Any:  # noqa: ANN401
    """A pre-trained model to fine-tune, float32; a question-answering head that it lacks starts at random.

    Args:
        checkpoint: folder or hub name.
        dropout: of all layers; None keeps the checkpoint's.
        seed: of a new head's weights.

    Raises:
        CheckpointError: the folder is no checkpoint, is damaged, or lacks more than the head.
        SetupError: a hub name, and the hub cannot be reached.
    """
    import torch
    from transformers import AutoConfig, AutoModelForQuestionAnswering

    _check_folder(checkpoint)
    torch.manual_seed(seed)
    with _explained(checkpoint):
        config = _with_dropout(AutoConfig.from_pretrained(checkpoint), dropout)
        model, loading = AutoModelForQuestionAnswering.from_pretrained(
            checkpoint, config=config, dtype="float32", output_loading_info=True
        )
    missing = sorted(name for name in loading["missing_keys"] if not name.startswith(_HEAD))
    if missing:
        raise CheckpointError(
            f"{checkpoint} cannot be fine-tuned: it has no weights for {', '.join(missing[:3])}.",
            "Name a checkpoint of the BERT family that was pre-trained.",
        )
    return model


def _with_dropout(config: Any, dropout: float | None) -> Any:  # noqa: ANN401
    for name, value in vars(config).items():
        if dropout is not None and "dropout" in name and isinstance(value, float):
            setattr(config, name, dropout)
    return config


def random_model(architecture: str) -> Any:  # noqa: ANN401
    """A model with random weights (seed 0) and the family's standard configuration.

    Raises:
        CheckpointError: the family is unknown.
    """
    import torch
    from transformers import AutoConfig, AutoModelForQuestionAnswering

    if architecture not in ARCHITECTURES:
        raise CheckpointError(
            f"Random weights need a known architecture, not {architecture!r}.", f"Known: {', '.join(ARCHITECTURES)}."
        )
    torch.manual_seed(0)
    return AutoModelForQuestionAnswering.from_config(AutoConfig.for_model(architecture)).eval()


def save_tokenizer(checkpoint: str, target: Path) -> None:
    """Write the checkpoint's tokenizer as one tokenizer.json.

    Raises:
        CheckpointError: the checkpoint has no fast tokenizer.
        SetupError: a hub name, and the hub cannot be reached.
    """
    tokenizer = load_fast_tokenizer(checkpoint)
    with whole_file(target) as temporary:
        temporary.write_text(tokenizer.backend_tokenizer.to_str(), encoding="utf-8")


def load_fast_tokenizer(checkpoint: str) -> Any:  # noqa: ANN401
    """The checkpoint's tokenizer, one with a `backend_tokenizer`.

    Raises:
        CheckpointError: the checkpoint has no fast tokenizer.
        SetupError: a hub name, and the hub cannot be reached.
    """
    from transformers import AutoTokenizer

    with _explained(checkpoint):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise CheckpointError(
            f"{checkpoint} has no fast tokenizer.", "Save one beside it: AutoTokenizer(...).save_pretrained(folder)."
        )
    return tokenizer


def save_checkpoint(model: Any, tokenizer: Any, folder: Path, dtype: Literal["float16", "float32"]) -> None:  # noqa: ANN401
    """Write weights (safetensors of `dtype`), configuration and tokenizer into `folder`.

    Raises:
        CheckpointError: a weight does not fit into float16.
    """
    import torch

    copy = deepcopy(model).cpu().to(getattr(torch, dtype))
    for name, values in copy.state_dict().items():
        if not torch.isfinite(values).all():
            raise CheckpointError(f"Weight {name!r} is not finite in {dtype}.", "Write float32: --save-dtype float32.")
    with quiet():
        copy.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors writes files that only their owner can read


def _check_folder(checkpoint: str) -> None:
    folder = Path(checkpoint)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise CheckpointError(
            f"{folder} is not a checkpoint: it has no config.json.", "Pass the folder that save_pretrained wrote."
        )
    if not folder.exists() and (checkpoint.startswith((".", "/", "~")) or checkpoint.count("/") > 1):
        raise CheckpointError(
            f"{folder} does not exist.", "Pass a folder that save_pretrained wrote, or a model of the hub."
        )


@contextlib.contextmanager
def _explained(checkpoint: str) -> Iterator[None]:
    """Transformers raises many kinds of error for a bad checkpoint; each becomes one of ours."""
    try:
        with quiet():
            yield
    except SnpeToolsError:
        raise
    except Exception as problem:
        reason = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        if not Path(checkpoint).exists():
            raise SetupError(
                f"The hub did not give the model {checkpoint!r}: {reason}",
                "Check the name and the network, or download it elsewhere and pass CHECKPOINT=folder (--checkpoint).",
            ) from problem
        raise CheckpointError(
            f"{checkpoint} cannot be loaded: {reason}", "Its files may be damaged or cut off."
        ) from problem

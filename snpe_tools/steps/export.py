"""checkpoint → simplified, fixed-shape ONNX whose attention mask survives quantization."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snpe_tools.core.errors import CheckpointError
from snpe_tools.core.files import whole_files
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import load, save
from snpe_tools.graph.mask import DEFAULT_VALUE, fold_mask, replace_mask_constants
from snpe_tools.graph.shapes import fix_shapes
from snpe_tools.project.provenance import recorded
from snpe_tools.tasks.question_answering.answers import FloatArray, find_answers
from snpe_tools.tasks.question_answering.checkpoint import load_model, quiet, random_model, save_tokenizer
from snpe_tools.tasks.question_answering.features import Windows, load_tokenizer, make_windows
from snpe_tools.tasks.question_answering.inference import LOGITS, run_onnx
from snpe_tools.tasks.question_answering.squad import SHIPPED_CALIBRATION, load_questions

if TYPE_CHECKING:
    import onnx

OPSET = 20
"""GELU is one node from here on; spelled with Erf, the NPU refuses it once quantized."""

_PROOF_QUESTIONS = 12


@dataclass(frozen=True)
class Exported:
    """What an export wrote, and what it proved.

    Attributes:
        onnx: fixed shapes, int32 inputs: the model that is converted.
        dynamic: the same model for any batch and length, for fast float scoring.
        tokenizer: the checkpoint's tokenizer.json.
        mask_constants: constants that were raised to the mask value, "tensor = value (reader)" each.
        mask_folded: whether the mask's nodes became one table look-up.
        questions_checked: questions whose answers equal the checkpoint's own, all of those asked.
        largest_difference: of a logit from the checkpoint's own, on those questions.
    """

    onnx: Path
    dynamic: Path
    tokenizer: Path
    mask_constants: tuple[str, ...]
    mask_folded: bool
    questions_checked: int
    largest_difference: float

    def notes(self) -> dict[str, Any]:
        """The facts for provenance, paths aside."""
        return {key: value for key, value in asdict(self).items() if not isinstance(value, Path)}


def export(
    checkpoint: str,
    target: Path,
    *,
    sequence_length: int = 384,
    mask_value: float = DEFAULT_VALUE,
    architecture: str = "",
    tokenizer: str = "",
) -> Exported:
    """Export a question-answering checkpoint to ONNX.

    Args:
        checkpoint: folder or hub name; not read when `architecture` is given.
        target: the ONNX file to write; `<name>.dynamic.onnx` and `<name>.tokenizer.json` go beside it.
        sequence_length: tokens per window.
        mask_value: what the exported graph adds to the scores of padding.
        architecture: build this family with random weights instead of loading a checkpoint.
        tokenizer: folder or hub name of the tokenizer, the checkpoint itself by default.

    Raises:
        CheckpointError: no question-answering checkpoint, or the exported graph does not answer as it does.
        SetupError: the hub cannot be reached.
    """
    model = random_model(architecture) if architecture else load_model(checkpoint)
    _check_length(model, sequence_length)
    paths = _paths(target)
    sources = {"checkpoint": Path(checkpoint)} if Path(checkpoint).is_dir() and not architecture else {}
    settings = {"checkpoint": checkpoint, "sequence_length": sequence_length, "mask_value": mask_value}
    with (
        recorded("export", sources, {**settings, "architecture": architecture}, {"onnx": target}) as notes,
        whole_files(*paths) as (fixed_file, dynamic_file, tokenizer_file),
    ):
        save_tokenizer(tokenizer or checkpoint, tokenizer_file)
        windows = _proof_windows(tokenizer_file, sequence_length, model)
        fixed, dynamic, replaced, folded = _graphs(model, sequence_length, mask_value)
        save(fixed, fixed_file)
        save(dynamic, dynamic_file)
        difference = _prove(model, fixed_file, dynamic_file, windows)
        made = Exported(*paths, replaced, folded, len(windows.questions), difference)
        notes.update(made.notes())
    return made


def _graphs(
    model: Any,  # noqa: ANN401
    length: int,
    mask_value: float,
) -> tuple[onnx.ModelProto, onnx.ModelProto, tuple[str, ...], bool]:
    """The fixed and the dynamic graph, the mask constants that were replaced, and whether the mask was folded."""
    dynamic = _trace(model)
    shapes = {value.name: (1, length) for value in dynamic.graph.input}
    fixed = use_int32_inputs(fix_shapes(dynamic, shapes))
    dynamic = use_int32_inputs(dynamic)
    replaced = replace_mask_constants(fixed, mask_value)
    replace_mask_constants(dynamic, mask_value)
    return fixed, dynamic, tuple(map(str, replaced)), fold_mask(fixed)


def _paths(target: Path) -> tuple[Path, Path, Path]:
    """The fixed model, its dynamic twin and its tokenizer."""
    return target, target.with_suffix(".dynamic.onnx"), target.with_suffix(".tokenizer.json")


def _check_length(model: Any, length: int) -> None:  # noqa: ANN401
    longest = getattr(model.config, "max_position_embeddings", length)
    if length > longest:
        raise CheckpointError(
            f"The checkpoint reads {longest} tokens at most, and {length} were asked for.",
            f"Use SEQ={longest} or less.",
        )


def _trace(model: Any) -> onnx.ModelProto:  # noqa: ANN401
    """The ONNX graph with dynamic batch and length, as optimum exports it."""
    with quiet(), tempfile.TemporaryDirectory() as folder:
        from optimum.exporters.onnx import onnx_export_from_model

        onnx_export_from_model(model, folder, task="question-answering", opset=OPSET, do_validation=False)
        return load(Path(folder) / "model.onnx")


def _proof_windows(tokenizer: Path, length: int, model: Any) -> Windows:  # noqa: ANN401
    """Windows of shipped questions: short and long passages, with and without padding."""
    questions = load_questions(SHIPPED_CALIBRATION)
    chosen = [questions[index] for index in np.linspace(0, len(questions) - 1, _PROOF_QUESTIONS).astype(int)]
    windows = make_windows(chosen, load_tokenizer(tokenizer), length)
    vocabulary = model.config.vocab_size
    if windows.input_ids.max() >= vocabulary:
        raise CheckpointError(
            f"The tokenizer knows more tokens than the model's {vocabulary}.",
            "Pass the tokenizer the model was trained with.",
        )
    return windows


def _prove(model: Any, fixed: Path, dynamic: Path, windows: Windows) -> float:  # noqa: ANN401
    """Compare both graphs with the checkpoint; returns the largest logit difference.

    Raises:
        CheckpointError: an answer changed.
    """
    original = _torch_logits(model, windows)
    wanted = [answer.text for answer in find_answers(*original, windows)]
    real = windows.attention_mask > 0
    differences = []
    for path, graph in ((fixed, "fixed"), (dynamic, "dynamic")):
        logits = run_onnx(path, windows).logits
        got = [answer.text for answer in find_answers(*logits, windows)]
        changed = [
            question.id
            for question, before, after in zip(windows.questions, wanted, got, strict=True)
            if before != after
        ]
        if changed:
            raise CheckpointError(
                f"The exported graph ({graph} shapes) answers {len(changed)} of {len(got)} questions otherwise than "
                f"the checkpoint, {changed[0]!r} the first."
            )
        differences += [
            float(np.abs(before - after)[real].max()) for before, after in zip(original, logits, strict=True)
        ]
    return max(differences)


def _torch_logits(model: Any, windows: Windows) -> tuple[FloatArray, FloatArray]:  # noqa: ANN401
    import torch

    names = ["input_ids", "attention_mask"] + (["token_type_ids"] if hasattr(model.config, "type_vocab_size") else [])
    with torch.inference_mode():
        inputs = {name: torch.from_numpy(array).long() for name, array in windows.inputs(slice(None), names).items()}
        output = model(**inputs)
    start, end = (getattr(output, name).numpy() for name in LOGITS)
    return start, end

"""checkpoint → simplified, fixed-shape ONNX whose attention mask survives quantization."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snpe_tools.core.errors import CheckpointError
from snpe_tools.core.files import whole_files
from snpe_tools.core.silence import quiet
from snpe_tools.execution.onnx_cpu import run_onnx
from snpe_tools.graph.inputs import use_int32_inputs
from snpe_tools.graph.loading import load, save
from snpe_tools.graph.mask import DEFAULT_VALUE, fold_mask, replace_mask_constants
from snpe_tools.graph.shapes import fix_shapes
from snpe_tools.project.provenance import recorded
from snpe_tools.tasks import DEFAULT_TASK, Batch, Outputs, Task, find_task
from snpe_tools.tasks.families import check_length, check_tokens, exporting, require_finite

if TYPE_CHECKING:
    import onnx

OPSET = 20
"""GELU is one node from here on; spelled with Erf, the NPU refuses it once quantized."""

_PROOF_EXAMPLES = 12


@dataclass(frozen=True)
class Exported:
    """What an export wrote, and what it proved.

    Attributes:
        onnx: fixed shapes, int32 inputs: the model that is converted.
        dynamic: the same model for any batch and length, for fast float scoring.
        tokenizer: the checkpoint's tokenizer.json.
        mask_constants: constants that were raised to the mask value, "tensor = value (reader)" each.
        mask_folded: whether the mask's nodes became one table look-up.
        examples_checked: examples whose predictions equal the checkpoint's own, all of those asked.
        largest_difference: of an output from the checkpoint's own, on those examples.
    """

    onnx: Path
    dynamic: Path
    tokenizer: Path
    mask_constants: tuple[str, ...]
    mask_folded: bool
    examples_checked: int
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
    task: str = DEFAULT_TASK,
) -> Exported:
    """Export a checkpoint to ONNX.

    Args:
        checkpoint: folder or hub name; not read when `architecture` is given.
        target: the ONNX file to write; `<name>.dynamic.onnx` and `<name>.tokenizer.json` go beside it.
        sequence_length: tokens per window.
        mask_value: what the exported graph adds to the scores of padding.
        architecture: build this family with random weights instead of loading a checkpoint.
        tokenizer: folder or hub name of the tokenizer, the checkpoint itself by default.
        task: what the model is for.

    Raises:
        CheckpointError: no checkpoint of the task, or the exported graph does not predict as it does.
        SetupError: the hub cannot be reached.
    """
    chosen = find_task(task)
    paths = _paths(target)
    sources = {"checkpoint": Path(checkpoint)} if Path(checkpoint).is_dir() and not architecture else {}
    settings = {"checkpoint": checkpoint, "sequence_length": sequence_length, "mask_value": mask_value}
    with (
        recorded("export", sources, {**settings, "architecture": architecture}, {"onnx": target}) as notes,
        whole_files(*paths) as (fixed_file, dynamic_file, tokenizer_file),
    ):
        model = chosen.random_model(architecture) if architecture else chosen.load_model(checkpoint)
        check_length(model, sequence_length)
        require_finite(model)
        chosen.save_preprocessing(tokenizer or checkpoint, tokenizer_file)
        batch = _proof_batch(chosen, tokenizer_file, sequence_length, model)
        fixed, dynamic, replaced, folded = _graphs(
            model, chosen.exported_as or chosen.name, sequence_length, mask_value
        )
        save(fixed, fixed_file)
        save(dynamic, dynamic_file)
        difference = _prove(chosen, model, fixed_file, dynamic_file, batch)
        made = Exported(*paths, replaced, folded, len(batch.examples), difference)
        notes.update(made.notes())
    return made


def _graphs(
    model: Any,  # noqa: ANN401
    task: str,
    length: int,
    mask_value: float,
) -> tuple[onnx.ModelProto, onnx.ModelProto, tuple[str, ...], bool]:
    """The fixed and the dynamic graph, the mask constants that were replaced, and whether the mask was folded."""
    dynamic = _trace(model, task)
    shapes = {value.name: (1, length) for value in dynamic.graph.input}
    fixed = use_int32_inputs(fix_shapes(dynamic, shapes))
    dynamic = use_int32_inputs(dynamic)
    replaced = replace_mask_constants(fixed, mask_value)
    replace_mask_constants(dynamic, mask_value)
    return fixed, dynamic, tuple(map(str, replaced)), fold_mask(fixed)


def _paths(target: Path) -> tuple[Path, Path, Path]:
    """The fixed model, its dynamic twin and its tokenizer."""
    return target, target.with_suffix(".dynamic.onnx"), target.with_suffix(".tokenizer.json")


def _trace(model: Any, task: str) -> onnx.ModelProto:  # noqa: ANN401
    """The ONNX graph with dynamic batch and length, as optimum exports it."""
    with exporting(model, task), quiet(), tempfile.TemporaryDirectory() as folder:
        from optimum.exporters.onnx import onnx_export_from_model

        onnx_export_from_model(model, folder, task=task, opset=OPSET, do_validation=False)
        return load(Path(folder) / "model.onnx")


def _proof_batch(task: Task, preprocessing: Path, length: int, model: Any) -> Batch:  # noqa: ANN401
    """Shipped examples: short and long ones, with and without padding."""
    examples = task.load(task.calibration)
    chosen = [examples[index] for index in np.linspace(0, len(examples) - 1, _PROOF_EXAMPLES).astype(int)]
    batch = task.encode(chosen, preprocessing, (1, length))
    check_tokens(model, batch.arrays)
    return batch


def _prove(task: Task, model: Any, fixed: Path, dynamic: Path, batch: Batch) -> float:  # noqa: ANN401
    """Compare both graphs with the checkpoint; returns the largest difference of an output.

    Raises:
        CheckpointError: a prediction changed.
    """
    original = _torch_outputs(task, model, batch)
    wanted = [prediction.text for prediction in task.predict(original, batch)]
    differences = []
    for path, graph in ((fixed, "fixed"), (dynamic, "dynamic")):
        outputs = run_onnx(path, batch, task.outputs)
        got = [prediction.text for prediction in task.predict(outputs, batch)]
        changed = [
            example.id for example, before, after in zip(batch.examples, wanted, got, strict=True) if before != after
        ]
        if changed:
            raise CheckpointError(
                f"The exported graph ({graph} shapes) gives other {task.words.predictions} than the checkpoint to "
                f"{len(changed)} of {len(got)} {task.words.examples}, {changed[0]!r} the first."
            )
        differences.append(float(np.abs(original.values(batch) - outputs.values(batch)).max()))
    return max(differences)


def _torch_outputs(task: Task, model: Any, batch: Batch) -> Outputs:  # noqa: ANN401
    import torch

    taken = [name for name in batch.arrays if name != "token_type_ids" or hasattr(model.config, "type_vocab_size")]
    with exporting(model, task.name), torch.inference_mode():
        inputs = {name: torch.from_numpy(array) for name, array in batch.inputs(slice(None), taken).items()}
        inputs = {name: value if value.is_floating_point() else value.long() for name, value in inputs.items()}
        output = model(**inputs)
    return Outputs({name: getattr(output, name).numpy() for name in task.outputs})

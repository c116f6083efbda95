"""The files that quantization writes: the QDQ model, its encodings in two formats, the float graph."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snpe_tools.core.files import whole_files
from snpe_tools.core.precision import NARROW_BITS
from snpe_tools.core.progress import say
from snpe_tools.graph.loading import save
from snpe_tools.graph.rewrites import keep_parts_apart
from snpe_tools.quantization.names import rename_tensors, restore, restored_encodings
from snpe_tools.quantization.simulator import Simulator

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Quantized:
    """What quantization wrote.

    Attributes:
        qdq: the ONNX model with QuantizeLinear and DequantizeLinear nodes.
        encodings: the encodings, AIMET format 1.0.0.
        legacy_encodings: the same in format 0.6.1, the one that every SDK reads.
        windows: calibration windows seen.
        activations: activation tensors that got an encoding.
        wide: how many of these have 16 bits, of a mixed precision.
        sqnr_db: of the worst output against the float model's, on the first window; None where equal or not looked at.
    """

    qdq: Path
    encodings: Path
    legacy_encodings: Path
    windows: int
    activations: int
    wide: int = 0
    sqnr_db: float | None = None


def write_quantized(
    simulator: Simulator,
    target: Path,
    windows: int,
    changed: onnx.ModelProto | None = None,
    *,
    aliases: Mapping[str, str] | None = None,
    prove: Callable[[onnx.ModelProto], float | None] | None = None,
) -> Quantized:
    """Write the QDQ model and both encodings files of a calibrated simulator, together.

    Args:
        changed: the float graph that a plan or training made, to be written with them.
        aliases: names to give back to tensors, by those that they have in the simulator.
        prove: called with the QDQ model before it is kept; gives its SQNR.
    """
    qdq, names = simulator.qdq_model(), dict(aliases or {})
    for change in keep_parts_apart(qdq):
        say(f"  {change}")
    sqnr_db = prove(qdq) if prove else None
    restore(qdq, names)
    current, legacy = encoding_paths(target)
    others = [float_path(target)] if changed else []
    with whole_files(target, current, legacy, *others) as (new_model, new_current, new_legacy, *new_float):
        for file in new_float:
            rename_tensors(changed, names)
            save(changed, file)
        new_current.write_text(_json(restored_encodings(simulator.encodings("1.0.0"), names)), encoding="utf-8")
        new_legacy.write_text(_json(restored_encodings(simulator.encodings("0.6.1"), names)), encoding="utf-8")
        save(qdq, new_model)
    wide = sum(simulator.sim.qc_quantize_op_dict[name].bitwidth > NARROW_BITS for name in simulator.activations)
    return Quantized(target, current, legacy, windows, len(simulator.activations), wide, sqnr_db)


def float_path(target: Path) -> Path:
    """Where the float graph stands that a plan or training made, beside the QDQ model: encodings for it fit no other.

    Never the name of the exported model, which often stands there, too.
    """
    return target.with_name(f"{target.name.removesuffix('.onnx').removesuffix('.qdq')}.float.onnx")


def encoding_paths(target: Path) -> tuple[Path, Path]:
    """The encodings files of a QDQ model: formats 1.0.0 and 0.6.1."""
    stem = target.name.removesuffix(".onnx").removesuffix(".qdq")
    return target.with_name(f"{stem}.encodings"), target.with_name(f"{stem}.legacy.encodings")


def _json(content: Mapping[str, Any]) -> str:
    """One encoding per line: readable, and twenty times as fast to write as an indented document."""
    parts = [f'"{key}": {_lines(value)}' for key, value in content.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, list) and value:
        return "[\n " + ",\n ".join(json.dumps(item) for item in value) + "\n]"
    if isinstance(value, dict) and value:
        return "{\n " + ",\n ".join(f"{json.dumps(key)}: {json.dumps(item)}" for key, item in value.items()) + "\n}"
    return json.dumps(value)

"""One inference as a folder that anyone can repeat: DLC, inputs, golden outputs, manifest.

The layout is that of onnxruntime-qnn's partition bundles (pull request 547, bundle version 1), with one partition:

    manifest.json
    <graph>/<graph>.dlc
    <graph>/inputs/<input>.raw       in the model's own types
    <graph>/goldens/<output>.raw     what is right
    <graph>/emulator/<output>.raw    what the emulated HTP computed
    <graph>/input_list.txt           for qnn-net-run, called in that folder
"""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import snpe_tools.dlc as dlc_format
from snpe_tools.core.dtypes import DataType
from snpe_tools.core.errors import UsageError
from snpe_tools.core.files import sha256, whole_file, whole_folder, write_text
from snpe_tools.core.raw_files import flat_name, named, read_inputs, read_list
from snpe_tools.core.socs import DEFAULT, Soc
from snpe_tools.core.tensor_spec import Array, TensorSpec
from snpe_tools.core.validation import chosen
from snpe_tools.execution.emulator import run
from snpe_tools.project.provenance import versions
from snpe_tools.qnn.library import QAIRT_BUILD
from snpe_tools.steps.compare import onnx_outputs

_VERSION = 1
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
_ARCHIVES = (".tar.gz", ".tgz")


@dataclass(frozen=True)
class Bundle:
    """What was written: a folder, or an archive of one. `different` counts outputs that are not the golden bits."""

    path: Path
    graph: str
    goldens: str
    outputs: int
    different: int


def bundle(
    dlc: Path,
    input_list: Path,
    target: Path,
    *,
    index: int = 0,
    model: Path | None = None,
    soc: Soc = DEFAULT,
    native: bool = False,
) -> Bundle:
    """Write the bundle of one inference of an input list.

    Args:
        target: a folder, or a file `….tar.gz`; replaced.
        index: which inference, from 0.
        model: the ONNX model; ONNX Runtime's CPU results of it are then the golden outputs. Without one, those of
            the emulator are.
        native: the list's raw files hold the model's own types.

    Raises:
        UsageError: the list has no such inference.
        SnpeToolsError: the DLC or the list cannot be used, or the DLC does not run.
    """
    if not target.name.endswith(_ARCHIVES):
        with whole_folder(target, known_by="manifest.json") as folder:
            found = _write(dlc, input_list, folder, index, model, soc, native=native)
        return Bundle(target, *found)
    with tempfile.TemporaryDirectory() as scratch, whole_file(target) as temporary:
        folder = Path(scratch) / target.name.removesuffix(".tgz").removesuffix(".tar.gz")
        folder.mkdir()
        found = _write(dlc, input_list, folder, index, model, soc, native=native)
        with tarfile.open(temporary, "w:gz") as archive:
            archive.add(folder, arcname=folder.name)
    return Bundle(target, *found)


def _write(
    dlc: Path, input_list: Path, folder: Path, index: int, model: Path | None, soc: Soc, *, native: bool
) -> tuple[str, str, int, int]:
    with dlc_format.open(dlc) as opened:
        graph = opened.graph.name
        inputs = [tensor.spec for tensor in opened.graph.inputs]
        outputs = [tensor.spec for tensor in opened.graph.outputs]
    part = folder / _safe(graph)
    part.mkdir()
    copied = part / f"{part.name}.dlc"
    shutil.copyfile(dlc, copied)
    _save(part / "inputs", inputs, _inputs(input_list, index, inputs, native=native))
    words = " ".join(f"{spec.name}:=inputs/{_safe(spec.name)}.raw" for spec in inputs)
    write_text(part / "input_list.txt", words + "\n")
    emulated = _emulated(copied, part / "input_list.txt", outputs, soc)
    _save(part / "emulator", outputs, emulated)
    right = emulated if model is None else _right(model, part / "input_list.txt", outputs)
    _save(part / "goldens", outputs, right)
    source = "hexagon-emulator" if model is None else "cpu"
    manifest = _manifest(part.name, inputs, outputs) | _origin(dlc, soc, source)
    write_text(folder / "manifest.json", json.dumps(manifest, indent=2) + "\n")
    different = sum(not np.array_equal(emulated[spec.name], right[spec.name]) for spec in outputs)
    return graph, source, len(outputs), different


def _inputs(input_list: Path, index: int, specs: Sequence[TensorSpec], *, native: bool) -> Mapping[str, Array]:
    parsed = read_list(input_list)
    if not 0 <= index < len(parsed.lines):
        raise UsageError(f"{input_list} has {len(parsed.lines)} inferences; there is no inference {index}.")
    return read_inputs(named(parsed.lines[index], specs, input_list, index), specs, native=native)


def _emulated(dlc: Path, listed: Path, specs: Sequence[TensorSpec], soc: Soc) -> dict[str, Array]:
    with tempfile.TemporaryDirectory() as folder:
        run(dlc, listed, Path(folder), soc=soc, native_inputs=True, native_outputs=True)
        return {
            spec.name: np.fromfile(Path(folder) / "Result_0" / flat_name(spec.name), spec.dtype.numpy) for spec in specs
        }


def _right(model: Path, listed: Path, specs: Sequence[TensorSpec]) -> dict[str, Array]:
    found = onnx_outputs(model, listed, native=True)
    arrays = chosen(model, found, [spec.name for spec in specs])
    return {spec.name: spec.to_native(array).ravel() for spec, array in zip(specs, arrays, strict=True)}


def _save(folder: Path, specs: Sequence[TensorSpec], arrays: Mapping[str, Array]) -> None:
    folder.mkdir()
    for spec in specs:
        (folder / f"{_safe(spec.name)}.raw").write_bytes(arrays[spec.name].tobytes())


def _manifest(part: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> dict[str, Any]:
    partition = {
        "name": part,
        "dlc_path": f"{part}/{part}.dlc",
        "inputs": [_described(spec, f"{part}/inputs") for spec in inputs],
        "outputs": [_described(spec, f"{part}/goldens") for spec in outputs],
    }
    return {"bundle_version": _VERSION, "partitions": [partition], "edges": []}


def _described(spec: TensorSpec, folder: str) -> dict[str, Any]:
    return {
        "name": spec.name,
        "dtype": _type_name(spec.dtype),
        "shape": list(spec.shape),
        "raw_file": f"{folder}/{_safe(spec.name)}.raw",
    }


def _type_name(dtype: DataType) -> str:
    """ONNX Runtime's names: "float", "int32_t", …."""
    name = dtype.numpy.name
    return {"float32": "float", "float64": "double"}.get(name, f"{name}_t" if "int" in name else name)


def _origin(dlc: Path, soc: Soc, source: str) -> dict[str, Any]:
    return {
        "goldens_source": source,
        "made_by": {
            "qairt": QAIRT_BUILD,
            "soc": soc.name,
            "dlc_sha256": sha256(dlc),
            "versions": versions("bundle"),
            "repeat": "qnn-net-run --dlc_path <graph>.dlc --backend libQnnHtp.so --input_list input_list.txt "
            "--use_native_input_files --use_native_output_files",
        },
    }


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name).lstrip(".") or "_"

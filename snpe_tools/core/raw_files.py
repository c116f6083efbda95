"""Raw files and input lists, as the SNPE tools read and write them.

A raw file is one tensor without a header: little endian, row-major, float32 unless native types are asked for.
An input list names the raw files of one inference per line; see raw_inputs/README.md for the grammar.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from snpe_tools.core.errors import StorageError, TensorError
from snpe_tools.core.files import require_file, whole_folder, write_text
from snpe_tools.core.tensor_spec import Array, TensorSpec

LIST_NAME = "list.txt"
_MAGIC = {
    b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"\x93NUMPY": "a NumPy array (.npy)",
    b"PK\x03\x04": "a zip archive or .npz", b"BM": "a BMP image", b"GIF8": "a GIF image",
}  # fmt: skip
_OTHER_SUFFIXES = {".png", ".jpg", ".jpeg", ".npy", ".npz", ".bmp", ".gif"}
_UNSAFE = re.compile(r"[^\w.:-]", re.ASCII)


@dataclass(frozen=True)
class InputList:
    """A parsed input list.

    Attributes:
        path: the list file.
        outputs: output tensors that its `%` line names.
        layers: output layers that its `#` line names.
        lines: raw files by input name, one mapping per inference. Of a single-input model the name may be "".
    """

    path: Path
    outputs: tuple[str, ...]
    layers: tuple[str, ...]
    lines: tuple[Mapping[str, Path], ...]


def read_list(path: Path, *, beside: bool = True) -> InputList:
    """Parse an input list. Relative paths count from the list's folder, and from the working folder where that fails.

    Args:
        beside: off, relative paths count from the working folder alone, as for the SNPE tools.

    Raises:
        TensorError: no inference in it, or a line that is not `name:=path …`.
    """
    require_file(path, "an input list")
    outputs: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    lines: list[Mapping[str, Path]] = []
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if line.startswith("%"):
            if outputs:
                raise TensorError(f"{path}, line {number}: a second line of outputs.", "Name all in one % line.")
            outputs = tuple(line[1:].split())
        elif line.startswith("#"):
            layers = tuple(line[1:].split())
        elif words:
            lines.append(_parse_line(words, path, number, beside=beside))
    if not lines:
        raise TensorError(f"{path} names no inputs.", "Each line names the raw files of one inference.")
    return InputList(path, outputs, layers, tuple(lines))


def _parse_line(words: Sequence[str], path: Path, number: int, *, beside: bool) -> Mapping[str, Path]:
    pairs = [word.split(":=", 1) if ":=" in word else ["", word] for word in words]
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names) or ("" in names and len(names) > 1):
        raise TensorError(
            f"{path}, line {number}: several raw files need a name each.",
            "Write `input_ids:=a.raw attention_mask:=b.raw`; paths cannot hold blanks.",
        )
    return {name: _resolve(place, path.parent) if beside else Path(place) for name, place in pairs}


def _resolve(place: str, folder: Path) -> Path:
    beside = folder / place
    return beside if beside.exists() or not Path(place).exists() else Path(place)


def check_list(inputs: InputList, specs: Sequence[TensorSpec], *, native: bool = False) -> None:
    """Check every line of a list against the model: names, presence, size and finite numbers of each file.

    Raises:
        TensorError: the first line that does not fit, with the bytes it should have.
    """
    for index, line in enumerate(inputs.lines):
        for spec in specs:
            file = named(line, specs, inputs.path, index)[spec.name]
            _check_size(file, spec, native=native)
            if spec.dtype.is_float:
                _require_finite(np.fromfile(file, spec.dtype.numpy if native else np.float32), file)


def _require_finite(values: Array, file: Path) -> None:
    """Refuse NaN and infinity: what is computed from them looks like numbers, and means nothing."""
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise TensorError(
            f"{file}: {bad} numbers are NaN or infinite.", "Check how the raw file was written; float32 is expected."
        )


def named(line: Mapping[str, Path], specs: Sequence[TensorSpec], path: Path, index: int) -> Mapping[str, Path]:
    """A line's files by input name, with the name filled in for a single-input model.

    Files for inputs that the model does not have, such as one that nothing read when it was converted, are left out.

    Raises:
        TensorError: other names than the model's.
    """
    if set(line) == {""} and len(specs) == 1:
        return {specs[0].name: line[""]}
    wanted = {spec.name for spec in specs}
    if set(line) > wanted:
        return {name: line[name] for name in wanted}
    if set(line) != wanted:
        raise TensorError(
            f"{path}: inference {index} names {sorted(line)}, and the model takes {sorted(wanted)}.",
            "Write `name:=path` for each input, with the model's own names.",
        )
    return line


def _check_size(file: Path, spec: TensorSpec, *, native: bool) -> None:
    try:
        size = file.stat().st_size
    except OSError as problem:
        raise TensorError(f"{file} (input {spec.name!r}) cannot be read: {problem.strerror}.") from problem
    wanted = spec.nbytes(native=native)
    if size != wanted or file.suffix.lower() in _OTHER_SUFFIXES:
        _refuse_other_formats(file)
    if size != wanted:
        kind = str(spec.dtype) if native else "float32"
        hint = (
            "Raw files hold float32 unless --native is given; int64 files are twice that size."
            if size == 2 * wanted
            else ""
        )
        raise TensorError(f"{file} has {size} bytes; input {spec.name!r} {spec.shape} needs {wanted} ({kind}).", hint)


def _refuse_other_formats(file: Path) -> None:
    """Name what a file is that holds no bare numbers."""
    with file.open("rb") as stream:
        head = stream.read(8)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")
    if kind:
        raise TensorError(
            f"{file} is {kind}; a raw file holds bare numbers.",
            "Write it with `array.astype('float32').tofile('x.raw')`, preprocessed as the model expects.",
        )


def read_inputs(line: Mapping[str, Path], specs: Sequence[TensorSpec], *, native: bool = False) -> dict[str, Array]:
    """The arrays of one inference in the model's own types.

    Raises:
        TensorError: a file is missing, has the wrong size, or holds numbers that the type cannot.
    """
    arrays = {}
    for spec in specs:
        _check_size(line[spec.name], spec, native=native)
        try:
            stored = np.fromfile(line[spec.name], spec.dtype.numpy if native else np.float32)
        except OSError as problem:
            raise TensorError(f"{line[spec.name]} cannot be read: {problem.strerror}.") from problem
        if stored.dtype.kind == "f":
            _require_finite(stored, line[spec.name])
        try:
            arrays[spec.name] = spec.to_native(stored)
        except TensorError as problem:
            raise TensorError(f"{line[spec.name]}: {problem.message}", problem.hint) from problem
    return arrays


def write_inputs(
    folder: Path,
    arrays: Mapping[str, Array],
    specs: Sequence[TensorSpec],
    outputs: Sequence[str] = (),
    *,
    native: bool = False,
    prove: Callable[[Path], None] | None = None,
) -> Path:
    """Write raw files `<input>/<i>.raw` and their list; the folder appears whole or not at all.

    Args:
        arrays: all inferences of each input, first axis = inference.
        specs: the model's inputs, in its order.
        outputs: names for the `%` line; none for calibration lists.
        prove: called with the written list before the folder takes its place; what it raises keeps the old one.

    Returns:
        The list file.

    Raises:
        TensorError: an input is missing, or has another size than the model's.
        UsageError: the folder holds something else.
        StorageError: no space.
    """
    count = _common_count(arrays, specs)
    with whole_folder(folder, known_by=LIST_NAME) as temporary:
        for spec in specs:
            _write_column(temporary / file_name(spec.name), arrays[spec.name], spec, native=native)
        lines = (" ".join(f"{spec.name}:={file_name(spec.name)}/{row}.raw" for spec in specs) for row in range(count))
        header = [f"%{' '.join(outputs)}"] if outputs else []
        write_text(temporary / LIST_NAME, "\n".join([*header, *lines, ""]))
        if prove:
            prove(temporary / LIST_NAME)
    return folder / LIST_NAME


def _common_count(arrays: Mapping[str, Array], specs: Sequence[TensorSpec]) -> int:
    counts = {spec.name: len(arrays[spec.name]) for spec in specs if spec.name in arrays}
    if set(counts) != {spec.name for spec in specs} or len(set(counts.values())) != 1:
        raise TensorError(
            f"Every input needs the same number of arrays; there are {counts} for {[spec.name for spec in specs]}."
        )
    return next(iter(counts.values()))


def _write_column(folder: Path, values: Array, spec: TensorSpec, *, native: bool) -> None:
    """Plain descriptors: opening and closing dominates files of a few kilobytes."""
    folder.mkdir()
    dtype = spec.dtype.numpy if native else np.dtype("<f4")
    size = spec.nbytes(native=native)
    stored = np.ascontiguousarray(values, dtype)
    if stored.nbytes != size * len(values):
        raise TensorError(f"Input {spec.name!r}: arrays of {values.shape[1:]} do not fit its shape {spec.shape}.")
    data = memoryview(stored.data).cast("B")
    prefix = os.fspath(folder) + os.sep
    for row in range(len(values)):
        descriptor = os.open(f"{prefix}{row}.raw", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            written = os.write(descriptor, data[row * size : (row + 1) * size])
        finally:
            os.close(descriptor)
        if written != size:
            raise StorageError(f"No space left while writing {folder}.")


def file_name(tensor: str) -> str:
    """A tensor's name as one safe file name: "/" and other separators become "_"."""
    return _UNSAFE.sub("_", tensor).lstrip(".") or "_"


def flat_name(tensor: str) -> str:
    """`a/b:0` → `a_b:0.raw`: every result beside the others."""
    return f"{file_name(tensor)}.raw"


def result_names(tensors: Iterable[str], name: Callable[[str], str] = flat_name) -> dict[str, str]:
    """The file of each tensor's result.

    Args:
        name: the file of a tensor, by its name.

    Raises:
        TensorError: two tensors would have one file.
    """
    names = {tensor: name(tensor) for tensor in tensors}
    if clash := first_clash(names):
        one, other = clash
        raise TensorError(
            f"The tensors {one!r} and {other!r} would both be written to {names[one]}.",
            "Rename one of them, or ask for one at a time.",
        )
    return names


def first_clash(names: Mapping[str, str]) -> tuple[str, str] | None:
    """The first two tensors that have the same file, from files by tensor; None where there are none."""
    owner: dict[str, str] = {}
    for tensor, file in names.items():
        if (other := owner.setdefault(file, tensor)) != tensor:
            return other, tensor
    return None


def nested_name(tensor: str) -> str:
    """`a/b:0` → `a/b:0.raw`, as `snpe-net-run` writes it: slashes become folders."""
    parts = [file_name(part) for part in PurePosixPath(tensor).parts if part.strip("/")]
    return "/".join(parts or ["_"]) + ".raw"

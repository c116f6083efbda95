"""The published table: milliseconds of models, precisions and devices, and how newer editions of it are read.

Rows come from `perf.yaml` of Qualcomm's wheel `qai-hub-models` (BSD-3-Clause). Kept are rows that a QNN runtime ran
wholly on the NPU, one for each model, component, precision and device: from a DLC where there is one, otherwise from a
context binary.
"""

from __future__ import annotations

import csv
import io
import lzma
import math
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snpe_tools.core.errors import DataError
from snpe_tools.core.files import require_file

SHIPPED = Path(__file__).parent / "data" / "published.csv.xz"
SOURCE = "qai-hub-models 0.65.0, perf.yaml (BSD-3-Clause, Qualcomm Technologies, Inc.)"
COLUMNS = ("model", "component", "precision", "device", "milliseconds")
PRECISIONS = {"float": "fp16", "w8a16": "w8a16", "w8a8": "w8a8"}
"""Precisions that are fitted: the table's name and this project's."""

_RUNTIMES = ("qnn_dlc", "qnn_context_binary", "precompiled_qnn_onnx")
_LARGEST_TABLE, _LARGEST_MEMBER = 1 << 26, 1 << 22
_PERF = re.compile(r"(?:[\w.-]+/)*models/(?P<model>\w+)/perf\.ya?ml")


@dataclass(frozen=True)
class Row:
    """One published figure; `name` is "model/component", `precision` as the table has it."""

    name: str
    precision: str
    device: str
    milliseconds: float


def shipped_rows() -> list[Row]:
    """The table that comes with the package."""
    return read_table(SHIPPED)


def read_table(path: Path) -> list[Row]:
    """Rows of a CSV table, plain or xz: with a column for each of `COLUMNS`; `runtime` and `ops_*` are heeded.

    Raises:
        InputError: no such file.
        DataError: not such a table, or a figure that is no positive number.
    """
    require_file(path, "a table of latencies")
    reader = csv.DictReader(io.StringIO(_text(path)))
    if missing := set(COLUMNS) - set(reader.fieldnames or ()):
        raise DataError(f"{path}: columns {', '.join(sorted(missing))} are missing.", f"Wanted: {', '.join(COLUMNS)}.")
    return _best(_of_line(entry, f"{path}, line {number}") for number, entry in enumerate(reader, 2) if _counts(entry))


def _text(path: Path) -> str:
    try:
        if path.suffix != ".xz":
            return path.read_text(encoding="utf-8")
        with lzma.open(path) as stream:
            data = stream.read(_LARGEST_TABLE + 1)
    except (lzma.LZMAError, EOFError, UnicodeDecodeError) as problem:
        raise DataError(f"{path} is no table of latencies: {problem}.", "Pass a CSV file, plain or xz.") from problem
    if len(data) > _LARGEST_TABLE:
        raise DataError(f"{path} unpacks to more than {_LARGEST_TABLE >> 20} MB.", "Pass a table of latencies.")
    return data.decode("utf-8", errors="replace")


def _counts(entry: dict[str, Any]) -> bool:
    """Whether a row was run by QNN, wholly on the NPU."""
    elsewhere = entry.get("ops_cpu") or entry.get("ops_gpu")
    return entry.get("runtime", _RUNTIMES[0]) in _RUNTIMES and not elsewhere and (
        entry.get("compute_unit", "NPU") == "NPU"
    )  # fmt: skip


def _of_line(entry: dict[str, Any], where: str) -> tuple[int, Row]:
    row = _row(entry["model"], entry["component"], entry["precision"], entry["device"], entry["milliseconds"], where)
    return _RUNTIMES.index(entry.get("runtime", _RUNTIMES[0])), row


def _row(model: Any, component: Any, precision: Any, device: Any, figure: Any, where: str) -> Row:  # noqa: ANN401
    try:
        milliseconds = float(figure)
    except (TypeError, ValueError):
        milliseconds = math.nan
    if not (math.isfinite(milliseconds) and milliseconds > 0):
        raise DataError(f"{where}: {figure!r} is no latency in milliseconds.", "Correct the figure or leave it out.")
    return Row(f"{model}/{component}", str(precision), str(device), milliseconds)


def _best(found: Iterable[tuple[int, Row]]) -> list[Row]:
    """One row for each model, precision and device: of the first runtime that has it."""
    best: dict[tuple[str, str, str], tuple[int, Row]] = {}
    for rank, row in found:
        key = (row.name, row.precision, row.device)
        if key not in best or rank < best[key][0]:
            best[key] = (rank, row)
    return [row for _, row in best.values()]


def read_wheel(path: Path) -> list[Row]:
    """Rows of every `perf.yaml` in a wheel of `qai-hub-models`.

    Raises:
        DataError: not such a wheel, or a damaged one.
    """
    require_file(path, "a wheel of qai-hub-models")
    try:
        with zipfile.ZipFile(path) as archive:
            found = list(_of_archive(archive))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as problem:
        raise DataError(f"{path} is no wheel: {problem}.", "Pass the .whl file of qai-hub-models.") from problem
    if not found:
        raise DataError(f"{path} holds no latency that a QNN runtime had on the NPU.", "Pass a qai-hub-models wheel.")
    return _best(found)


def _of_archive(archive: zipfile.ZipFile) -> Iterator[tuple[int, Row]]:
    for member in archive.infolist():
        if not (match := _PERF.fullmatch(member.filename)):
            continue
        if member.file_size > _LARGEST_MEMBER:
            raise DataError(f"{member.filename} is {member.file_size} bytes, more than any such file needs.")
        yield from _of_document(_yaml(archive.read(member), member.filename), match["model"], member.filename)


def _yaml(data: bytes, where: str) -> Any:  # noqa: ANN401 - any document
    import yaml

    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return yaml.load(data, Loader=loader)  # noqa: S506 - both are the safe one, the first in C
    except (yaml.YAMLError, RecursionError) as problem:
        raise DataError(f"{where} is no YAML: {str(problem).splitlines()[0]}") from problem


def _of_document(document: Any, model: str, where: str) -> Iterator[tuple[int, Row]]:  # noqa: ANN401
    """Precisions → components → performance_metrics → device → runtime → figures."""
    for precision, of_precision in _items(document, "precisions"):
        for component, of_component in _items(of_precision, "components"):
            for device, runtimes in _items(of_component, "performance_metrics"):
                for rank, runtime in enumerate(_RUNTIMES):
                    figures = runtimes.get(runtime) if isinstance(runtimes, dict) else None
                    if isinstance(figures, dict) and _on_npu(figures):
                        milliseconds = figures["inference_time_milliseconds"]
                        yield rank, _row(model, component, precision, device, milliseconds, where)


def _items(document: Any, key: str) -> Iterable[tuple[str, Any]]:  # noqa: ANN401
    found = document.get(key) if isinstance(document, dict) else None
    return found.items() if isinstance(found, dict) else ()


def _on_npu(figures: dict[str, Any]) -> bool:
    counts = figures.get("layer_counts")
    elsewhere = isinstance(counts, dict) and (counts.get("cpu") or counts.get("gpu"))
    unit = figures.get("primary_compute_unit", "NPU")
    return "inference_time_milliseconds" in figures and unit == "NPU" and not elsewhere

"""What commands print: one JSON document on stdout when asked for, tables for people on stderr otherwise."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from snpe_tools.progress import console

_printed: list[Any] = []


def finish(result: Any, *, as_json: bool) -> None:  # noqa: ANN401 - any dataclass or JSON value
    """Print the result as the one document on stdout, if JSON was asked for and none was printed yet."""
    if as_json and not _printed:
        _printed.append(result)
        json.dump(plain(result), sys.stdout, indent=1)
        sys.stdout.write("\n")


def plain(value: Any) -> Any:  # noqa: ANN401
    """A value as JSON can hold it: paths as strings, NaN and infinity as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> None:
    """A table for people; the first `left` columns are aligned left, figures right."""
    grid = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 3, 0, 0))
    for index, column in enumerate(columns):
        grid.add_column(column, justify="left" if index < left else "right", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    console.print(grid)


def size(count: int) -> str:
    """Bytes for people: "35.4 MB"."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":  # noqa: PLR2004
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def seconds(count: float) -> str:
    """Seconds for people; "-" where nothing was measured."""
    if math.isnan(count):
        return "-"
    return f"{count:.1f}" if count >= 1 else f"{count:.2g}"


def decibel(value: float | None) -> str:
    """An SQNR for people; "equal" where nothing differs."""
    return "equal" if value is None else f"{value:.1f}"

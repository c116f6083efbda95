"""What commands print: one JSON document on stdout when asked for, tables for people on stderr otherwise."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from snpe_tools.cli.terminal import console
from snpe_tools.core.json_text import json_text
from snpe_tools.core.printing import lines_printable, printable

_printed: list[Any] = []


def begin() -> None:
    """A command begins: nothing was printed yet."""
    _printed.clear()


def finish(result: Any, *, as_json: bool) -> None:  # noqa: ANN401 - any dataclass or JSON value
    """Print the result as the one document on stdout, if JSON was asked for and none was printed yet."""
    if as_json and not _printed:
        _printed.append(result)
        sys.stdout.write(json_text(result) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> None:
    """A table for people; the first `left` columns are aligned left, figures right."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 3, 0, 0))
    for index, column in enumerate(columns):
        grid.add_column(column, justify="left" if index < left else "right", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(lines_printable(cell)) for cell in row))
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


def show(text: str = "") -> None:
    """One line of a listing, on stdout, so that it can be searched and paged."""
    sys.stdout.write(f"{printable(text)}\n")


def listing(rows: Iterable[Sequence[str]], *, indent: int = 2) -> None:
    """Rows as aligned columns on stdout; the last column is as wide as it is."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]) - 1)] if cells else []
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        sys.stdout.write((" " * indent + "   ".join([*padded, row[-1]])).rstrip() + "\n")


def comma_separated(rows: Iterable[Sequence[str]]) -> None:
    """Rows as CSV on stdout."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerows([printable(cell) for cell in row] for row in rows)


def count(number: float) -> str:
    """A large number for people: "33.1 M"."""
    amount = float(number)
    for unit in ("", " k", " M", " G", " T"):
        if abs(amount) < 1000 or unit == " T":  # noqa: PLR2004
            break
        amount /= 1000
    return f"{amount:.0f}" if unit == "" else f"{amount:.1f}{unit}"

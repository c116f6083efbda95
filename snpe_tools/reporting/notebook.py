"""What the notebooks show: tables and pictures of the same documents as the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from snpe_tools.reporting.documents import Accuracy, Layers

if TYPE_CHECKING:
    from snpe_tools.scoring.explained import Explained
    from snpe_tools.tasks import ExampleRecord, Sheet

_COLOURS = (
    "--ink:#1b1f24;--faint:#a9b1ba;--softmax:#b42318;--matmul:#0b62a4;--norm:#1a7f37;--other:#8c959f;"
    "--range:#c9d4df;--seen:#0b62a4"
)


_NOTHING = "-"


@dataclass(frozen=True)
class Table:
    """Rows of text that a notebook shows as a table."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='text-align:left'>{escape(cell)}</th>" for cell in self.columns)
        rows = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        return f"<table><tr>{head}</tr>{rows}</table>"


@dataclass(frozen=True)
class Picture:
    """A picture of `snpe_tools.reporting.plots`, on white."""

    svg: str

    def _repr_html_(self) -> str:
        return f'<div style="{_COLOURS};background:#fff;max-width:40rem;padding:.5rem">{self.svg}</div>'


def scores_table(accuracy: Accuracy) -> Table:
    """The score of every runner."""
    rows = [
        (
            row.runner,
            str(row.examples),
            f"{row.score:.2f}",
            "{:.1f} … {:.1f}".format(*row.interval),
            *(f"{value:.2f}" for value in row.others.values()),
            f"{row.float_score:.2f}",
            f"{row.same:.1f} %",
        )
        for row in accuracy.runners
    ]
    label, words = accuracy.metric.label, accuracy.words
    others = [key.upper() for key in accuracy.other_metrics]
    return Table(
        ("stage", words.examples, label, "95 % interval", *others, f"float {label}", f"same {words.predictions}"), rows
    )


def devices_table(accuracy: Accuracy) -> Table:
    """The devices that were asked, and those that failed."""
    asked = [
        (row.device, f"{row.soc} (HTP {row.htp})", row.os, f"{row.runtime}{', emulated' if row.emulated else ''}",
         row.profile)
        for row in accuracy.devices
    ]  # fmt: skip
    failed = [(row.runner, "failed", _NOTHING, row.error, _NOTHING) for row in accuracy.failed]
    return Table(("device", "SoC", "system", "runtime", "profile"), asked + failed)


def pairs_table(accuracy: Accuracy) -> Table:
    """Every two runners, and whether their difference is more than luck."""
    rows = [
        (pair.first, pair.second, str(pair.examples), f"{pair.difference:+.2f}", f"{pair.p_value:.2f}",
         "more than luck" if pair.is_news else "may be luck")
        for pair in accuracy.pairs
    ]  # fmt: skip
    return Table(("stage", "against it", accuracy.words.examples, accuracy.metric.label, "p", ""), rows)


def changed_table(sheet: Sheet[Any]) -> Table:
    """Examples for which some runner predicts something else than the float model."""
    rows = [(example.id, example.text, *_texts(example, sheet.runners)) for example in sheet.changed()]
    return Table(("id", sheet.noun, *sheet.runners), rows)


def _texts(example: ExampleRecord[Any], runners: Sequence[str]) -> list[str]:
    known = example.predictions
    return [known[runner].text if runner in known else _NOTHING for runner in runners]


def predictions_table(found: Explained) -> Table:
    """Every runner's prediction for one example."""
    rows = [
        (row.runner, row.record.text or f"(no {found.words.prediction})",
         _NOTHING if row.record.confidence is None else f"{row.record.confidence:.3f}", f"{row.record.score:.0f}")
        for row in found.rows
    ]  # fmt: skip
    return Table(("stage", found.words.prediction, found.words.confidence, found.metric.label), rows)


def worst_table(layers: Layers, count: int = 10) -> Table:
    """The ops that lose most."""
    rows = [
        (row.op, row.tensor, "equal" if row.sqnr_db is None else f"{row.sqnr_db:.1f}", row.cause)
        for row in layers.worst(count)
    ]
    return Table(("op", "tensor", "SQNR dB", "likely cause"), rows)

"""What the notebooks show: tables and pictures of the same documents as the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from snpe_tools.reporting.documents import Accuracy, Layers

if TYPE_CHECKING:
    from snpe_tools.scoring.answers_file import Asked, Sheet
    from snpe_tools.steps.explain import Explained

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
    """F1 of every stage."""
    rows = [
        (
            row.stage,
            str(row.questions),
            f"{row.f1:.2f}",
            "{:.1f} … {:.1f}".format(*row.f1_interval),
            f"{row.em:.2f}",
            f"{row.float_f1:.2f}",
            f"{row.same:.1f} %",
        )
        for row in accuracy.stages
    ]
    return Table(("stage", "questions", "F1", "95 % interval", "EM", "float F1", "same answers"), rows)


def devices_table(accuracy: Accuracy) -> Table:
    """The devices that were asked, and those that failed."""
    asked = [
        (row.device, f"{row.soc} (HTP {row.htp})", row.os, f"{row.runtime}{', emulated' if row.emulated else ''}",
         row.profile)
        for row in accuracy.devices
    ]  # fmt: skip
    failed = [(row.stage, "failed", _NOTHING, row.error, _NOTHING) for row in accuracy.lost]
    return Table(("device", "SoC", "system", "runtime", "profile"), asked + failed)


def pairs_table(accuracy: Accuracy) -> Table:
    """Every two stages, and whether their difference is more than luck."""
    rows = [
        (pair.first, pair.second, str(pair.questions), f"{pair.difference:+.2f}", f"{pair.p_value:.2f}",
         "more than luck" if pair.is_news else "may be luck")
        for pair in accuracy.pairs
    ]  # fmt: skip
    return Table(("stage", "against it", "questions", "F1", "p", ""), rows)


def changed_table(sheet: Sheet) -> Table:
    """Questions that some stage answers with other words than the float model."""
    rows = [(asked.id, asked.text, *_texts(asked, sheet.stages)) for asked in sheet.changed()]
    return Table(("id", "question", *sheet.stages), rows)


def _texts(asked: Asked, stages: Sequence[str]) -> list[str]:
    return [asked.answers[stage].text if stage in asked.answers else _NOTHING for stage in stages]


def answers_table(found: Explained) -> Table:
    """Every stage's answer to one question."""
    rows = [
        (row.stage, row.given.text or "(no answer)", _NOTHING if row.given.score is None else f"{row.given.score:.3f}",
         f"{row.given.f1:.0f}")
        for row in found.rows
    ]  # fmt: skip
    return Table(("stage", "answer", "start + end logit", "F1"), rows)


def worst_table(layers: Layers, count: int = 10) -> Table:
    """The ops that lose most."""
    rows = [
        (row.op, row.tensor, "equal" if row.sqnr_db is None else f"{row.sqnr_db:.1f}", row.cause)
        for row in layers.worst(count)
    ]
    return Table(("op", "tensor", "SQNR dB", "likely cause"), rows)

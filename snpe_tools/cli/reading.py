"""The commands that read what `score` kept: report, explain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snpe_tools.cli import options
from snpe_tools.cli.output import finish, table
from snpe_tools.core.progress import say
from snpe_tools.project.settings import DEFAULT_MODEL


def report(
    model: options.Model = DEFAULT_MODEL,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Page to write; Models/<model>/report.html by default.")
    ] = None,
    layers: Annotated[
        Path | None, typer.Option(help="What `compare --layers -o` wrote; float against QDQ by default.")
    ] = None,
    root: options.Root = Path(),
    as_json: options.Json = False,
) -> None:
    """The last scores as one HTML page. It needs no network."""
    from snpe_tools import report as run_report
    from snpe_tools.core.files import size_of

    page = run_report(model, root, output, layers=layers)
    say(f"{page}: {size_of(page) / 1e3:.0f} kB. Open it in any browser.")
    finish({"report": page, "bytes": size_of(page)}, as_json=as_json)


def explain(
    example: Annotated[
        str, typer.Argument(metavar="QUESTION", help="The question's id, as in the data.", show_default=False)
    ],
    model: options.Model = DEFAULT_MODEL,
    root: options.Root = Path(),
    as_json: options.Json = False,
) -> None:
    """One question through every stage. As the last scores have it."""
    from snpe_tools import explain as run_explain

    found = run_explain(example, model, root)
    words, nothing = found.words, f"(no {found.words.prediction})"
    say(f"{found.shown}\n\naccepted: {' | '.join(found.gold) or nothing}\n")
    others = [key.upper() for key in found.rows[0].record.others]
    columns = ("stage", words.prediction, words.confidence, "against float", found.metric.label, *others, "tied with")
    rows = [
        (
            row.runner,
            row.record.text or nothing,
            "none finite" if row.record.confidence is None else f"{row.record.confidence:.4f}",
            "" if row.shift is None else f"{row.shift:+.4f}",
            f"{row.record.score:.0f}",
            *(f"{value:.0f}" for value in row.record.others.values()),
            " | ".join(row.record.tied),
        )
        for row in found.rows
    ]
    table(columns, rows, left=2)
    say(found.verdict)
    finish(found.as_dict(), as_json=as_json)

"""Context binaries: `extract`, and what `info` shows of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snpe_tools.cli import options
from snpe_tools.cli.output import finish, listing, show, size
from snpe_tools.core.progress import say


def extract(
    dlc: Annotated[Path, typer.Argument(help="A DLC with caches, as `prepare` writes it.", show_default=False)],
    output: options.Output,
    soc: options.SocName = "sm8650",
    as_json: options.Json = False,
) -> None:
    """DLC with caches → a context binary. The compiled graph of one SoC, for qnn-net-run and applications."""
    from snpe_tools.core.soc_names import parse_socs
    from snpe_tools.steps.extract import extract_context

    (chosen,) = parse_socs(soc)[:1]
    made = extract_context(dlc, chosen, output)
    say(f"{made.file}: {size(made.bytes)}, compiled for {made.soc} by {made.built_by or 'an unknown version'}.")
    finish(made, as_json=as_json)


def is_context(file: Path) -> bool:
    """Whether a file begins as context binaries do."""
    from snpe_tools.dlc.identify import CONTEXT_MAGIC

    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(len(CONTEXT_MAGIC)) == CONTEXT_MAGIC


def show_context(file: Path, *, as_json: bool) -> None:
    """What `info` says of a context binary."""
    from snpe_tools.qnn.context_info import read_context
    from snpe_tools.qnn.isolation import isolated

    found = isolated(read_context, file)
    if as_json:
        finish({"kind": "context binary", **vars(found)}, as_json=True)
        return
    show(f"{found.file}: {size(found.bytes)}, a QNN context binary: graphs compiled for one HTP")
    soc = found.soc if found.soc_id else "any (none is stated)"
    show(f"compiled for {soc} (SoC {found.soc_id}) by {found.built_by}; core API {found.core_api}")
    for graph in found.graphs:
        show(f"graph {graph.name}")
        for label, tensors in (("inputs", graph.inputs), ("outputs", graph.outputs)):
            show(label)
            listing((tensor.name, "x".join(map(str, tensor.shape)) or "scalar", tensor.dtype) for tensor in tensors)

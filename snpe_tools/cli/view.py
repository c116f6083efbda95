"""view: graphs in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def view(
    files: Annotated[list[Path], typer.Argument(help="DLC or ONNX files; each is a model in the page's list.")],
    layers: Annotated[Path | None, typer.Option(help="What `compare --layers -o` wrote: SQNR by colour.")] = None,
    profile: Annotated[Path | None, typer.Option(help="profile.json of `net-run`: cycles by colour.")] = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 0,
    browser: Annotated[bool, typer.Option(help="Open a browser; the address is printed anyway.")] = True,
) -> None:
    """DLC and ONNX graphs in a browser. By Model Explorer (pip install 'snpe-tools[view]'), on this machine only."""
    from snpe_tools.inspection.viewer.serving import make_view, serve

    serve(make_view(files, layers, profile), port, browser=browser)

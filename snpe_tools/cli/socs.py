"""socs: which SoCs are known, what each can run, and what it needs for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from snpe_tools.cli import options
from snpe_tools.cli.output import finish, table
from snpe_tools.core.progress import say

if TYPE_CHECKING:
    from snpe_tools.core.socs import Soc


def socs(
    name: Annotated[
        str, typer.Argument(help='Only these: sm8650, "Snapdragon 8 Gen 3", "Galaxy S24".', show_default=False)
    ] = "",
    as_json: options.Json = False,
) -> None:
    """Known SoCs. Their HTP, what it can run, and the devices that have them."""
    from snpe_tools.core.soc_names import note, parse_socs
    from snpe_tools.core.socs import BY_NAME

    found = parse_socs(name) if name else sorted(BY_NAME.values(), key=lambda soc: (soc.arch, soc.name))
    columns = ("SoC", "id", "HTP", "VTCM", "w8a8", "w8a16", "w16a16", "fp16", "Linux without SDK", "product", "devices")
    table(columns, [_row(one) for one in found], left=len(columns))
    for one in name.split(","):
        if told := note(one):
            say(f"{one.strip()}: {told}")
    say(
        f"VTCM in MiB. Caches that are compiled here need QAIRT {_build()} or later on the device.\n"
        "A SoC that is not listed runs what is compiled for one of the same HTP version: --soc NAME."
    )
    finish([_as_dict(one) for one in found], as_json=as_json)


def _build() -> str:
    from snpe_tools.qnn.library import QAIRT_BUILD

    return ".".join(QAIRT_BUILD.split(".")[:2])


def _runs(soc: Soc) -> dict[str, bool]:
    from snpe_tools.core.precision import Precision

    return {text: Precision.parse(text).need.fits(soc) for text in ("w8a8", "w8a16", "w16a16", "fp16")}


def _row(soc: Soc) -> tuple[str, ...]:
    from snpe_tools.core.soc_names import DEVICES

    runs = ["yes" if fits else "-" for fits in _runs(soc).values()]
    without = "yes" if soc.arch in _wheel_archs() else "-"
    devices = ", ".join(DEVICES.get(soc.name, ()))
    return (soc.name, str(soc.id), f"v{soc.arch}", str(soc.vtcm or "-"), *runs, without, soc.marketing, devices)


def _wheel_archs() -> tuple[int, ...]:
    from snpe_tools.devices.runtimes.wheel import ARCHS

    return ARCHS


def _as_dict(soc: Soc) -> dict[str, object]:
    from snpe_tools.core.soc_names import DEVICES

    return {
        "name": soc.name, "id": soc.id, "htp": soc.arch, "vtcm_mib": soc.vtcm or None, "runs": _runs(soc),
        "product": soc.marketing or None, "devices": DEVICES.get(soc.name, ()), "caches_need_qairt": _build(),
        "libraries": [f"libQnnHtpV{soc.arch}Stub.so", f"libQnnHtpV{soc.arch}Skel.so"],
        "linux_without_sdk": soc.arch in _wheel_archs(),
    }  # fmt: skip

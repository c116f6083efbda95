"""DLC → DLC with a compiled HTP cache per SoC, so that the device need not compile at its first start."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import snpe_tools.dlc as dlc_format
from snpe_tools.core.errors import UsageError
from snpe_tools.core.files import check_target, scratch_folder, whole_file
from snpe_tools.core.progress import progress
from snpe_tools.core.socs import Soc, check_fit
from snpe_tools.inspection.targets import need_of
from snpe_tools.project.provenance import recorded
from snpe_tools.toolchains import Preparation, Toolchain
from snpe_tools.toolchains.pypi import PyPI

_FOLDER_FACTOR = 4
"""Free space wanted for each byte of the DLC: a cache is as large as its graph."""


@dataclass(frozen=True)
class Prepared:
    """A prepared DLC, the bytes of its cache for each SoC, and how the toolchain made it."""

    dlc: Path
    caches: dict[str, int]
    notes: dict[str, Any] = field(default_factory=dict)


def prepare(dlc: Path, target: Path, socs: Sequence[Soc], *, toolchain: Toolchain | None = None) -> Prepared:
    """Add a compiled HTP cache for each SoC to a copy of a DLC; its graph and weights stay as they are.

    Args:
        toolchain: who compiles; PyPI's runtime by default.

    Raises:
        UsageError: a SoC that cannot run this DLC, by name (fp16 on an HTP without float maths), or that it already
            has a cache for.
        ConversionError: the compiler wrote no cache for a SoC.
        QnnError: the compiler refused the graph for a SoC.
        DlcError: the file is not a readable DLC.
    """
    check_target(target, dlc)
    with dlc_format.open(dlc) as source:
        check_fit(str(dlc), socs, need_of(source))
        _require_new(dlc, {cache.soc for cache in source.caches}, socs)
    maker = toolchain or PyPI()
    settings = {"socs": [soc.name for soc in socs], "toolchain": maker.label}
    with (
        recorded("prepare", {"dlc": dlc}, settings, {"prepared": target}) as notes,
        scratch_folder(_FOLDER_FACTOR * dlc.stat().st_size) as folder,
        progress("compiling", len(socs)) as advance,
    ):
        made = maker.prepare(Preparation(dlc, socs, target), folder, advance)
        with whole_file(target) as temporary:
            shutil.copyfile(made.dlc, temporary)
        notes.update(made.notes)
    with dlc_format.open(target) as written:
        caches = {cache.soc: cache.record.size for cache in written.caches}
    return Prepared(target, caches, made.notes)


def _require_new(dlc: Path, known: set[str], socs: Sequence[Soc]) -> None:
    twice = [soc.name for soc in socs if soc.name in known]
    if twice:
        raise UsageError(
            f"{dlc} already has a cache for {', '.join(twice)}.",
            "Prepare the DLC that `convert` wrote, without caches.",
        )

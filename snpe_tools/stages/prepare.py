"""DLC → DLC with a compiled HTP cache per SoC, so that the device need not compile at its first start."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import snpe_tools.dlc as dlc_format
from snpe_tools.errors import ConversionError, UsageError
from snpe_tools.files import scratch_folder, whole_file
from snpe_tools.inspection.targets import need_of
from snpe_tools.progress import progress
from snpe_tools.provenance import recorded
from snpe_tools.qnn.isolation import isolated
from snpe_tools.qnn.session import Session
from snpe_tools.socs import Soc, check_fit

_FOLDER_FACTOR = 4
"""Free space wanted for each byte of the DLC: a cache is as large as its graph."""


@dataclass(frozen=True)
class Prepared:
    """A prepared DLC, and the bytes of its cache for each SoC."""

    dlc: Path
    caches: dict[str, int]


def prepare(dlc: Path, target: Path, socs: Sequence[Soc]) -> Prepared:
    """Add a compiled HTP cache for each SoC to a copy of a DLC; its graph and weights stay as they are.

    Raises:
        UsageError: a SoC that cannot run this DLC, by name (fp16 on an HTP without float maths), or that it already
            has a cache for.
        ConversionError: the compiler wrote no cache for a SoC.
        QnnError: the compiler refused the graph for a SoC.
        DlcError: the file is not a readable DLC.
    """
    with dlc_format.open(dlc) as source:
        check_fit(str(dlc), socs, need_of(source))
        _require_new(dlc, {cache.soc for cache in source.caches}, socs)
    with (
        recorded("prepare", {"dlc": dlc}, {"socs": [soc.name for soc in socs]}, {"prepared": target}),
        scratch_folder(_FOLDER_FACTOR * dlc.stat().st_size) as folder,
        progress("compiling", len(socs)) as advance,
    ):
        current = dlc
        for soc in socs:
            following = folder / f"{soc}.dlc"
            isolated(_add_cache, current, following, soc)
            _check_cache(following, soc)
            current = following
            advance()
        with whole_file(target) as temporary:
            shutil.copyfile(current, temporary)
    with dlc_format.open(target) as made:
        return Prepared(target, {cache.soc: cache.record.size for cache in made.caches})


def _require_new(dlc: Path, known: set[str], socs: Sequence[Soc]) -> None:
    twice = [soc.name for soc in socs if soc.name in known]
    if twice:
        raise UsageError(
            f"{dlc} already has a cache for {', '.join(twice)}.",
            "Prepare the DLC that `convert` wrote, without caches.",
        )


def _add_cache(dlc: Path, target: Path, soc: Soc) -> None:
    with Session(dlc, soc) as session:
        session.add_cache(target)


def _check_cache(path: Path, soc: Soc) -> None:
    with dlc_format.open(path) as dlc:
        if soc.name not in {cache.soc for cache in dlc.caches}:
            raise ConversionError(f"The compiler reported success for {soc}, and wrote no cache for it.")

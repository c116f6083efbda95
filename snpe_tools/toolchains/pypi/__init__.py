"""The toolchain that needs no SDK: ONNX Runtime's QNN execution provider and its IR backend write the DLC."""

from __future__ import annotations

import sys
from pathlib import Path

import snpe_tools.dlc as dlc_format
from snpe_tools.core.errors import ConversionError, UsageError
from snpe_tools.core.process import run
from snpe_tools.core.progress import Advance
from snpe_tools.core.socs import Soc
from snpe_tools.dlc.edit.rename import rename_graph
from snpe_tools.qnn.isolation import isolated
from snpe_tools.qnn.library import check_runtime
from snpe_tools.qnn.session import Session
from snpe_tools.toolchains import Conversion, NewDlc, Preparation
from snpe_tools.toolchains.pypi.refusals import explain


class PyPI:
    """ONNX Runtime QNN writes the DLC, the HTP library that comes with it compiles the caches."""

    label = "pypi"
    reads_qdq = True

    def convert(self, job: Conversion, folder: Path) -> NewDlc:
        """See `Toolchain.convert`; each refused operation is listed."""
        if job.quantization:
            raise UsageError(
                "ONNX Runtime QNN reads quantized models as QDQ, and quantizes nothing itself.",
                "Quantize first: snpe-tools quantize; or add --toolchain sdk.",
            )
        check_runtime()
        finished = run([sys.executable, "-m", "snpe_tools.toolchains.pypi.dump", job.onnx, folder, str(job.soc.id)])
        written = list(folder.glob("*.dlc"))
        if finished.status or len(written) != 1:
            raise explain(finished, len(written), job)
        rename_graph(written[0], job.graph)
        return NewDlc(written[0])

    def prepare(self, job: Preparation, folder: Path, advance: Advance) -> NewDlc:
        """See `Toolchain.prepare`."""
        current = job.dlc
        for soc in job.socs:
            following = folder / f"{soc}.dlc"
            isolated(_add_cache, current, following, soc)
            _check_cache(following, soc)
            current = following
            advance()
        return NewDlc(current)


def _add_cache(dlc: Path, target: Path, soc: Soc) -> None:
    with Session(dlc, soc) as session:
        session.add_cache(target)


def _check_cache(path: Path, soc: Soc) -> None:
    with dlc_format.open(path) as dlc:
        if soc.name not in {cache.soc for cache in dlc.caches}:
            raise ConversionError(f"The compiler reported success for {soc}, and wrote no cache for it.")

"""Where a DLC can run and where it cannot, as far as the file tells and this project knows."""

from __future__ import annotations

from dataclasses import dataclass

from snpe_tools.dlc.model import Dlc
from snpe_tools.inspection.history import compiled_caches
from snpe_tools.inspection.precision import computes_in_float
from snpe_tools.socs import BY_NAME

_SEEN = {
    (2, 5): "SNPE 1.19 to 1.22",
    (3, 0): "SNPE 1.3x to 1.68",
    (4, 0): "SNPE 2.19 and 2.20",
    (4, 1): "QAIRT 2.42 to 2.51",
}
"""Writers whose files were seen to have this container version."""


@dataclass(frozen=True)
class Target:
    """One statement about where the file runs."""

    where: str
    runs: bool
    why: str


def targets(dlc: Dlc) -> list[Target]:
    """What the file can and cannot run on."""
    return [_runtime(dlc), *_htp(dlc), *_compiled(dlc)]


def _runtime(dlc: Dlc) -> Target:
    seen = f"container {dlc.version[0]}.{dlc.version[1]}, as {_SEEN[dlc.version]} write it"
    if dlc.version[0] < 4:  # noqa: PLR2004
        return Target("SNPE 1.x runtimes", True, f"{seen}; for SNPE 2 or QAIRT convert the model again")  # noqa: FBT003
    return Target("SNPE 2.x and QAIRT runtimes", True, f"{seen}; an older runtime may refuse it")  # noqa: FBT003


def _htp(dlc: Dlc) -> list[Target]:
    """By Hexagon generation: float maths begins with v69."""
    floats = sorted({node.type for graph in dlc.graphs for node in graph.nodes if computes_in_float(node, graph)})
    without = [soc.name for soc in BY_NAME.values() if not soc.runs_float]
    capable = [soc.name for soc in BY_NAME.values() if soc.runs_float]
    listed = ", ".join(floats[:4]) + (" …" if len(floats) > 4 else "")  # noqa: PLR2004
    if not floats:
        return [Target("HTP of every SoC that snpe-tools knows", True, "all operations compute on integers")]  # noqa: FBT003
    return [
        Target(f"HTP v69 and later ({len(capable)} SoCs)", True, f"float operations run in fp16: {listed}"),  # noqa: FBT003
        Target(f"HTP v68 ({', '.join(without)})", False, f"it has no float maths, and these need it: {listed}"),  # noqa: FBT003
    ]


def _compiled(dlc: Dlc) -> list[Target]:
    compiled = [cache for cache in compiled_caches(dlc) if cache.record.startswith("htp.cache")]
    if not compiled:
        return []
    names = ", ".join(cache.soc for cache in compiled)
    return [
        Target(f"HTP of {names}, at once", True, "compiled in the file"),  # noqa: FBT003
        Target("other SoCs", True, "after compiling on the device at the first start"),  # noqa: FBT003
    ]

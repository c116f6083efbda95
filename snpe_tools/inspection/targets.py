"""Where a DLC can run and where it cannot, as far as the file tells and this project knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from snpe_tools.core.socs import BY_NAME, FLOAT_ARCH, OLDEST, WIDE_ARCH, Need, Soc
from snpe_tools.dlc.model import Dlc, Graph, Node
from snpe_tools.inspection.history import compiled_caches
from snpe_tools.inspection.loose import text
from snpe_tools.inspection.precision import computes_in_float

OWN_PACKAGE = "qti.aisw"
_PACKAGE_KEYS = ("packageName", "package_name", "PackageName")
_TYPE_KEYS = ("op_type", "operation_type", "OpType", "udo_type")
_UDO_TYPES = {"udo", "userdefinedop", "userdefined", "customop"}
_NOTHING_NEEDED = "no float maths, no products with 16-bit weights"
_SNPE_1 = {(2, 5), (3, 0)}
_WIDE_BITS, _SHOWN = 16, 4
_MULTIPLY = {"FullyConnected", "MatMul", "LayerNorm", "Conv1d", "Conv2d", "Conv3d", "DepthWiseConv2d"}
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
    why: str
    runs: bool = True


def targets(dlc: Dlc) -> list[Target]:
    """What the file can and cannot run on; a file of SNPE 1.x runs on nothing that is made today."""
    runtime = [_runtime(dlc), *_packages(dlc)]
    return runtime if dlc.version in _SNPE_1 else [*runtime, *_htp(dlc), *_compiled(dlc)]


def _runtime(dlc: Dlc) -> Target:
    seen = f"container {dlc.version[0]}.{dlc.version[1]}, as {_SEEN[dlc.version]} write it"
    if dlc.version in _SNPE_1:
        return Target("SNPE 1.x runtimes only", why=f"{seen}; for SNPE 2 or QAIRT convert the model again")
    return Target("SNPE 2.x and QAIRT runtimes", why=f"{seen}; an older runtime may refuse it")


def _packages(dlc: Dlc) -> list[Target]:
    """Operations that are not the runtime's own: each needs the library of its package."""
    found: dict[str, set[str]] = {}
    for node in (node for graph in dlc.graphs for node in graph.nodes):
        if package := user_package(node):
            found.setdefault(package, set()).add(_own_type(node))
    return [Target(f"only with the op package {name!r}", why=f"user-defined operations: {_listed([*types])}")
            for name, types in found.items()]  # fmt: skip


def user_package(node: Node) -> str:
    """The package of a user-defined operation, "" for the runtime's own ones."""
    named = next((text(node.attributes[key]) for key in _PACKAGE_KEYS if key in node.attributes), "")
    if named and named != OWN_PACKAGE:
        return named
    return "unnamed" if node.type.lower() in _UDO_TYPES and not named else ""


def _own_type(node: Node) -> str:
    return next((text(node.attributes[key]) for key in _TYPE_KEYS if key in node.attributes), node.type)


def _htp(dlc: Dlc) -> list[Target]:
    """By Hexagon generation."""
    need = need_of(dlc)
    unfit = [soc for soc in BY_NAME.values() if not need.fits(soc)]
    if not unfit:
        return [Target("HTP of every SoC that snpe-tools knows", why=need.why)]
    return [
        Target(f"HTP v{need.arch} and later ({len(BY_NAME) - len(unfit)} SoCs)", why=need.why),
        Target(f"HTP of {', '.join(_grouped(unfit))}", runs=False, why=f"they do not have {need.why}"),
    ]


def _grouped(unfit: Sequence[Soc]) -> Iterator[str]:
    """SoCs for people: an architecture as a whole where all of its SoCs are meant, else each by its name."""
    for arch in sorted({soc.arch for soc in unfit}):
        names = sorted(soc.name for soc in unfit if soc.arch == arch)
        if len(names) == sum(soc.arch == arch for soc in BY_NAME.values()):
            yield f"every SoC of v{arch}"
        else:
            yield from (f"{name} (v{arch})" for name in names)


def need_of(dlc: Dlc) -> Need:
    """What the operations of a file ask of the HTP."""
    nodes = [(node, graph) for graph in dlc.graphs for node in graph.nodes]
    floats = [node.type for node, graph in nodes if computes_in_float(node, graph)]
    wide = [node.type for node, graph in nodes if _has_wide_weight(node, graph)]
    words = [f"float maths of {_listed(floats)}"] if floats else []
    words += [f"16-bit weights of {_listed(wide)}"] if wide else []
    arch = WIDE_ARCH if wide else FLOAT_ARCH if floats else OLDEST
    return Need(arch, " and ".join(words) or _NOTHING_NEEDED, float_maths=bool(floats))


def _has_wide_weight(node: Node, graph: Graph) -> bool:
    """Whether the operation multiplies by 16-bit fixed-point weights."""
    weight = graph.tensors.get(node.inputs[1]) if len(node.inputs) > 1 and node.type in _MULTIPLY else None
    return weight is not None and weight.dtype.is_fixed_point and weight.dtype.bits == _WIDE_BITS


def _listed(types: list[str]) -> str:
    names = sorted(set(types))
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")


def _compiled(dlc: Dlc) -> list[Target]:
    compiled = [cache for cache in compiled_caches(dlc) if cache.record.startswith("htp.cache")]
    if not compiled:
        return []
    names = ", ".join(cache.soc for cache in compiled)
    return [
        Target(f"HTP of {names}, at once", why="compiled in the file"),
        Target("other SoCs", why="after compiling on the device at the first start"),
    ]

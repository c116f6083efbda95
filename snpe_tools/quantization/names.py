"""Names that a quantizer may invent without meeting one that the model has.

AIMET calls what it adds around a tensor `x` by names such as `x_q` and `x_scale`. Where the model has such a tensor
itself, one of the two would be lost; so it is renamed for as long as the model is quantized.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

_ADDED = ("_q", "_dq", "_qdq", "_scale", "_zero_point", "_updated", "_as_uint8", "_as_uint16")


def make_room(model: onnx.ModelProto) -> dict[str, str]:
    """Rename, in place, tensors that are called as a quantizer would call what it adds to another.

    Returns:
        The names that they had, by their new ones.
    """
    known = set(_names(model))
    clashing = [name for name in sorted(known) if any(name.removesuffix(end) in known - {name} for end in _ADDED)]
    aliases = {_unused(f"renamed.{place}.", known): name for place, name in enumerate(clashing)}
    rename_tensors(model, {name: alias for alias, name in aliases.items()})
    return aliases


def restore(model: onnx.ModelProto, aliases: Mapping[str, str]) -> None:
    """Give tensors back the names that they had, in place; what was added under such a name gets another."""
    known = set(_names(model))
    moved = {name: _unused(f"{name}.added", known) for name in aliases.values() if name in known}
    rename_tensors(model, moved | dict(aliases))


def restored_encodings(content: Mapping[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    """An encodings file's content, formats 0.6.1 and 1.0.0, with the names that the tensors had."""
    return {key: _restored(value, aliases) for key, value in content.items()}


def _restored(value: Any, aliases: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, list):
        return [entry if not isinstance(entry, dict) else entry | _name(entry, aliases) for entry in value]
    if isinstance(value, dict):
        return {aliases.get(key, key): entry for key, entry in value.items()}
    return value


def _name(entry: Mapping[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    return {"name": aliases[entry["name"]]} if entry.get("name") in aliases else {}


def rename_tensors(model: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Rename tensors of a graph without subgraphs, in place: old name to new name."""
    graph = model.graph
    for node in graph.node:
        for group in (node.input, node.output):
            for place, name in enumerate(group):
                group[place] = names.get(name, name)
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)


def _names(model: onnx.ModelProto) -> Iterable[str]:
    graph = model.graph
    yield from (value.name for value in (*graph.input, *graph.output, *graph.initializer))
    yield from (name for node in graph.node for name in (*node.input, *node.output) if name)


def _unused(name: str, known: set[str]) -> str:
    while name in known:
        name += "_"
    known.add(name)
    return name

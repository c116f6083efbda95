"""In which order a converter left the axes of each tensor, found by following them through its graph.

Convolutions, poolings and resizings work on maps with the channels last (QNN's operation set says so), whatever the
ONNX model does; elementwise operations keep the order of what they read, a Transpose changes it, and a Reduce drops
axes. Shapes alone do not say: the map of 16 channels and 16 x 16 positions has one shape in both orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from snpe_tools.layerwise.layer import Layer

Axes = tuple[int, ...]
"""For each axis of a tensor, which axis of the same tensor in the ONNX model it is."""

_MAPS = {
    "Conv2d", "DepthWiseConv2d", "TransposeConv2d", "Conv3d", "TransposeConv3d", "DepthWiseConv1d", "Conv1d", "Pool",
    "PoolAvg2d", "PoolMax2d", "PoolAvg3d", "PoolMax3d", "L2Pool2d", "Resize", "ResizeNearestNeighbor", "ResizeBilinear",
    "BatchNorm", "Batchnorm", "InstanceNorm", "GroupNorm", "Lrn", "DepthToSpace", "SpaceToDepth", "GridSample",
    "CropAndResize", "ImageProjectionTransform", "ChannelShuffle", "ExtractPatches", "RoiAlign",
}  # fmt: skip
"""QNN operations whose maps have the channels last."""
_LEAST = 3
"""Axes of a map: batch, channels, and one position at least."""


def channels_last(rank: int) -> Axes:
    """The order of a map with its channels last: (0, 2, 3, 1) of 4 axes."""
    return (0, *range(2, rank), 1)


@dataclass(frozen=True)
class _State:
    """A tensor of the converted graph: a copy of the original's `base`, with these axes (None: not certain)."""

    base: str
    axes: Axes | None


def find_axes(converted: Mapping[str, Layer], original: Mapping[str, Layer]) -> dict[str, Axes | None]:
    """The order of axes of each tensor of a converted graph, by key; None where it is not certain.

    Args:
        converted: layers of the DLC, by key, in order of execution.
        original: those of the ONNX model with the same keys; tensors that the converter put in are missing.
    """
    found: dict[str, _State] = {}
    for key, layer in converted.items():
        found[key] = _follow(key, layer, original, found)
    return {key: state.axes for key, state in found.items()}


def _follow(key: str, layer: Layer, original: Mapping[str, Layer], found: Mapping[str, _State]) -> _State:
    rank, known = len(layer.shape), original.get(key)
    if layer.op in _MAPS and rank >= _LEAST:
        return _State(key, channels_last(rank))
    state = _read(layer, found)
    axes = state.axes
    if known and axes is not None and state.base in original:
        axes = _beside(axes, state.base, known, original)
    return _State(key if known else state.base, None if axes is None else _behind(axes, layer, known))


def _read(layer: Layer, found: Mapping[str, _State]) -> _State:
    """What a layer reads, with as many axes as it has if there are several; inputs of the model are as they were."""
    rank = len(layer.perm) or len(layer.shape)
    read = [found[name] for name in layer.inputs if name in found]
    if not read:
        return _State("", tuple(range(rank)))
    unsure = next((state for state in read if state.axes is None), None)
    return unsure or next((state for state in read if len(state.axes or ()) == rank), read[0])


def _behind(before: Axes, layer: Layer, known: Layer | None) -> Axes | None:
    """The axes of what an operation writes, from those of what it reads."""
    rank = len(layer.shape)
    if layer.perm:
        return _transposed(before, layer.perm, known)
    if before == tuple(range(len(before))):
        return tuple(range(rank))
    if layer.dropped:
        return _renumbered(tuple(axis for place, axis in enumerate(before) if place not in layer.dropped))
    return None if layer.op == "Reshape" or len(before) != rank else before


def _transposed(before: Axes, perm: Axes, known: Layer | None) -> Axes | None:
    """Behind a Transpose: the model's own moves the axes of the original as well, one that was put in does not."""
    if len(before) != len(perm):
        return None
    moved = tuple(before[place] for place in perm)
    if known is None or not known.perm:
        return moved
    return tuple(known.perm.index(axis) for axis in moved) if len(known.perm) == len(moved) else None


def _beside(axes: Axes, base: str, known: Layer, original: Mapping[str, Layer]) -> Axes:
    """Axes of a copy of `base` as axes of what the original operation reads, with its Transposes between the two.

    A converter moves a Transpose of the model to another place, or drops it.
    """
    for read in known.inputs:
        name, moves = read, list[Axes]()
        while name != base and name in original and len(original[name].inputs) == 1:
            moves += [original[name].perm] if original[name].perm else []
            name = original[name].inputs[0]
        if name == base:
            for perm in reversed(moves):
                if len(perm) != len(axes):
                    return axes
                axes = tuple(perm.index(axis) for axis in axes)
            return axes
    return axes


def _renumbered(axes: Axes) -> Axes:
    order = sorted(axes)
    return tuple(order.index(axis) for axis in axes)

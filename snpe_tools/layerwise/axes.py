"""In which order a converter left the axes of each tensor, found by following them through its graph.

Convolutions, poolings and resizings work on maps with the channels last (QNN's operation set says so), whatever the
ONNX model does; elementwise operations keep the order of what they read, a Transpose changes it, and a Reduce drops
axes. Shapes alone do not say: the map of 16 channels and 16 x 16 positions has one shape in both orders.
"""

from __future__ import annotations

from collections.abc import Mapping

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


def find_axes(converted: Mapping[str, Layer], original: Mapping[str, Layer]) -> dict[str, Axes | None]:
    """The order of axes of each tensor of a converted graph, by key; None where it is not certain.

    Args:
        converted: layers of the DLC, by key, in order of execution.
        original: those of the ONNX model with the same keys; tensors that the converter put in are missing.
    """
    found: dict[str, Axes | None] = {}
    for key, layer in converted.items():
        found[key] = _follow(layer, original.get(key), found)
    return found


def _follow(layer: Layer, original: Layer | None, found: Mapping[str, Axes | None]) -> Axes | None:
    rank = len(layer.shape)
    plain = tuple(range(rank))
    if layer.op in _MAPS and rank >= _LEAST:
        return channels_last(rank)
    before = _read(layer, found)
    if before is None:
        return None
    if layer.perm:
        return _transposed(before or plain, layer, original)
    if _is_plain(before):
        return plain
    if layer.dropped:
        return _renumbered(tuple(axis for place, axis in enumerate(before) if place not in layer.dropped))
    return None if layer.op == "Reshape" or len(before) != rank else before


def _read(layer: Layer, found: Mapping[str, Axes | None]) -> Axes | None:
    """The order of what a layer reads: () where these are only inputs of the model, whose axes stay as they are."""
    read = [axes for axes in (found[name] for name in layer.inputs if name in found) if axes]
    if len(read) < sum(name in found for name in layer.inputs):
        return None
    return next((axes for axes in read if len(axes) == len(layer.shape)), read[0] if read else ())


def _is_plain(axes: Axes) -> bool:
    return axes == tuple(range(len(axes)))


def _transposed(before: Axes, layer: Layer, original: Layer | None) -> Axes | None:
    """Behind a Transpose: the model's own moves the axes of the original as well, one that was put in does not."""
    if len(before) != len(layer.perm):
        return None
    moved = tuple(before[place] for place in layer.perm)
    if original is None or not original.perm:
        return moved
    return tuple(original.perm.index(axis) for axis in moved) if len(original.perm) == len(moved) else None


def _renumbered(axes: Axes) -> Axes:
    order = sorted(axes)
    return tuple(order.index(axis) for axis in axes)

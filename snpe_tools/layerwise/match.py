"""Which tensor of one model is which of another, across conversions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from snpe_tools.core.tensor_spec import Array
from snpe_tools.layerwise.axes import Axes, find_axes
from snpe_tools.layerwise.layer import Layer, Source

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Pair:
    """The same tensor in two models.

    Attributes:
        one, other: in the first and in the second model.
        order: which axis of `other` stands where in `one`, axes of length 1 left out.
    """

    one: Layer
    other: Layer
    order: tuple[int, ...]

    @property
    def moved(self) -> bool:
        """Whether the axes stand in another order."""
        return self.order != tuple(range(len(self.order)))

    def aligned(self, values: Array) -> Array:
        """`values` of `other` with their axes in the order of `one`; axes of length 1 are left out."""
        return values.reshape(_squeezed(self.other.shape)).transpose(self.order) if self.moved else values


@dataclass(frozen=True)
class Matching:
    """Pairs in the first model's order, and what is left over.

    Attributes:
        pairs: the same tensor in both models; axes that a converter moved are moved back by `Pair.aligned`.
        reshaped: keys that both have, with shapes of which neither is the other with its axes moved in one way only.
        first_only, second_only: names that only one model has.
    """

    pairs: tuple[Pair, ...]
    reshaped: tuple[str, ...]
    first_only: tuple[str, ...]
    second_only: tuple[str, ...]

    @property
    def renamed(self) -> int:
        """Pairs whose names differ."""
        return sum(pair.one.name != pair.other.name for pair in self.pairs)

    @property
    def moved(self) -> int:
        """Pairs whose axes stand in another order."""
        return sum(pair.moved for pair in self.pairs)


def match(first: Source, second: Source) -> Matching:
    """Pair tensors by key, or by the node that writes them; their axes as the converter's graph says."""
    ones, others = first.layers, _keyed(second.layers, first.layers)
    if second.converted and not first.converted:
        axes = find_axes(others, ones)
    elif first.converted and not second.converted:
        axes = {key: _inverse(found) for key, found in find_axes(_keyed(ones, others), others).items()}
        ones = _keyed(ones, others)
    else:
        axes = {}
    pairs, reshaped = [], []
    for key in (key for key in ones if key in others):
        order = _order(ones[key].shape, others[key].shape, axes.get(key, tuple(range(len(others[key].shape)))))
        if order is None:
            reshaped.append(key)
        else:
            pairs.append(Pair(ones[key], others[key], order))
    return Matching(
        pairs=tuple(pairs),
        reshaped=tuple(reshaped),
        first_only=tuple(layer.name for key, layer in ones.items() if key not in others),
        second_only=tuple(layer.name for key, layer in others.items() if key not in ones),
    )


def _keyed(layers: Mapping[str, Layer], wanted: Mapping[str, Layer]) -> Mapping[str, Layer]:
    """Layers under the keys of another model: float DLCs call a tensor after the ONNX node that writes it."""
    by_node = {layer.node: key for key, layer in wanted.items() if layer.node}
    names = {key: by_node[key] for key in layers if key not in wanted and by_node.get(key, key) not in layers}
    if not names:
        return layers
    return {
        names.get(key, key): replace(
            layer, key=names.get(key, key), inputs=tuple(names.get(name, name) for name in layer.inputs)
        )
        for key, layer in layers.items()
    }


def _inverse(axes: Axes | None) -> Axes | None:
    return None if axes is None else tuple(axes.index(place) for place in range(len(axes)))


def _order(wanted: Shape, given: Shape, axes: Axes | None) -> tuple[int, ...] | None:
    """Which axis of `given` stands where in `wanted`, axes of length 1 left out; None where that is not certain.

    Args:
        axes: which axis of `wanted` each axis of `given` is, as the graph says; None where it does not.
    """
    sizes, others = _squeezed(wanted), _squeezed(given)
    if axes is not None and len(axes) == len(given) == len(wanted):
        kept = [axis for axis, size in zip(axes, given, strict=True) if size != 1]
        order = tuple(sorted(range(len(kept)), key=kept.__getitem__))
        if tuple(others[place] for place in order) == sizes:
            return order
    if sizes == others and (axes is not None or len(set(sizes)) == len(sizes)):
        return tuple(range(len(sizes)))
    if sorted(sizes) != sorted(others) or len(set(sizes)) < len(sizes):
        return None
    return tuple(others.index(size) for size in sizes)


def _squeezed(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)

"""Which tensor of one model is which of another, across conversions."""

from __future__ import annotations

from dataclasses import dataclass

from snpe_tools.core.tensor_spec import Array
from snpe_tools.layerwise.layer import Layer, Source

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Matching:
    """Pairs in the first model's order, and what is left over.

    Attributes:
        pairs: the same tensor in both models; axes that a converter moved are moved back by `aligned`.
        reshaped: keys that both have, with shapes of which neither is the other with its axes moved in one way only.
        first_only, second_only: names that only one model has.
    """

    pairs: tuple[tuple[Layer, Layer], ...]
    reshaped: tuple[str, ...]
    first_only: tuple[str, ...]
    second_only: tuple[str, ...]

    @property
    def renamed(self) -> int:
        """Pairs whose names differ."""
        return sum(one.name != other.name for one, other in self.pairs)

    @property
    def moved(self) -> int:
        """Pairs whose axes stand in another order."""
        return sum(_squeezed(one.shape) != _squeezed(other.shape) for one, other in self.pairs)


def match(first: Source, second: Source) -> Matching:
    """Pair tensors by key; shapes must be equal but for axes of length 1 and for the order of axes."""
    both = [key for key in first.layers if key in second.layers]
    fits = {key for key in both if _order(first.layers[key].shape, second.layers[key].shape) is not None}
    return Matching(
        pairs=tuple((first.layers[key], second.layers[key]) for key in both if key in fits),
        reshaped=tuple(key for key in both if key not in fits),
        first_only=tuple(layer.name for key, layer in first.layers.items() if key not in second.layers),
        second_only=tuple(layer.name for key, layer in second.layers.items() if key not in first.layers),
    )


def aligned(values: Array, one: Layer, other: Layer) -> Array:
    """`values` of `other` with their axes in the order of `one`; axes of length 1 are left out."""
    sizes, order = _squeezed(other.shape), _order(one.shape, other.shape)
    if order is None or order == list(range(len(sizes))):
        return values
    return values.reshape(sizes).transpose(order)


def _order(wanted: Shape, given: Shape) -> list[int] | None:
    """Which axis of `given` stands where in `wanted`; None where that is not certain: two axes of one length."""
    sizes, others = _squeezed(wanted), _squeezed(given)
    if sizes == others:
        return list(range(len(sizes)))
    if sorted(sizes) != sorted(others) or len(set(sizes)) < len(sizes):
        return None
    return [others.index(size) for size in sizes]


def _squeezed(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)

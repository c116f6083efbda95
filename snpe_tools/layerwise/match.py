"""Which tensor of one model is which of another, across conversions."""

from __future__ import annotations

from dataclasses import dataclass

from snpe_tools.layerwise.layer import Layer, Source


@dataclass(frozen=True)
class Matching:
    """Pairs in the first model's order, and what is left over.

    Attributes:
        pairs: the same tensor in both models.
        reshaped: keys that both have, with shapes that cannot be compared: a converter moved axes.
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


def match(first: Source, second: Source) -> Matching:
    """Pair tensors by key; shapes must be equal but for axes of length 1."""
    both = [key for key in first.layers if key in second.layers]
    fits = {key for key in both if _squeezed(first.layers[key]) == _squeezed(second.layers[key])}
    return Matching(
        pairs=tuple((first.layers[key], second.layers[key]) for key in both if key in fits),
        reshaped=tuple(key for key in both if key not in fits),
        first_only=tuple(layer.name for key, layer in first.layers.items() if key not in second.layers),
        second_only=tuple(layer.name for key, layer in second.layers.items() if key not in first.layers),
    )


def _squeezed(layer: Layer) -> tuple[int, ...]:
    return tuple(size for size in layer.shape if size != 1)

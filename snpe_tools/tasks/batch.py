"""Examples as a model reads them, and what it computes of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from snpe_tools.core.errors import CheckpointError
from snpe_tools.core.tensor_spec import Array

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float32]
Rows = NDArray[np.intp]


class Batch(ABC):
    """Examples as arrays, one row for each inference; an example may need several inferences.

    A task's own class says what the arrays are, and keeps what decoding needs.
    """

    @property
    @abstractmethod
    def examples(self) -> Sequence[Any]:
        """The examples, each of them with `id` and `text`."""

    @property
    @abstractmethod
    def owners(self) -> IntArray:
        """Int32 (inferences,): the index of each inference's example."""

    @property
    @abstractmethod
    def arrays(self) -> Mapping[str, Array]:
        """By input name, (inferences, ...)."""

    @property
    def real(self) -> NDArray[np.bool_] | None:
        """Bool (inferences, places): which places of the outputs are no padding; None where there is none."""
        return None

    @property
    def length(self) -> int:
        """Places of the second axis of inputs whose length may vary; 0 where none does."""
        return 0 if self.real is None else int(self.real.shape[1])

    @abstractmethod
    def take(self, rows: Rows) -> Self:
        """Some of the inferences, with all the examples."""

    @abstractmethod
    def with_examples(self, owners: IntArray, examples: Sequence[Any]) -> Self:
        """The same inferences, said to be of other examples."""

    def __len__(self) -> int:
        return len(self.owners)

    def inputs(self, rows: slice | Rows, names: Sequence[str], length: int | None = None) -> dict[str, Array]:
        """A model's inputs of some inferences; those of varying length cut to `length` places.

        Raises:
            CheckpointError: the model has an input that this task does not provide.
        """
        unknown = [name for name in names if name not in self.arrays]
        if unknown:
            raise CheckpointError(
                f"The model has the input {unknown[0]!r}, which its task does not provide.",
                f"The task provides {', '.join(self.arrays)}.",
            )
        return {name: self.arrays[name][rows] if length is None else self.arrays[name][rows, :length] for name in names}

    def rows_of(self, indices: Sequence[int]) -> Rows:
        """Which inferences belong to some examples, in their order."""
        return np.concatenate([np.flatnonzero(self.owners == index) for index in indices])

    def of_examples(self, indices: Sequence[int]) -> Self:
        """Some of the examples, with their inferences."""
        part = self.take(self.rows_of(indices))
        place = {index: number for number, index in enumerate(indices)}
        owners = np.array([place[int(index)] for index in part.owners], np.int32)
        return part.with_examples(owners, tuple(self.examples[index] for index in indices))


@dataclass(frozen=True)
class Outputs:
    """What a model computed: by output name, float32 (inferences, ...); 0 at padding.

    `seconds` is the time of all inferences, NaN where nobody knows it.
    """

    arrays: Mapping[str, FloatArray]
    seconds: float = float("nan")

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def take(self, rows: Rows) -> Outputs:
        """Some of the inferences."""
        seconds = self.seconds * len(rows) / max(len(self), 1)
        return Outputs({name: array[rows] for name, array in self.arrays.items()}, seconds)

    def values(self, batch: Batch) -> FloatArray:
        """Every number that is no padding, in one order for all outputs of the same batch."""
        arrays, real = list(self.arrays.values()), batch.real
        if real is not None and all(array.shape == real.shape for array in arrays):
            return np.asarray(np.stack(arrays)[:, real])
        return np.concatenate([_real_part(array, real).ravel() for array in arrays])

    def not_finite(self, batch: Batch) -> int:
        """How many numbers that are no padding are NaN or infinite."""
        return int(np.count_nonzero(~np.isfinite(self.values(batch))))


def _real_part(array: FloatArray, real: NDArray[np.bool_] | None) -> FloatArray:
    return array if real is None or array.shape[:2] != real.shape else array[real]

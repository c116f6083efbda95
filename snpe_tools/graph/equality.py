"""Do two ONNX models compute the same? Asked on random inputs, on the spot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.core.sqnr import sqnr_db
from snpe_tools.core.tensor_spec import Array
from snpe_tools.graph.session import explained, plain_session

if TYPE_CHECKING:
    import onnx
    import onnxruntime as ort

SAME_DB = 60.0
"""Rounding in another order leaves 90 dB and more; what is left of a masked score at -100 is far below both."""
_DRAWS = 3
_LARGEST_ID = 2
"""Integers are drawn below this: ids of any vocabulary, masks of zeros and ones."""

Outputs = list[dict[str, Array]]


def random_inputs(shapes: Mapping[str, Sequence[int]], types: Mapping[str, str]) -> Iterator[dict[str, Array]]:
    """Seeded inputs by name: numbers around 0 for floats, zeros and ones for integers and bool."""
    random = np.random.default_rng(0)
    for _ in range(_DRAWS):
        yield {
            name: random.normal(size=shape).astype(np.float32)
            if "float" in types[name] or "double" in types[name]
            else random.integers(0, _LARGEST_ID, shape)
            for name, shape in shapes.items()
        }


def agreement(
    original: onnx.ModelProto, result: onnx.ModelProto, fixed: Mapping[str, Sequence[float]] | None = None
) -> float:
    """The smallest SQNR in dB of any output of `result` beside the original's, on random inputs; infinite when equal.

    Args:
        original: may have dynamic shapes, inputs of other integer types, and inputs that `result` has no more.
        result: has fixed shapes.
        fixed: the values of inputs that `result` has no more.

    Raises:
        OnnxError: ONNX Runtime cannot run one of them.
    """
    with explained("the original model"):
        first = plain_session(original)
    with explained("the simplified model"):
        second = plain_session(result)
    shapes = {value.name: tuple(value.shape) for value in second.get_inputs()}
    worst = np.inf
    for drawn in random_inputs(shapes, {value.name: value.type for value in second.get_inputs()}):
        given = {
            **_free(first, shapes),
            **drawn,
            **{name: np.asarray(values) for name, values in (fixed or {}).items()},
        }
        with explained("the original model"):
            wanted = _run(first, given)
        with explained("the simplified model"):
            got = _run(second, given)
        worst = min([worst, *(_close(wanted[name], got[name]) for name in got)])
    return worst


def _free(session: ort.InferenceSession, known: Mapping[str, Sequence[int]]) -> dict[str, Array]:
    """Zeros for inputs that the other model has no more."""
    return {
        value.name: np.zeros([size if isinstance(size, int) else 1 for size in value.shape])
        for value in session.get_inputs()
        if value.name not in known
    }


def _run(session: ort.InferenceSession, given: Mapping[str, Array]) -> dict[str, Array]:
    feed = {
        value.name: given[value.name].astype(_numpy_type(value.type)).reshape(_shape(value, given[value.name]))
        for value in session.get_inputs()
    }
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def _shape(value: ort.NodeArg, array: Array) -> list[int]:
    open_ones = any(not isinstance(size, int) for size in value.shape)
    return list(array.shape) if open_ones else list(value.shape)


def _numpy_type(text: str) -> np.dtype[np.generic]:
    name = text.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(name, name))


def _close(wanted: Array, got: Array) -> float:
    first, second = np.asarray(wanted, np.float64).ravel(), np.asarray(got, np.float64).ravel()
    if first.size != second.size or not np.array_equal(np.isfinite(first), np.isfinite(second)):
        return -np.inf
    finite = np.isfinite(first)
    found = sqnr_db(first[finite], second[finite]) if finite.any() else None
    return np.inf if found is None else found

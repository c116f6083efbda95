"""The grid of a tensor of 8 bits: scale, zero point and ends of its codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snpe_tools.core.tensor_spec import Array
from snpe_tools.dlc import Tensor

Codes = NDArray[np.uint8]
Whole = NDArray[np.int64]
Wide = NDArray[np.int32]
Real = NDArray[np.float64]

LEVELS = 256


class NoRule(Exception):  # noqa: N818 - a finding, not an error of the user's
    """Why an operation cannot be computed by a rule, in words."""


@dataclass(frozen=True)
class Grid:
    """Codes `q` of 8 bits stand for `(q - zero) * scale`.

    Attributes:
        scale: as the file holds it, a float32.
        zero: the code of the real number 0; it may lie outside the codes.
    """

    scale: float
    zero: int

    @classmethod
    def of(cls, tensor: Tensor) -> Grid:
        """The grid of an activation.

        Raises:
            NoRule: the tensor is not of unsigned 8 bits with one scale.
        """
        encoding = tensor.encoding
        if tensor.dtype.name != "uFxp_8" or encoding is None or encoding.axis is not None:
            raise NoRule(f"{tensor.name} is {tensor.dtype}, and there are rules for uFxp_8 with one scale")
        return cls(encoding.scales[0], -encoding.offsets[0])


def saturated(values: Array) -> Codes:
    """Whole numbers as codes of 8 bits."""
    return np.clip(values, 0, LEVELS - 1).astype(np.uint8)

"""The data types of QNN tensors, as DLC files and the runtime number them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike


@dataclass(frozen=True)
class DataType:
    """One QNN data type.

    Attributes:
        code: its number in `Qnn_DataType_t`.
        name: its name in the SDK's listings ("uFxp_16", "Float_32", ...).
        numpy: the NumPy type of one stored element.
    """

    code: int
    name: str
    numpy: np.dtype[np.generic]

    @property
    def bits(self) -> int:
        """Width in bits; 4-bit types are stored in a byte each."""
        return int(self.name.rsplit("_", 1)[1])

    @property
    def is_fixed_point(self) -> bool:
        """Whether stored values need an encoding to become real numbers."""
        return "Fxp" in self.name

    @property
    def is_float(self) -> bool:
        """Whether stored values are floating-point numbers."""
        return self.name.startswith("Float")

    def __str__(self) -> str:
        return self.name


def _types(*rows: tuple[int, str, DTypeLike]) -> dict[int, DataType]:
    return {code: DataType(code, name, np.dtype(numpy)) for code, name, numpy in rows}


BY_CODE: dict[int, DataType] = _types(
    (0x008, "Int_8", "i1"),
    (0x016, "Int_16", "<i2"),
    (0x032, "Int_32", "<i4"),
    (0x064, "Int_64", "<i8"),
    (0x108, "uInt_8", "u1"),
    (0x116, "uInt_16", "<u2"),
    (0x132, "uInt_32", "<u4"),
    (0x164, "uInt_64", "<u8"),
    (0x216, "Float_16", "<f2"),
    (0x232, "Float_32", "<f4"),
    (0x264, "Float_64", "<f8"),
    (0x304, "sFxp_4", "i1"),
    (0x308, "sFxp_8", "i1"),
    (0x316, "sFxp_16", "<i2"),
    (0x332, "sFxp_32", "<i4"),
    (0x404, "uFxp_4", "u1"),
    (0x408, "uFxp_8", "u1"),
    (0x416, "uFxp_16", "<u2"),
    (0x432, "uFxp_32", "<u4"),
    (0x508, "Bool_8", "?"),
)
FLOAT_32 = BY_CODE[0x232]

"""Precisions: how many bits weights and activations get."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from snpe_tools.core.errors import UsageError
from snpe_tools.core.socs import FLOAT_ARCH, OLDEST, WIDE_ARCH, Need

_SUPPORTED = ("w8a8", "w8a8-mixed", "w8a16", "w16a16", "fp16")
_MIXED = "-mixed"
NARROW_BITS = 8
"""Of activations that a plan serves."""


@dataclass(frozen=True)
class Precision:
    """One precision, such as "w8a16" or "fp16".

    Attributes:
        weights, activations: bits, 0 for fp16.
        mixed: some activations get 16 bits; a plan in the model's folder says which.
    """

    weights: int
    activations: int
    mixed: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """The precision that `text` names.

        Raises:
            UsageError: it names none.
        """
        if text == "fp16":
            return cls(0, 0)
        match = re.fullmatch(rf"w(\d+)a(\d+)({_MIXED})?", text)
        if match is None or text not in _SUPPORTED:
            raise UsageError(f"Unknown precision {text!r}.", f"Known precisions: {', '.join(_SUPPORTED)}.")
        return cls(int(match[1]), int(match[2]), bool(match[3]))

    @property
    def is_float(self) -> bool:
        """Whether nothing is quantized and the HTP computes in fp16."""
        return self.weights == 0

    @property
    def takes_plan(self) -> bool:
        """Whether activations have 8 bits, all or most of them."""
        return self.activations == NARROW_BITS

    @property
    def need(self) -> Need:
        """What it asks of the HTP."""
        if self.is_float:
            return Need(FLOAT_ARCH, "fp16", float_maths=True)
        return Need(WIDE_ARCH, "16-bit weights") if self.weights > 8 else Need(OLDEST, "integer maths")  # noqa: PLR2004

    def __str__(self) -> str:
        return "fp16" if self.is_float else f"w{self.weights}a{self.activations}{_MIXED if self.mixed else ''}"

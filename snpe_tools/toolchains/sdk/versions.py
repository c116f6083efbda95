"""What differs between versions of the SNPE and QAIRT SDK, as far as their tools' command lines go.

Source: Qualcomm's public documentation of the tools (80-63442-2), and public calls of them with a known version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, Self

from snpe_tools.core.errors import SetupError
from snpe_tools.core.validation import one_of

Family = Literal["snpe", "qairt"]
FAMILIES: tuple[Family, ...] = ("snpe", "qairt")
"""snpe-onnx-to-dlc and snpe-dlc-quant, or qairt-converter and qairt-quantizer. Both end in snpe-dlc-graph-prepare."""

_NUMBER = re.compile(r"(?<![\d.])(\d+)\.(\d+)(?:\.\d+)*(?:_\d+)?")


@dataclass(frozen=True, order=True)
class Version:
    """A version of the SDK, such as 2.31; `text` is all that the SDK says of it."""

    major: int
    minor: int
    text: str = field(compare=False)

    @classmethod
    def find(cls, text: str) -> Self | None:
        """The first version in a text, "SNPE v2.17.0.231124161510_65373" for one; None without any."""
        match = _NUMBER.search(text)
        return cls(int(match[1]), int(match[2]), match[0]) if match else None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Dialect:
    """How the tools of some versions are spoken to.

    Attributes:
        since: (major, minor) of the first version.
        name: what the SDK is called.
        pythons: versions that its Python packages are built for, the best first.
        per_channel: how the SNPE quantizer is told to give each output channel an encoding.
        enhanced: how it is told to minimize the error instead of covering every value.
        families: which converters and quantizers the SDK has.
    """

    since: tuple[int, int]
    name: str
    pythons: tuple[str, ...]
    per_channel: str
    enhanced: tuple[tuple[str, ...], ...]
    families: tuple[Family, ...]


_SWITCHES = (("--use_enhanced_quantizer",), ("--use_adjusted_weights_quantizer",))
_NAMED = (("--act_quantizer", "enhanced"), ("--param_quantizer", "enhanced"))
_DIALECTS = (
    Dialect((2, 0), "SNPE", ("3.6",), "--axis_quant", _SWITCHES, ("snpe",)),
    Dialect((2, 11), "SNPE", ("3.8",), "--axis_quant", _SWITCHES, ("snpe",)),
    Dialect((2, 20), "QAIRT", ("3.8", "3.10"), "--use_per_channel_quantization", _NAMED, ("snpe", "qairt")),
    Dialect((2, 30), "QAIRT", ("3.10", "3.8"), "--use_per_channel_quantization", _NAMED, ("snpe", "qairt")),
)
"""The older spellings are still accepted by later versions, where they are called deprecated; the newer ones were not
seen before 2.20, so that is where they begin here."""


def parse_family(text: str) -> Family | None:
    """The family called `text`; None for "".

    Raises:
        UsageError: neither snpe nor qairt.
    """
    return one_of(FAMILIES, text, "SDK tools") if text else None


def dialect_of(version: Version) -> Dialect:
    """How the tools of a version are spoken to; versions later than any known one are spoken to like the last.

    Raises:
        SetupError: SNPE 1.x, or QNN numbering.
    """
    known = [dialect for dialect in _DIALECTS if dialect.since <= (version.major, version.minor)]
    if version.major != 2 or not known:  # noqa: PLR2004 - the generation whose DLC files this project knows
        raise SetupError(
            f"SDK {version} is not of the generation 2.x, whose DLC files this project makes and checks.",
            "Install SNPE 2.10 or later, or QAIRT (docs/sdk.md); or build with TOOLCHAIN=pypi.",
        )
    return known[-1]

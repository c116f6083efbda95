"""The Snapdragon SoCs that the offline compiler knows.

Ids are `QNN_SOC_MODEL` values; names are the ones the compiler itself writes into cache records.
Architectures follow Qualcomm's public documentation; `snpe-tools doctor` has no say in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snpe_tools.core.errors import UsageError


@dataclass(frozen=True)
class Soc:
    """One SoC: its name as in `--htp_socs`, QNN id, Hexagon architecture and marketing name.

    `compiles_float`: whether the offline compiler takes float operations for it; measured, SoC by SoC.
    """

    name: str
    id: int
    arch: int
    marketing: str = ""
    compiles_float: bool = True

    def __str__(self) -> str:
        return self.name


_ALL = (
    Soc("sm8350", 30, 68, "Snapdragon 888"),
    Soc("sm7325", 35, 68, "Snapdragon 778G", compiles_float=False),
    Soc("qcs6490", 93, 68, "Dragonwing QCS6490", compiles_float=False),
    Soc("sa8295", 39, 68, "SA8295P"),
    Soc("sm8450", 36, 69, "Snapdragon 8 Gen 1"),
    Soc("sm8475", 42, 69, "Snapdragon 8+ Gen 1"),
    Soc("sm7450", 41, 69, "Snapdragon 7 Gen 1"),
    Soc("sxr2230p", 53, 69, "Snapdragon XR2 Gen 2"),
    Soc("sm8550", 43, 73, "Snapdragon 8 Gen 2"),
    Soc("qcs8550", 66, 73, "Dragonwing QCS8550"),
    Soc("sm8635", 68, 73, "Snapdragon 8s Gen 3", compiles_float=False),
    Soc("sm7635", 73, 73, "Snapdragon 7s Gen 3", compiles_float=False),
    Soc("sm8735", 85, 73, "Snapdragon 8s Gen 4", compiles_float=False),
    Soc("sc8380xp", 60, 73, "Snapdragon X Elite"),
    Soc("qcs9100", 77, 73, "Dragonwing IQ-9100"),
    Soc("qcm6690", 78, 73, "Dragonwing QCM6690", compiles_float=False),
    Soc("ssg2115p", 46, 73, "Snapdragon AR2 Gen 1", compiles_float=False),
    Soc("sm8650", 57, 75, "Snapdragon 8 Gen 3"),
    Soc("qcs8300", 82, 75, "Dragonwing IQ-8300"),
    Soc("sm8750", 69, 79, "Snapdragon 8 Elite"),
    Soc("sm8850", 87, 81, "Snapdragon 8 Elite Gen 5"),
    Soc("sm8845", 97, 81, "Snapdragon 8 Gen 5"),
    Soc("sc8480xp", 88, 81, "Snapdragon X2 Elite"),
    Soc("sa8797", 72, 81, "SA8797P"),
)
BY_NAME = {soc.name: soc for soc in _ALL}
BY_ID = {soc.id: soc for soc in _ALL}
DEFAULT = BY_NAME["sm8650"]


@dataclass(frozen=True)
class Need:
    """The oldest Hexagon architecture that a model runs on, what asks for it, and whether that is float maths."""

    arch: int
    why: str
    float_maths: bool = False

    def fits(self, soc: Soc) -> bool:
        """Whether the HTP of `soc` has it."""
        return soc.arch >= self.arch and (soc.compiles_float or not self.float_maths)


OLDEST, FLOAT_ARCH, WIDE_ARCH = 68, 69, 73
"""Float maths begins with v69, though not on every SoC; the compiler refuses 16-bit weights for v68 and v69. The
integration tests check both.
"""


def check_fit(model: str, socs: Sequence[Soc], need: Need) -> None:
    """Refuse SoCs whose HTP lacks what the model needs. For float maths the emulator itself would not.

    Raises:
        UsageError: names each such SoC.
    """
    unfit = [soc for soc in socs if not need.fits(soc)]
    if unfit:
        names = ", ".join(f"{soc} (v{soc.arch})" for soc in unfit)
        raise UsageError(
            f"{model} needs {need.why}, which the HTP of {names} does not have.", "w8a16 and w8a8 run on every HTP."
        )


def parse_socs(text: str) -> tuple[Soc, ...]:
    """SoCs of a comma-separated list such as "sm8550,sm8650", in that order, each once.

    Raises:
        UsageError: an unknown or empty name.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in BY_NAME]
    if unknown or not names:
        what = f"Unknown SoC {unknown[0]!r}." if unknown else "No SoC was named."
        raise UsageError(what, "Known SoCs: " + ", ".join(sorted(BY_NAME)) + ".")
    return tuple(BY_NAME[name] for name in dict.fromkeys(names))

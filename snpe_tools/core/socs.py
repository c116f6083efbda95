"""The Snapdragon SoCs that the offline compiler knows.

Ids are `QNN_SOC_MODEL` values; names are the ones the compiler itself writes into cache records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snpe_tools.core.errors import UsageError


@dataclass(frozen=True)
class Soc:
    """One SoC.

    Attributes:
        name: as in `--htp_socs`.
        id: QNN's.
        arch: Hexagon architecture, such as 75.
        marketing: Qualcomm's name of the product; "" where it has none that is known here.
        compiles_float: whether the offline compiler takes float operations for it.
        vtcm: MiB of tightly coupled memory that a model may use at most; 0 where it is not known.
    """

    name: str
    id: int
    arch: int
    marketing: str = ""
    compiles_float: bool = True
    vtcm: int = 0

    def __str__(self) -> str:
        return self.name


_FLOAT = (
    ("sm8350", 30, 68, 4, "Snapdragon 888"),
    ("sa8295", 39, 68, 8, "SA8295P"),
    ("sa8540", 62, 68, 8, "SA8540P"),
    ("sm8450", 36, 69, 8, "Snapdragon 8 Gen 1"),
    ("sm8475", 42, 69, 8, "Snapdragon 8+ Gen 1"),
    ("sm7450", 41, 69, 2, "Snapdragon 7 Gen 1"),
    ("sxr2230p", 53, 69, 8, "Snapdragon XR2 Gen 2"),
    ("sm8550", 43, 73, 8, "Snapdragon 8 Gen 2"),
    ("qcs8550", 66, 73, 8, "Dragonwing QCS8550"),
    ("sc8380xp", 60, 73, 8, "Snapdragon X Elite"),
    ("sc8340xp", 120, 73, 8, ""),
    ("iqx5121", 119, 73, 8, ""),
    ("qcs9100", 77, 73, 8, "Dragonwing IQ-9100"),
    ("sa8255", 52, 73, 8, "SA8255P"),
    ("qcm8538", 89, 73, 8, ""),
    ("sm8650", 57, 75, 8, "Snapdragon 8 Gen 3"),
    ("qcs8300", 82, 75, 8, "Dragonwing IQ-8300"),
    ("sa8620p", 67, 75, 8, "SA8620P"),
    ("qcs8625", 90, 75, 8, ""),
    ("sm8750", 69, 79, 8, "Snapdragon 8 Elite"),
    ("cq8750s", 105, 79, 8, ""),
    ("cq8725s", 104, 79, 8, ""),
    ("sxr2330p", 75, 79, 8, ""),
    ("sm8850", 87, 81, 8, "Snapdragon 8 Elite Gen 5"),
    ("sm8845", 97, 81, 8, "Snapdragon 8 Gen 5"),
    ("sc8480xp", 88, 81, 8, "Snapdragon X2 Elite"),
    ("sm8850l", 92, 81, 8, ""),
    ("sc8440xp", 94, 81, 8, ""),
    ("sm7950", 123, 81, 4, ""),
    ("sa8797", 72, 81, 16, "SA8797P"),
    ("qcm8838", 99, 81, 8, ""),
    ("qcs8845", 109, 81, 8, ""),
    ("sm8975", 103, 85, 12, ""),
    ("sm8975l", 112, 85, 8, ""),
    ("sm8950", 113, 85, 8, ""),
    ("sa8787", 114, 85, 16, "SA8787P"),
)
_INTEGER = (
    ("sm7325", 35, 68, 2, "Snapdragon 778G"),
    ("qcs6490", 93, 68, 2, "Dragonwing QCS6490"),
    ("sm7350", 32, 68, 2, "Snapdragon 780G"),
    ("sm7315", 38, 68, 2, ""),
    ("sc8280x", 37, 68, 4, "Snapdragon 8cx Gen 3"),
    ("sm7475", 54, 69, 4, "Snapdragon 7+ Gen 2"),
    ("sm7550", 64, 73, 2, "Snapdragon 7 Gen 3"),
    ("sm7675", 70, 73, 4, "Snapdragon 7+ Gen 3"),
    ("sm7435", 61, 73, 2, "Snapdragon 7s Gen 2"),
    ("sm7750", 86, 73, 4, "Snapdragon 7 Gen 4"),
    ("sm7775", 91, 73, 4, ""),
    ("sm6450", 50, 73, 2, "Snapdragon 6 Gen 1"),
    ("sm6475", 76, 73, 2, "Snapdragon 6 Gen 3"),
    ("sm6650", 74, 73, 2, "Snapdragon 6 Gen 4"),
    ("sm8635", 68, 73, 4, "Snapdragon 8s Gen 3"),
    ("sm7635", 73, 73, 2, "Snapdragon 7s Gen 3"),
    ("sm8735", 85, 73, 8, "Snapdragon 8s Gen 4"),
    ("qcm6690", 78, 73, 2, "Dragonwing QCM6690"),
    ("ssg2115p", 46, 73, 2, "Snapdragon AR2 Gen 1"),
    ("ssg2125p", 58, 73, 2, ""),
    ("sxr1230p", 45, 73, 2, ""),
    ("sar1165p", 100, 73, 2, ""),
    ("sar1180p", 101, 73, 2, ""),
    ("cq7790m", 102, 73, 4, ""),
    ("sar2230p", 95, 81, 4, ""),
    ("sw6100", 96, 81, 4, ""),
    ("xrv7200", 110, 81, 4, ""),
    ("xrv7205", 111, 81, 4, ""),
)
"""name, id, arch, MiB of VTCM, product. All but the last was measured with QAIRT 2.51: a small model was compiled for
each id with the largest VTCM; name, architecture and VTCM were read back from the cache. A float model compiled, or
was refused. What ExecuTorch and LiteRT publish of the same SoCs (`qc_schema.py`, `soc_table.h`) agrees. Products:
qualcomm.com.
"""
_ALL = (
    *(Soc(name, number, arch, product, vtcm=vtcm) for name, number, arch, vtcm, product in _FLOAT),
    *(
        Soc(name, number, arch, product, compiles_float=False, vtcm=vtcm)
        for name, number, arch, vtcm, product in _INTEGER
    ),
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

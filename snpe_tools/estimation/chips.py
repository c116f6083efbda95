"""The SoCs whose latencies are published: which device of the published table stands for each.

The table repeats the figures of one device for some others, row for row; such a device is no second measurement.
"""

from __future__ import annotations

from collections.abc import Sequence

from snpe_tools.core.errors import UsageError
from snpe_tools.core.socs import BY_NAME, Soc

DEVICES = {
    "sm8850": "Samsung Galaxy S26",
    "sm8750": "Samsung Galaxy S25",
    "sm8650": "Samsung Galaxy S24",
    "sm8550": "QCS8550 (Proxy)",
    "sm8450": "Samsung Galaxy S22 5G",
    "sm7750": "Snapdragon 7 Gen 4 QRD",
    "sc8480xp": "Snapdragon X2 Elite CRD",
    "sc8380xp": "Snapdragon X Elite CRD",
    "qcs9100": "Dragonwing IQ-9075 EVK",
    "qcs8300": "Arduino VENTUNO Q",
    "sa8255": "SA8255P ADP",
    "sa8295": "SA8295P ADP",
    "qcs6490": "Dragonwing RB3 Gen 2 Vision Kit",
    "qcm6690": "Dragonwing Q-6690 MTP",
}
"""SoC, and the device of the published table that has it."""
BY_DEVICE = {device: soc for soc, device in DEVICES.items()}
_SAME = {"qcs8550": "sm8550", "sxr2230p": "sm8450", "cq7790m": "sm7750", "cq8750s": "sm8750", "sm7325": "qcs6490"}
"""SoCs with the silicon of another, or whose published rows are the other's."""
REFERENCE = "sm8750"
"""On its scale networks are compared: it has the most rows."""


def measured_as(soc: Soc) -> str:
    """The SoC of `DEVICES` whose figures hold for this one; "" where there is none."""
    name = _SAME.get(soc.name, soc.name)
    return name if name in DEVICES else ""


def require_measured(socs: Sequence[Soc]) -> None:
    """Refuse SoCs for which there is nothing to estimate from.

    Raises:
        UsageError: names them.
    """
    missing = [f"{soc} ({soc.marketing})" if soc.marketing else soc.name for soc in socs if not measured_as(soc)]
    if missing:
        raise UsageError(
            f"No latencies are published for {', '.join(missing)}, so there is nothing to estimate from.",
            f"Measured: {', '.join(DEVICES)}.",
        )


def measured_socs() -> tuple[Soc, ...]:
    """Every SoC of `DEVICES`."""
    return tuple(BY_NAME[name] for name in DEVICES)

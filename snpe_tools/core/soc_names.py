"""Names under which people know a SoC: Qualcomm's of the product, and phones, boards and laptops that have it.

Sources: the manufacturers' public pages of the devices; `compatible` strings of the Linux kernel's
`Documentation/devicetree/bindings/arm/qcom.yaml` for names that a device gives itself.
"""

from __future__ import annotations

import difflib
import re

from snpe_tools.core.errors import UsageError
from snpe_tools.core.socs import BY_NAME, Soc

DEVICES = {
    "sm8350": ("Galaxy S21", "OnePlus 9", "Xiaomi Mi 11"),
    "sm7325": ("Galaxy A52s", "Nothing Phone 1"),
    "qcs6490": ("RB3 Gen 2", "Rubik Pi 3", "Fairphone 5"),
    "sm8450": ("Galaxy S22", "OnePlus 10 Pro", "Xiaomi 12"),
    "sm8475": ("Galaxy Z Fold4", "Galaxy Z Flip4", "OnePlus 10T"),
    "sxr2230p": ("Meta Quest 3", "Meta Quest 3S"),
    "sm8550": ("Galaxy S23", "Galaxy S23 Ultra", "Galaxy Z Fold5", "Galaxy Z Flip5", "OnePlus 11", "Xiaomi 13"),
    "sc8380xp": ("X Elite", "X Plus", "Surface Laptop 7", "Surface Pro 11"),
    "qcs9100": ("IQ-9 EVK", "Dragonwing IQ-9075"),
    "qcs8300": ("IQ-8 EVK", "Dragonwing IQ-8275", "Arduino VENTUNO Q"),
    "sm8650": ("Galaxy S24", "Galaxy S24 Ultra", "Galaxy Z Fold6", "Galaxy Z Flip6", "OnePlus 12", "Xiaomi 14"),
    "sm8750": ("Galaxy S25", "Galaxy S25 Ultra", "OnePlus 13", "Xiaomi 15"),
    "sm8850": ("Galaxy S26", "OnePlus 15", "Xiaomi 17"),
    "sm8845": ("OnePlus 15R",),
    "sc8480xp": ("X2 Elite",),
}
"""Devices by the SoC that they have."""
ALSO = {
    "qcm6490": "qcs6490", "sc7280": "qcs6490", "qcm8550": "qcs8550", "x1e80100": "sc8380xp", "x1e78100": "sc8380xp",
    "x1p42100": "sc8380xp", "sa8775p": "qcs9100", "sc8280xp": "sc8280x", "sa8295p": "sa8295", "sa8540p": "sa8540",
    "sa8255p": "sa8255", "sa8797p": "sa8797", "qcs9075": "qcs9100", "qcs8275": "qcs8300",
}  # fmt: skip
"""Names that a device gives itself, where the offline compiler has another for the same HTP."""
REGIONAL = {"galaxys21", "galaxys22", "galaxys24"}
"""Sold with a SoC of Samsung's own in some regions, and with this one in others."""
_BRANDS = ("snapdragon", "dragonwing", "qualcomm", "galaxy", "samsung")


def plain(name: str) -> str:
    """A name without case, blanks and punctuation; a plus stays, since "8 Gen 1" and "8+ Gen 1" differ."""
    return re.sub(r"[^a-z0-9+]", "", name.lower())


def find(name: str) -> Soc | None:
    """The SoC that is known by a name; None where there is none."""
    key = plain(name)
    if key in ALSO:
        return BY_NAME[ALSO[key]]
    return BY_NAME.get(_index().get(key, ""))


def similar(name: str) -> list[str]:
    """Up to three names that are spelled like this one."""
    return difflib.get_close_matches(name, [*BY_NAME, *_names()], n=3, cutoff=0.75)


def note(name: str) -> str:
    """What to know of a device that some regions sell with another maker's SoC; "" for any other name."""
    key = plain(name)
    regional = key in REGIONAL or f"galaxy{key}" in REGIONAL
    return "Some regions sell it with Samsung's Exynos, which has no Hexagon." if regional else ""


def _names() -> dict[str, str]:
    """Every name as people write it, with the SoC that it means."""
    products = {soc.marketing: soc.name for soc in BY_NAME.values() if soc.marketing}
    return {**products, **{device: soc for soc, devices in DEVICES.items() for device in devices}}


def _index() -> dict[str, str]:
    """The same in plain form, with and without the brand before it."""
    found: dict[str, str] = {}
    for name, soc in _names().items():
        key = plain(name)
        found[key] = soc
        for brand in _BRANDS:
            if key.startswith(brand):
                found.setdefault(key.removeprefix(brand), soc)
    return found


def parse_socs(text: str) -> tuple[Soc, ...]:
    """SoCs of a comma-separated list such as "sm8550,Galaxy S24", in that order, each once.

    Names are the compiler's, Qualcomm's of a product, or those of phones and boards that `core.soc_names` lists.

    Raises:
        UsageError: an unknown or empty name.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("No SoC was named.", _KNOWN)
    return tuple(dict.fromkeys(BY_NAME.get(name.lower()) or _by_product(name) for name in names))


def _by_product(name: str) -> Soc:
    if found := find(name):
        return found
    meant = similar(name)
    raise UsageError(f"Unknown SoC {name!r}.", (f"Did you mean {' or '.join(meant)}? " if meant else "") + _KNOWN)


_KNOWN = f"Known SoCs: {', '.join(sorted(BY_NAME))}. `snpe-tools socs` says what each is."

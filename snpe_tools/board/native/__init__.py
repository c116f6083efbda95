"""The runner in C, for phones and boards: which programs there are, and building them with Zig's C compiler.

A wheel of this project holds the programs; in a clone `make runner` builds them, and whoever needs one first, too.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from snpe_tools._version import __version__
from snpe_tools.core.errors import SetupError
from snpe_tools.core.files import cache_folder

FOLDER = Path(__file__).parent
PACKED = FOLDER / "bin"
TARGETS = ("aarch64-android", "aarch64-linux", "x86_64-linux")
SOURCES = ("runner.c", "android_start.c", "bionic.h", "building.py")
MARK = "sources.sha256"


def program(target: str) -> Path:
    """The runner for a target: the packed one, else one that was built before, else built now.

    Raises:
        SetupError: it was not built, and the compiler is not installed.
    """
    mark = PACKED / MARK
    if mark.is_file() and mark.read_text(encoding="ascii").strip() == digest() and (PACKED / target).is_file():
        return PACKED / target
    built = cache_folder() / f"runner-{digest()[:16]}" / target
    if built.is_file():
        return built
    if importlib.util.find_spec("ziglang") is None:
        raise SetupError(
            f"The native runner for {target} was not built, and ziglang, which builds it, is not installed.",
            "pip install ziglang (100 MB, only for building), or take a wheel of snpe-tools, which has it packed.",
        )
    from snpe_tools.board.native.building import build

    return build(target, built)


def digest() -> str:
    """SHA-256 of everything that a program depends on here."""
    found = hashlib.sha256(__version__.encode())
    for name in SOURCES:
        found.update((FOLDER / name).read_bytes())
    return found.hexdigest()

"""What of an SDK belongs on a device: its programs and libraries for the device's system, its skel for the DSP."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.errors import SetupError

_HOW = "docs/devices.md says which parts are needed; unpack the SDK again if it is incomplete."
_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True)
class DeviceSdk:
    """An SDK as seen from a device.

    Attributes:
        root: its folder.
        label: name and version, "QAIRT 2.31.0.250130".
        target: its name for the device's system, such as "aarch64-android".
        android: whether that is Android.
    """

    root: Path
    label: str
    target: str
    android: bool

    def has(self, program: str) -> bool:
        """Whether it has a program for the device."""
        return (self.root / "bin" / self.target / program).is_file()

    def program(self, name: str) -> Path:
        """A program for the device.

        Raises:
            SetupError: there is none, or it lost its permission to be executed, as some unpackers make it.
        """
        file = self._file(self.root / "bin" / self.target / name)
        if not os.access(file, os.X_OK):
            raise SetupError(f"{file} is not executable, and would not be on the device.", f"chmod +x {file}")
        return file

    def library(self, name: str) -> Path:
        """A library for the device.

        Raises:
            SetupError: there is none.
        """
        return self._file(self.root / "lib" / self.target / name)

    def optional(self, *names: str) -> dict[str, Path]:
        """Those of the libraries that this SDK has: some belong to older versions, or to other systems."""
        files = {name: self.root / "lib" / self.target / name for name in names}
        return {name: file for name, file in files.items() if file.is_file()}

    def skel(self, name: str, arch: int) -> Path:
        """A library for the DSP of a Hexagon architecture; SDKs before 2.11 keep all of them in lib/dsp.

        Raises:
            SetupError: there is none.
        """
        older = self.root / "lib" / "dsp" / name
        return older if older.is_file() else self._file(self.root / "lib" / f"hexagon-v{arch}" / "unsigned" / name)

    def _file(self, path: Path) -> Path:
        if not path.is_file():
            raise SetupError(f"{self.label} has no {path.relative_to(self.root)}.", _HOW)
        return path


def named_sdk(*, android: bool, arch: int) -> Path | None:
    """The SDK for a device: the one that the environment names, else one that was fetched; None without any.

    Args:
        arch: Hexagon architecture of the device, whose libraries a fetched SDK must have.

    Raises:
        SetupError: the environment names a folder that is not an SDK.
    """
    from snpe_tools.toolchains import sdk_store
    from snpe_tools.toolchains.sdk.environment import find_root, root_variable

    if root_variable():
        return find_root(for_host=False)
    found = sdk_store.find(["android" if android else "linux"], [arch])
    return found.folder if found else None


def find_device_sdk(root: Path, *, android: bool, machine: str, system: str = "") -> DeviceSdk:
    """What an SDK has for a device.

    Args:
        android: whether the device runs Android; else Linux.
        machine: as `uname -m` says it.
        system: name of a Linux distribution, which decides between builds.

    Raises:
        SetupError: its version is unknown, or it has nothing for such a device.
    """
    from snpe_tools.toolchains.sdk.environment import find_version
    from snpe_tools.toolchains.sdk.versions import dialect_of

    version, _ = find_version(root)
    label = f"{dialect_of(version).name} {version}"
    prefixes = _prefixes(android=android, machine=machine, system=system)
    for name in _targets(root, prefixes):
        return DeviceSdk(root, label, name, android)
    raise SetupError(
        f"{label} in {root} has no programs for {'Android' if android else 'Linux'} on {machine}.",
        f"Looked for bin/{', bin/'.join(f'{prefix}*' for prefix in prefixes)}."
        + ("" if android else " --runtime board needs no SDK."),
    )


def _prefixes(*, android: bool, machine: str, system: str) -> Sequence[str]:
    """Names of the SDK's folders for a device, the best first."""
    if android:
        return (f"{machine}-android",)
    if machine != "aarch64":
        return (f"{machine}-linux",)
    builds = ("aarch64-ubuntu", "aarch64-oe-linux")
    return builds if "ubuntu" in system.lower() else builds[::-1]


def _targets(root: Path, prefixes: Sequence[str]) -> Iterator[str]:
    """Folders that begin with a prefix; of several builds the one of the latest compiler comes first."""
    for prefix in prefixes:
        names = [folder.name for folder in (root / "bin").glob(f"{prefix}*") if folder.is_dir()]
        yield from sorted(names, key=lambda name: [int(part) for part in _NUMBERS.findall(name)], reverse=True)

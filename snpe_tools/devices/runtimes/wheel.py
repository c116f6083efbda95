"""Libraries for Linux boards, from the `onnxruntime-qnn` wheel of the board's architecture.

For x86-64 they are the installed ones, which emulate. For AArch64 pip fetches the wheel of the very same version once,
checks it against the index's hash, and the libraries stay in a cache folder.
"""

from __future__ import annotations

import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from snpe_tools.core.errors import SetupError
from snpe_tools.core.files import cache_folder, whole_folder
from snpe_tools.core.process import run
from snpe_tools.core.progress import say
from snpe_tools.qnn.library import RUNTIME_PIN, library_folder

_VERSION = RUNTIME_PIN["onnxruntime-qnn"]
_CORE = ("libQnnHtp.so", "libQnnSystem.so")
_WANTED = re.compile(r"libQnn(Htp|System|HtpPrepare|HtpV\d{2,3}(Stub|Skel))\.so")
ARCHS = (68, 69, 73, 75, 79, 81)
"""Hexagon architectures whose stub and skel the wheel for AArch64 holds."""
_LARGEST = 1 << 30
_WHEEL = {"implementation": "cp", "python-version": "3.11", "platform": "manylinux_2_34_aarch64"}
_BY_HAND = (
    f"pip download --no-deps --only-binary=:all: --platform {_WHEEL['platform']} --python-version 3.11 "
    f"onnxruntime-qnn=={_VERSION}"
)


def x86_libraries() -> dict[str, Path]:
    """The emulator's libraries, and those they are linked to, by name.

    Raises:
        SetupError: the wheel is not installed.
    """
    folder = library_folder()
    linked = sorted((folder.parent / "onnxruntime_qnn.libs").glob("*.so*"))
    return {file.name: file for file in (*(folder / name for name in _CORE), *linked)}


def arm_libraries(arch: int) -> dict[str, Path]:
    """The HTP's libraries for a Linux board, by name; fetched when they are not in the cache.

    Args:
        arch: Hexagon architecture, such as 75.

    Raises:
        SetupError: the wheel cannot be fetched, or has none for this architecture.
    """
    folder = _unpacked()
    names = (*_CORE, "libQnnHtpPrepare.so", f"libQnnHtpV{arch}Stub.so", f"libQnnHtpV{arch}Skel.so")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise SetupError(
            f"onnxruntime-qnn {_VERSION} has no {missing[0]} for Linux boards.",
            "Set SNPE_ROOT: the SDK may have the libraries for this SoC.",
        )
    return {name: folder / name for name in names}


def _unpacked() -> Path:
    folder = cache_folder() / f"onnxruntime-qnn-{_VERSION}-aarch64"
    if not (folder / _CORE[0]).is_file():
        say(f"Fetching onnxruntime-qnn {_VERSION} for AArch64 (about 87 MB, once) into {folder}.")
        with tempfile.TemporaryDirectory() as scratch:
            wheel = _download(Path(scratch))
            with whole_folder(folder, known_by=_CORE[0]) as target:
                unpack(wheel, target)
    return folder


def _download(folder: Path) -> Path:
    options = [word for name, value in _WHEEL.items() for word in (f"--{name}", value)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    finished = run([*command, "--only-binary=:all:", *options, "--dest", folder, f"onnxruntime-qnn=={_VERSION}"])
    wheels = [*folder.glob("*.whl")]
    if finished.status or len(wheels) != 1:
        raise SetupError(
            f"The libraries for Linux boards could not be fetched.{finished.tail()}",
            f"On a machine with a network: {_BY_HAND}; unzip its libraries into {cache_folder()}"
            f"/onnxruntime-qnn-{_VERSION}-aarch64.",
        )
    return wheels[0]


def unpack(wheel: Path, target: Path) -> None:
    """Write the libraries of a wheel, and nothing else, into a folder.

    Raises:
        SetupError: it is no wheel, or one of its members is larger than any library.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in _members(archive):
                (target / PurePosixPath(member.filename).name).write_bytes(archive.read(member))
    except zipfile.BadZipFile as problem:
        raise SetupError(f"{wheel.name} is damaged: {problem}.", "Try again.") from problem


def _members(archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    for member in archive.infolist():
        if _WANTED.fullmatch(PurePosixPath(member.filename).name):
            if member.file_size > _LARGEST:
                raise SetupError(
                    f"{archive.filename}: {member.filename} has {member.file_size} bytes.", "Not a wheel of ours."
                )
            yield member

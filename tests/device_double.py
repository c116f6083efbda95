"""Doubles of what the vendor would supply: a phone's own commands, and an SDK's half for devices.

The SDK's `snpe-net-run` is a script around our own `net-run`, so a run on such a device is real. Like the real one it
looks for its libraries where the linker and the DSP would, and fails with their words.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ANDROID, UBUNTU, YOCTO = "aarch64-android", "aarch64-ubuntu-gcc9.4", "aarch64-oe-linux-gcc11.2"
VERSION = "2.31.0.250130"
_AARCH64 = 183
_GETPROP = """#!/bin/sh
case $1 in
  ro.soc.model) echo {soc} ;;
  ro.product.model) echo 'A Phone' ;;
  ro.build.version.release) echo 15 ;;
  ro.product.cpu.abi) echo arm64-v8a ;;
esac
"""
_UNAME = """#!/bin/sh
[ "$1" = -m ] && {{ echo {machine}; exit; }}
exec /usr/bin/uname "$@"
"""
_NET_RUN = """#!/bin/sh
found() {{ (IFS=$1; for D in $2; do [ -f "$D/$3" ] && exit 0; done; exit 1); }}
for LIBRARY in libSNPE.so libSnpeHtpV{arch}Stub.so; do
  found : "$LD_LIBRARY_PATH" $LIBRARY || {{
    echo "CANNOT LINK EXECUTABLE \\"snpe-net-run\\": library \\"$LIBRARY\\" not found"; exit 1; }}
done
found ';' "$ADSP_LIBRARY_PATH" libSnpeHtpV{arch}Skel.so || {{
  echo 'Failed to load skel, error: 4000'; echo 'Transport layer setup failed: 14001'; exit 1; }}
unset LD_LIBRARY_PATH
PYTHONPATH={root} {python} -m snpe_tools net-run "$@" --soc {soc} || exit
{after}
"""
SOCS = {"sm8550": 73, "sm8650": 75}


def make_phone(folder: Path, soc: str = "SM8650", machine: str = "aarch64") -> Path:
    """The commands that make a folder's device a phone."""
    _program(folder / "bin" / "getprop", _GETPROP.format(soc=soc))
    _program(folder / "bin" / "uname", _UNAME.format(machine=machine))
    return folder


def make_board(folder: Path, machine: str = "aarch64") -> Path:
    """A Linux board that says nothing of its SoC."""
    _program(folder / "bin" / "uname", _UNAME.format(machine=machine))
    return folder


def make_sdk(
    folder: Path, target: str = ANDROID, *, soc: str = "sm8650", after: str = "", program: bytes = b""
) -> Path:
    """An SDK for one kind of device and one SoC.

    Args:
        after: shell text that its `snpe-net-run` runs when it has succeeded, in the run's folder: a lie, for one.
        program: bytes of another `snpe-net-run`.
    """
    arch = SOCS[soc]
    (folder / "bin" / "x86_64-linux-clang").mkdir(parents=True, exist_ok=True)
    (folder / "sdk.yaml").write_text(f"product: qairt\nversion: {VERSION}\n")
    script = _NET_RUN.format(arch=arch, root=ROOT, python=sys.executable, soc=soc, after=after)
    _program(folder / "bin" / target / "snpe-net-run", script)
    if program:
        (folder / "bin" / target / "snpe-net-run").write_bytes(program)
    libraries = [f"{target}/libSNPE.so", f"{target}/libSnpeHtpV{arch}Stub.so"]
    for name in (*libraries, f"hexagon-v{arch}/unsigned/libSnpeHtpV{arch}Skel.so"):
        (folder / "lib" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "lib" / name).write_text(f"double of {name}\n")
    return folder


def elf_for_aarch64() -> bytes:
    """The head of an executable for AArch64 (ELF-64: generic ABI, chapter 4), which no other processor starts."""
    head = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)
    return head + struct.pack("<HHIQQQIHHHHHH", 2, _AARCH64, 1, 0x400000, 64, 0, 0, 64, 56, 0, 64, 0, 0) + bytes(4096)


@contextmanager
def sdk_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The environment names this SDK."""
    with monkeypatch.context() as patch:
        patch.setenv("SNPE_ROOT", str(root))
        yield root


def age(folder: Path) -> None:
    """Make a folder and all in it look as if nobody had used it for years."""
    for entry in (*folder.rglob("*"), folder):
        os.utime(entry, (0, 0), follow_symlinks=False)


def _program(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)

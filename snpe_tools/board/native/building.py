"""Builds the runner with `ziglang` from PyPI, which holds a C compiler and the headers and stubs of Linux's libraries.

Of Android's it has none. There the headers are musl's (`bionic.h` says where they differ for what is used), and the
program is linked to stubs that name what it calls: the phone's own libraries take their place.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from snpe_tools._version import __version__
from snpe_tools.board.native import FOLDER, MARK, PACKED, TARGETS, digest
from snpe_tools.core.errors import SetupError
from snpe_tools.core.files import whole_file, write_text
from snpe_tools.core.process import run

_SECONDS = 600
_FLAGS = ("-std=gnu11", "-Os", "-Wall", "-Wextra", "-Werror", f'-DVERSION="{__version__}"')
_LINUX = {"aarch64-linux": "aarch64-linux-gnu.2.31", "x86_64-linux": "x86_64-linux-gnu.2.31"}
_MUSL = ("-target", "aarch64-linux-musl", "-fPIE", "-fno-stack-protector")
BIONIC = {
    "libc.so": (
        "__errno", "__libc_init", "calloc", "clock_gettime", "close", "exit", "fclose", "fflush", "fopen", "fputc",
        "fputs", "free", "fstat", "fwrite", "memcpy", "mkdir", "mmap", "open", "printf", "puts", "read", "snprintf",
        "sprintf", "strchr", "strcmp", "strerror", "strsep", "strtoull", "vfprintf",
    ),
    "libdl.so": ("dlerror", "dlopen", "dlsym"),
}  # fmt: skip
"""What the runner calls of Android's libraries; all of it is in API level 23."""
_DATA = {"libc.so": ("stderr", "stdout")}
_ANDROID_LINK = (
    "-pie", "-dynamic-linker", "/system/bin/linker64", "-z", "max-page-size=16384", "-z", "relro", "-z", "now",
    "--hash-style=both", "--build-id=none", "--no-undefined", "-s",
)  # fmt: skip


def build(target: str, output: Path) -> Path:
    """Build the runner for one of `TARGETS`.

    Raises:
        SetupError: the compiler refused.
    """
    with tempfile.TemporaryDirectory(prefix="snpe-tools.") as name, whole_file(output) as temporary:
        made = Path(name) / "runner"
        if target in _LINUX:
            _zig("cc", "-target", _LINUX[target], *_FLAGS, "-s", FOLDER / "runner.c", "-ldl", "-o", made)
        else:
            _android(Path(name), made)
        temporary.write_bytes(made.read_bytes())
    output.chmod(0o755)
    return output


def _android(folder: Path, made: Path) -> None:
    objects = [_compiled(folder, "runner.c", "-include", FOLDER / "bionic.h"), _compiled(folder, "android_start.c")]
    _zig("ld.lld", *_ANDROID_LINK, "-o", made, *objects, *(_stub(folder, library) for library in BIONIC))


def _compiled(folder: Path, source: str, *flags: str | Path) -> Path:
    made = folder / f"{source}.o"
    _zig("cc", *_MUSL, *_FLAGS, *flags, "-c", FOLDER / source, "-o", made)
    return made


def _stub(folder: Path, library: str) -> Path:
    """A library that has the names and nothing behind them."""
    functions = [f".globl {name}\n.type {name}, %function\n{name}:" for name in BIONIC[library]]
    data = [
        f".globl {name}\n.type {name}, %object\n.size {name}, 8\n{name}: .quad 0" for name in _DATA.get(library, ())
    ]
    source, made = folder / f"{library}.s", folder / library
    source.write_text("\n".join([".text", *functions, ".data", *data, ""]), encoding="ascii")
    _zig("cc", *_MUSL, "-c", source, "-o", folder / f"{library}.o")
    _zig("ld.lld", "-shared", "-soname", library, "-o", made, folder / f"{library}.o")
    return made


def _zig(*arguments: str | Path) -> None:
    finished = run([sys.executable, "-m", "ziglang", *arguments], timeout=_SECONDS)
    if finished.status:
        raise SetupError(
            f"The native runner was not built: zig {arguments[0]} ended with {finished.ending}.{finished.tail()}",
            "Is ziglang installed? pip install ziglang",
        )


def build_all(folder: Path = PACKED, targets: Sequence[str] = TARGETS) -> list[Path]:
    """Build the runner for every target, where a wheel packs it.

    Raises:
        SetupError: the compiler refused.
    """
    made = [build(target, folder / target) for target in targets]
    write_text(folder / MARK, f"{digest()}\n")
    return made

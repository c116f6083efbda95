"""What this machine has, and what to do for what it lacks."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from snpe_tools.core.findings import Finding
from snpe_tools.core.process import run
from snpe_tools.qnn.library import RUNTIME_PIN, runtime_versions
from snpe_tools.toolchains.sdk.doctor import examine
from snpe_tools.toolchains.sdk_store.store import installed

_GLIBC = (2, 35)
_FREE_GIB = 4


def doctor(folder: Path = Path(), *, sdk_python: str = "") -> list[Finding]:
    """Look at everything the flow needs. Nothing is changed.

    Args:
        folder: where artefacts would go, for free space.
        sdk_python: the Python for the SDK's scripts; found by version when "".
    """
    checks: list[Callable[[], Finding]] = [
        _python,
        _platform,
        _runtime_pair,
        _emulator,
        _export,
        _quantizer,
        lambda: _disk(folder),
    ]
    return [
        *(check() for check in checks),
        *_sdk(sdk_python),
        *_fetched(),
        _package("adbutils", "Only needed for phones over ADB; it brings its own adb."),
        _package("paramiko", "Only needed for boards over SSH."),
    ]


def _python() -> Finding:
    version = platform.python_version()
    good = sys.version_info >= (3, 11)
    return Finding("Python", "ok" if good else "missing", version, "" if good else "Install Python 3.11 or later.")


def _platform() -> Finding:
    system, machine, (libc, version) = platform.system(), platform.machine(), platform.libc_ver()
    found = f"{system} {machine}" + (f", {libc} {version}" if libc else "")
    if system != "Linux" or machine != "x86_64":
        return Finding(
            "platform",
            "missing",
            found,
            "Converting and emulating need Linux x86-64; `info` and scoring of ONNX run anywhere.",
        )
    old = libc == "glibc" and tuple(int(part) for part in version.split(".")[:2]) < _GLIBC
    return Finding(
        "platform",
        "missing" if old else "ok",
        found,
        "The runtime needs glibc 2.35 (Ubuntu 22.04, Debian 12)." if old else "",
    )


def _runtime_pair() -> Finding:
    versions = runtime_versions()
    found = ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
    if versions == RUNTIME_PIN:
        return Finding("runtime pair", "ok", found)
    pins = " ".join(f"{name}=={version}" for name, version in RUNTIME_PIN.items())
    return Finding("runtime pair", "missing", found, f"pip install --no-deps {pins}")


def _emulator() -> Finding:
    """The libraries are loaded in a child process: a bad one may crash."""
    program = "from snpe_tools.qnn.library import htp_interface as h; print('QNN core API', h()[0].head.core_version)"
    finished = run([sys.executable, "-c", program], timeout=60)
    line = next((text for text in finished.output.splitlines() if text.startswith("QNN core API")), "")
    if finished.status == 0 and line:
        return Finding("HTP emulator", "ok", line)
    return Finding(
        "HTP emulator",
        "missing",
        f"cannot be loaded ({finished.ending})",
        "Install the pinned runtime pair on Linux x86-64.",
    )


def _export() -> Finding:
    finished = run(
        [
            sys.executable,
            "-c",
            "import torch; from optimum.exporters.onnx import onnx_export_from_model; print(torch.__version__)",
        ],
        timeout=300,
    )
    if finished.status == 0:
        return Finding("export", "ok", f"optimum, torch {finished.output.split()[-1]}")
    if importlib.util.find_spec("torchvision"):
        return Finding(
            "export",
            "missing",
            "torchvision cannot be imported beside this torch",
            "pip uninstall torchvision (nothing here needs it)",
        )
    last = finished.output.strip().splitlines()[-1:] or [finished.ending]
    return Finding("export", "missing", last[0], "make venv")


def _quantizer() -> Finding:
    if importlib.util.find_spec("aimet_onnx"):
        return Finding("quantizer", "ok", "aimet-onnx")
    return Finding("quantizer", "missing", "aimet-onnx is not installed", "make venv")


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder.absolute()).free / 2**30
    good = free >= _FREE_GIB
    return Finding(
        "disk",
        "ok" if good else "missing",
        f"{free:.0f} GiB free in {folder.absolute()}",
        "" if good else f"Free {_FREE_GIB} GiB.",
    )


def _sdk(python: str) -> Iterator[Finding]:
    """Needed only where the environment names one: then it is what a build uses."""
    found = list(examine(python))
    if not found:
        yield Finding("SDK", "optional", "not set up", "Not needed; docs/sdk.md says how to get it.")
    for one in found:
        yield Finding(one.name, "missing" if one.advice else "ok", one.found, one.advice)


def _fetched() -> Iterator[Finding]:
    """SDKs that `sdk fetch` brought: what devices get their runtime from, and where TOOLCHAIN=sdk looks."""
    for one in installed():
        yield Finding("fetched SDK", "ok", f"QAIRT {one.release} for {', '.join(one.targets)}")


def _package(name: str, what_for: str) -> Finding:
    try:
        return Finding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "optional", "not installed", f"{what_for} pip install {name}")

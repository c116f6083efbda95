"""Whether the SDK on this machine can do its work."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.errors import SetupError
from snpe_tools.core.process import run
from snpe_tools.toolchains.sdk.environment import (
    Sdk,
    find_python,
    find_root,
    find_version,
    libraries_folder,
    python_version,
    root_variable,
    tools_folder,
)
from snpe_tools.toolchains.sdk.versions import dialect_of

_NATIVE = ("snpe-dlc-quant", "snpe-dlc-graph-prepare")
_PACKAGES = ("numpy", "onnx", "yaml", "google.protobuf", "pandas")
_IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception:
        print("lacks", name)
"""
_SECONDS = 60


@dataclass(frozen=True)
class SdkFinding:
    """One thing looked at; `advice` is "" when it is in order."""

    name: str
    found: str
    advice: str = ""


def examine(python: str = "") -> Iterator[SdkFinding]:
    """Everything the SDK's tools need, in the order in which they would fail; nothing when no SDK is named."""
    if not root_variable():
        return
    try:
        root = find_root()
        version, place = find_version(root)
        dialect = dialect_of(version)
    except SetupError as problem:
        yield SdkFinding("SDK", problem.message, problem.hint)
        return
    yield SdkFinding("SDK", f"{dialect.name} {version} ({place}) in {root}")
    yield _libraries(root)
    try:
        command = find_python(dialect, version, python)
    except SetupError as problem:
        yield SdkFinding("SDK Python", problem.message, problem.hint)
        return
    yield _packages(Sdk(root, version, place, command, dialect.families[0]))


def _libraries(root: Path) -> SdkFinding:
    """Libraries that the SDK's programs ask for and this system does not have."""
    if platform.system() != "Linux":
        return SdkFinding("SDK libraries", platform.system(), "The SDK's converters are called on Linux x86-64 only.")
    where = {"LD_LIBRARY_PATH": str(libraries_folder(root))}
    files = [tools_folder(root) / tool for tool in _NATIVE if (tools_folder(root) / tool).is_file()]
    said = "".join(run(["ldd", file], environment=where, timeout=_SECONDS).output for file in files)
    missing = missing_libraries(said)
    if missing:
        advice = "Install them: docs/sdk.md names the packages, or run the SDK's bin/check-linux-dependency.sh."
        return SdkFinding("SDK libraries", f"missing: {', '.join(missing)}", advice)
    return SdkFinding("SDK libraries", f"{len(files)} programs find all of theirs")


def missing_libraries(said: str) -> list[str]:
    """What `ldd` does not find, such as libc++.so.1 or GLIBC_2.35."""
    libraries = re.findall(r"^\s*(\S+) => not found", said, re.MULTILINE)
    return sorted({*libraries, *re.findall(r"version [`'](\S+?)' not found", said)})


def _packages(sdk: Sdk) -> SdkFinding:
    found = f"Python {python_version(str(sdk.python))}, {sdk.python}"
    said = run([sdk.python, "-c", _IMPORT_ALL, *_PACKAGES], environment=sdk.environment, timeout=_SECONDS).output
    missing = re.findall(r"^lacks (\S+)$", said, re.MULTILINE)
    if missing:
        advice = f"{sdk.python} {sdk.root / 'bin' / 'check-python-dependency'}, or name another: --sdk-python."
        return SdkFinding("SDK Python", f"{found}; without {', '.join(missing)}", advice)
    return SdkFinding("SDK Python", found)

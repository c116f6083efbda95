"""Where the SDK is, which version it is, which Python it needs, and the environment its tools run in.

The environment is what the SDK's `bin/envsetup.sh` sets, built here for the child processes alone.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.errors import SetupError
from snpe_tools.core.process import run
from snpe_tools.core.progress import warn
from snpe_tools.toolchains.sdk.versions import Dialect, Family, Version, dialect_of

VARIABLES = ("SNPE_ROOT", "QNN_SDK_ROOT", "QAIRT_SDK_ROOT")
ARCHITECTURE = "x86_64-linux-clang"
_YAML_VERSION = re.compile(r"^version:\s*[\"']?([\d.]+)", re.MULTILINE)
_VERSION_TOOLS = ("snpe-dlc-quant", "snpe-net-run")
_SECONDS = 60
_CONVERTERS: Mapping[Family, str] = {"snpe": "snpe-onnx-to-dlc", "qairt": "qairt-converter"}
_HOW = "Fetch it: snpe-tools sdk fetch --for converters; docs/sdk.md. TOOLCHAIN=pypi (--toolchain pypi) needs none."


@dataclass(frozen=True)
class Sdk:
    """An installed SDK.

    Attributes:
        version_from: where the version was read: "sdk.yaml", "snpe-dlc-quant --version" or "folder name".
        python: what its scripts run with.
        family: which of its converters and quantizers are used.
    """

    root: Path
    version: Version
    version_from: str
    python: Path
    family: Family

    @property
    def dialect(self) -> Dialect:
        """How its tools are spoken to."""
        return dialect_of(self.version)

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a child process. PYTHONPATH is the SDK's alone: ours belongs to another Python."""
        return {
            **dict.fromkeys(VARIABLES, str(self.root)),
            "PATH": _first(tools_folder(self.root), "PATH"),
            "LD_LIBRARY_PATH": _first(libraries_folder(self.root), "LD_LIBRARY_PATH"),
            "PYTHONPATH": str(self.root / "lib" / "python"),
            "PYTHONIOENCODING": "utf-8",
            "PYTHONUNBUFFERED": "1",
        }

    def has(self, tool: str) -> bool:
        """Whether the SDK has a tool of that name."""
        return (tools_folder(self.root) / tool).is_file()

    def launcher(self, tool: str) -> list[Path]:
        """How a tool is started: a Python script with `python`, anything else as it is.

        Raises:
            SetupError: the SDK has no such tool.
        """
        file = tools_folder(self.root) / tool
        if not file.is_file():
            raise SetupError(f"The SDK in {self.root} has no {file.relative_to(self.root)}.", _HOW)
        with file.open("rb") as stream:
            first = stream.readline(200)
        return [self.python, file] if first.startswith(b"#!") and b"python" in first else [file]


def tools_folder(root: Path) -> Path:
    """The SDK's commands for this machine."""
    return root / "bin" / ARCHITECTURE


def libraries_folder(root: Path) -> Path:
    """The SDK's libraries for this machine."""
    return root / "lib" / ARCHITECTURE


def _first(folder: Path, variable: str) -> str:
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get(variable)])])


def root_variable() -> str:
    """The environment variable that names an SDK, "" when none does."""
    return next((name for name in VARIABLES if os.environ.get(name)), "")


def find_root(*, for_host: bool = True) -> Path:
    """The SDK's folder: the one that the environment names, else one whose converters were fetched.

    Args:
        for_host: whether it must have tools for this machine; what was fetched for a phone has none.

    Raises:
        SetupError: there is none, or the environment names something else.
    """
    variable = root_variable()
    if not variable:
        from snpe_tools.toolchains import sdk_store

        if fetched := sdk_store.find(["converters"]):
            return fetched.folder
        raise SetupError(f"No SDK: none of {', '.join(VARIABLES)} is set, and none was fetched.", _HOW)
    root = Path(os.environ[variable]).absolute()
    others = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    if any(Path(place).absolute() != root for place in others.values()):
        listed = ", ".join(f"{name}={place}" for name, place in others.items())
        warn(f"{listed} name different SDKs; {variable} is used.")
    needed = tools_folder(root) if for_host else root / "bin"
    if not needed.is_dir():
        raise SetupError(f"{variable}={root} is not an SDK: there is no {needed.relative_to(root)} in it.", _HOW)
    return root


def find_sdk(python: str = "", family: Family | None = None) -> Sdk:
    """The SDK that the environment names.

    Args:
        python: Python for its scripts; one of the right version is looked for when "".
        family: which converter and quantizer; None takes snpe-* where the SDK has them.

    Raises:
        SetupError: there is none, its version is not known or too old, or no Python fits.
    """
    root = find_root()
    version, place = find_version(root)
    dialect = dialect_of(version)
    chosen = family or _family(root, dialect)
    if not (tools_folder(root) / _CONVERTERS[chosen]).is_file() or chosen not in dialect.families:
        raise SetupError(
            f"{dialect.name} {version} in {root} has no {_CONVERTERS[chosen]}.",
            f"Its tools: --sdk-tools {' or '.join(dialect.families)}. {_HOW}",
        )
    return Sdk(root, version, place, find_python(dialect, version, python), chosen)


def _family(root: Path, dialect: Dialect) -> Family:
    there = [family for family in dialect.families if (tools_folder(root) / _CONVERTERS[family]).is_file()]
    return there[0] if there else dialect.families[0]


def find_version(root: Path) -> tuple[Version, str]:
    """The SDK's version, and where it was read.

    Raises:
        SetupError: nothing says it.
    """
    for place, text in _statements(root):
        version = Version.find(text)
        if version:
            return version, place
    raise SetupError(
        f"The version of the SDK in {root} is not known: no sdk.yaml, no tool that says it, no number in its folder.",
        "Is the installation complete? Unpack the SDK again.",
    )


def _statements(root: Path) -> Iterator[tuple[str, str]]:
    """What may say the version, the most reliable first."""
    file = root / "sdk.yaml"
    if file.is_file():
        match = _YAML_VERSION.search(file.read_text(encoding="utf-8", errors="replace"))
        yield "sdk.yaml", match[1] if match else ""
    libraries = {"LD_LIBRARY_PATH": _first(libraries_folder(root), "LD_LIBRARY_PATH")}
    for tool in _VERSION_TOOLS:
        if (tools_folder(root) / tool).is_file():
            finished = run([tools_folder(root) / tool, "--version"], environment=libraries, timeout=_SECONDS)
            yield f"{tool} --version", "" if finished.status else finished.output
    yield "folder name", root.resolve().name


def find_python(dialect: Dialect, version: Version, asked: str = "") -> Path:
    """The Python that runs the SDK's scripts.

    Raises:
        SetupError: the one asked for does not run, or none of the right version is found.
    """
    needed = " or ".join(dialect.pythons)
    if asked:
        found = python_version(asked)
        if not found:
            raise SetupError(f"--sdk-python {asked} does not run.", f"SDK {version} needs Python {needed}.")
        if found not in dialect.pythons:
            warn(f"SDK {version} is made for Python {needed}, and {asked} is Python {found}.")
        return Path(shutil.which(asked) or asked).absolute()
    for candidate in dialect.pythons:
        if python_version(f"python{candidate}") == candidate:
            return Path(shutil.which(f"python{candidate}") or "").absolute()
    raise SetupError(
        f"The scripts of SDK {version} need Python {needed}, and there is none on PATH.",
        "Install it with the packages that docs/sdk.md lists, and name it: --sdk-python /path/to/python "
        "(SDK_PYTHON=… for make).",
    )


def python_version(command: str) -> str:
    """Major and minor version of a Python that runs; "" of one that does not, such as a mere name of pyenv's."""
    program = "import sys; print('python %d.%d' % sys.version_info[:2])"
    try:
        finished = run([command, "-c", program], timeout=_SECONDS)
    except SetupError:
        return ""
    said = re.search(r"^python (\d+\.\d+)$", finished.output, re.MULTILINE)
    return said[1] if said and finished.status == 0 else ""

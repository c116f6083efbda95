"""Finds and loads the QNN libraries, and turns their error numbers into words."""

from __future__ import annotations

import ctypes as c
import importlib.metadata
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from snpe_tools.core.errors import QnnError, SetupError
from snpe_tools.qnn import abi

RUNTIME_PIN = {"onnxruntime": "1.31.1", "onnxruntime-qnn": "2.7.0"}
"""The pair that works together; `onnxruntime-qnn` refuses other versions of `onnxruntime`."""
QAIRT_BUILD = "2.51.0.260929181845"
"""The QAIRT release inside that `onnxruntime-qnn`, as its libraries and their DLC files name it."""

_ADVICE = {
    1002: "The HTP of this SoC does not support an operation or data type of the graph: try another SoC or precision.",
    1003: "An input or an attribute is out of the range that this SoC allows.",
    1100: "An input is out of range, such as a token id that is not in the vocabulary; or memory was short: run fewer "
    "workers.",
    6999: "Graph preparation failed; the log lines above name the operation.",
}


def runtime_versions() -> dict[str, str]:
    """Installed versions of the runtime pair, "" for a package that is missing."""
    return {name: _version(name) for name in RUNTIME_PIN}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def check_runtime() -> None:
    """Refuse a runtime pair that was never tested together.

    Raises:
        SetupError: a package is missing, or has another version than `RUNTIME_PIN`.
    """
    found = runtime_versions()
    if found != RUNTIME_PIN:
        has = ", ".join(f"{name} {version or 'is missing'}" for name, version in found.items())
        wants = " ".join(f"{name}=={version}" for name, version in RUNTIME_PIN.items())
        raise SetupError(f"The runtime pair does not match its pin: {has}.", f"pip install --no-deps {wants}")


_chosen: list[Path] = []


def use_folder(folder: Path) -> None:
    """Take the libraries from a folder from now on, as on a board that has no wheel."""
    _chosen.append(folder)


def library_folder() -> Path:
    """Folder of the QNN libraries: that of the `onnxruntime-qnn` wheel, or the one of `use_folder`.

    Raises:
        SetupError: the wheel is not installed or holds no libraries for this platform.
    """
    if _chosen:
        return _chosen[-1]
    check_runtime()
    spec = importlib.util.find_spec("onnxruntime_qnn")
    folders = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    for folder in folders:
        if (folder / "libQnnHtp.so").is_file():
            return folder
    raise SetupError(
        "The installed onnxruntime-qnn holds no libQnnHtp.so.",
        "The emulator runs on Linux x86-64 with glibc 2.35 or later; see the support table in the README.",
    )


@cache
def load_library(name: str) -> c.CDLL:
    """The shared library `name`, loaded once.

    The default (local) mode matters: with RTLD_GLOBAL a later `import onnxruntime` crashes.
    """
    path = library_folder() / name
    try:
        return c.CDLL(str(path))
    except OSError as problem:
        raise SetupError(f"{path.name} cannot be loaded: {problem}.", "snpe-tools doctor") from problem


class Functions:
    """The function table of one QNN interface: `functions("graphFinalize", graph, None, None)`."""

    def __init__(self, provider: int, head: type[c.Structure], indices: dict[str, int]) -> None:
        self.address = provider
        self.head = head.from_address(provider)
        self._pointers = provider + abi.POINTERS_AT[head]
        self._indices = indices

    def pointer(self, name: str) -> int:
        """Address of the function, 0 when this library does not have it."""
        return c.c_void_p.from_address(self._pointers + 8 * self._indices[name]).value or 0

    def __call__(self, name: str, *arguments: Any) -> None:  # noqa: ANN401 - C arguments
        """Call a function that returns an error number.

        Raises:
            QnnError: the number is not zero.
        """
        types = [
            type(argument) if isinstance(argument, c._SimpleCData | c.Structure) else c.c_void_p
            for argument in arguments
        ]
        function = c.CFUNCTYPE(c.c_uint64, *types)(self.pointer(name))
        status = function(*arguments)
        if status:
            code = status & 0xFFFF
            raise QnnError(
                f"QNN {name} failed with error {code} ({self._words(status)}).", _ADVICE.get(code, ""), code=code
            )

    def _words(self, status: int) -> str:
        if "errorGetMessage" not in self._indices or not self.pointer("errorGetMessage"):
            return "no description"
        words = c.c_char_p()
        c.CFUNCTYPE(c.c_uint64, c.c_uint64, c.c_void_p)(self.pointer("errorGetMessage"))(status, c.addressof(words))
        return (words.value or b"no description").decode(errors="replace")


def _first_provider(library: str, function: str) -> int:
    providers, count = c.POINTER(c.c_void_p)(), c.c_uint32()
    status = getattr(load_library(library), function)(c.byref(providers), c.byref(count))
    if status or not count.value:
        raise SetupError(f"{library} offers no interface (error {status & 0xFFFF}).", "snpe-tools doctor")
    return providers[0] or 0


def htp_interface() -> tuple[Functions, c.Structure]:
    """The HTP backend's functions, and its whole interface as a value.

    Raises:
        SetupError: an API version whose layout this binding does not know.
    """
    functions = Functions(_first_provider("libQnnHtp.so", "QnnInterface_getProviders"), abi.Interface, abi.CORE)
    version = functions.head.core_version
    pointers = abi.COMPOSE_POINTERS.get((version.major, version.minor))
    if pointers is None:
        known = ", ".join(f"{major}.{minor}" for major, minor in abi.COMPOSE_POINTERS)
        raise SetupError(
            f"libQnnHtp.so has QNN core API {version}, and this binding knows {known}.",
            "Install the pinned runtime: pip install --no-deps onnxruntime-qnn==" + RUNTIME_PIN["onnxruntime-qnn"],
        )
    return functions, abi.interface_by_value(pointers).from_address(functions.address)


def system_interface() -> Functions:
    """The functions that read, compose and save DLC files."""
    return Functions(
        _first_provider("libQnnSystem.so", "QnnSystemInterface_getProviders"), abi.SystemInterface, abi.SYSTEM
    )

"""What is put on a device, and how a run is asked for there.

`snpe` and `qnn` are the SDK's own net-run programs; `board` needs no SDK: the libraries of the `onnxruntime-qnn` wheel
and our own runner. `native` is the same runner in C, for what has no Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from snpe_tools.core.errors import ExecutionError, UsageError
from snpe_tools.core.files import sha256
from snpe_tools.core.raw_files import first_clash
from snpe_tools.core.socs import Soc
from snpe_tools.core.tensor_spec import Array, TensorSpec

OUTPUT = "output"
"""Folder of a run's results, below its own."""
DEFAULT_PROFILE = ""
"""The runtime's own choice of a performance profile."""


@dataclass(frozen=True)
class DeviceJob:
    """What is to run on a device.

    Attributes:
        graphs: names of the DLC's graphs.
        inputs: the model's.
        outputs: tensors to write.
        all_outputs: those of the graph: a runtime that cannot choose writes them all.
        lines: raw files of each inference, by input name.
        soc: the device's; on a machine that is none, the SoC to emulate.
        cache: (offset, bytes) in the DLC of the context compiled for `soc`; None without one.
        cache_by: version of the QAIRT that compiled that context, as the file has it.
        native: raw files hold the model's own types.
        profile: performance profile by its name for `snpe-net-run`, "" for the runtime's own choice.
        warm_up: inferences that are not timed, before the others.
        repeat: how often the list is run; results are those of the first time.
        token: no other run has it.
        debug: `dlc` is a copy for this run alone, whose inner tensors are outputs: the device does not keep it.
        recompile: the DLC has caches, and none of them is to be used.
    """

    dlc: Path
    graphs: Sequence[str]
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    lines: Sequence[Mapping[str, Path]]
    soc: Soc
    all_outputs: Sequence[TensorSpec] = ()
    cache: tuple[int, int] | None = None
    cache_by: str = ""
    native: bool = False
    profile: str = DEFAULT_PROFILE
    warm_up: int = 0
    repeat: int = 1
    token: str = ""
    debug: bool = False
    recompile: bool = False


@dataclass(frozen=True)
class Call:
    """How a run is asked for.

    Attributes:
        files: what it reads, by path below the run's folder, where the command is started.
        environment: variables of the command.
        folders: that must be there before it starts, below the run's own.
    """

    files: Mapping[str, Path]
    command: Sequence[str]
    environment: Mapping[str, str]
    folders: Sequence[str] = ()


@dataclass(frozen=True)
class Timing:
    """What a runtime said of its own speed.

    Attributes:
        init: seconds until the first inference could begin; NaN where nothing says it.
        seconds: of each timed inference; empty where the runtime tells no single ones.
        mean: seconds of one inference on average; NaN where nothing says it.
        start: "cache", "compiled", or "compiled, since …"; "" where nothing says it.
        source: what says it.
        buffers: how tensors were handed over.
    """

    init: float = math.nan
    seconds: tuple[float, ...] = ()
    mean: float = math.nan
    start: str = ""
    source: str = ""
    buffers: str = ""


@dataclass(frozen=True)
class Fetched:
    """What a run left, on this machine.

    Attributes:
        output: the pulled folder `OUTPUT`.
        log: what the command printed.
    """

    output: Path
    log: str = ""


class Runtime(Protocol):
    """A program on a device that runs a DLC."""

    @property
    def label(self) -> str:
        """Name and version, for the record: "snpe-net-run of QAIRT 2.31.0.250130"."""

    @property
    def versions(self) -> Mapping[str, str]:
        """For the record."""

    @property
    def profile(self) -> str:
        """The performance profile that it sets unless told otherwise; "" when it sets none."""

    @property
    def emulated(self) -> bool:
        """Whether it emulates the HTP: its seconds then say nothing about a device."""

    def bundle(self) -> Mapping[str, Path]:
        """The files that it needs on a device, by name: one flat folder.

        Raises:
            SetupError: one of them is missing.
        """

    def call(self, task: DeviceJob, bundle: PurePosixPath, scratch: Path) -> Call:
        """How to ask for a run; what has to be written for it goes to `scratch`.

        Args:
            bundle: the folder of `bundle()` on the device.

        Raises:
            UsageError: it cannot do what the task asks for.
        """

    def results(self, task: DeviceJob, fetched: Fetched, index: int) -> dict[str, Array]:
        """Float32 outputs of one inference, by name.

        Raises:
            ExecutionError: a file is missing, or has another size.
        """

    def timing(self, task: DeviceJob, fetched: Fetched) -> Timing:
        """What the runtime said of its speed."""


def libraries(*folders: PurePosixPath, system: Sequence[str]) -> dict[str, str]:
    """Where a device's linker and its DSP look for libraries.

    The DSP's list is separated by semicolons; with colons it finds no skel ("Failed to load skel").

    Args:
        system: folders of the device that the DSP needs as well.
    """
    return {
        "LD_LIBRARY_PATH": ":".join(map(str, folders)),
        "ADSP_LIBRARY_PATH": ";".join([*map(str, folders), *system]),
    }


ANDROID_DSP = ("/system/lib/rfsa/adsp", "/system/vendor/lib/rfsa/adsp", "/dsp")
LINUX_DSP = ("/usr/lib/rfsa/adsp", "/dsp")


def raw_names(task: DeviceJob) -> tuple[dict[str, Path], list[dict[str, str]]]:
    """Files to push by their names on the device, and every line with those names.

    The names are ours, so that no list has to hold blanks, quotes or worse. They are the contents' (half of SHA-256):
    what several lines name goes once, and what an earlier list had is there, wherever in the list it is now.
    """
    files = dict.fromkeys(file for line in task.lines for file in line.values())
    names = {file: f"raws/{sha256(file)[:32]}.raw" for file in files}
    lines = [{name: names[file] for name, file in line.items()} for line in task.lines]
    return {name: file for file, name in names.items()}, lines


def check_listable(task: DeviceJob) -> None:
    """Refuse tensor names that an input list cannot hold: it separates by blanks and `:=`.

    Raises:
        UsageError: names the tensor.
    """
    for spec in (*task.inputs, *task.outputs):
        if any(letter.isspace() for letter in spec.name) or ":=" in spec.name or "," in spec.name:
            raise UsageError(f"{task.dlc}: a list for net-run cannot name the tensor {spec.name!r}.", "Rename it.")


def check_apart(task: DeviceJob, file_name: Callable[[str], str]) -> None:
    """Refuse outputs that a runtime would write into one file.

    Args:
        file_name: the file of a tensor, by its name.

    Raises:
        UsageError: names both.
    """
    if clash := first_clash({spec.name: file_name(spec.name) for spec in task.outputs}):
        one, other = clash
        raise UsageError(
            f"{task.dlc.name}: the device would write the tensors {one!r} and {other!r} into one file.",
            "Rename one of them, or use --runtime board, which numbers its files.",
        )


def read_exact(file: Path, spec: TensorSpec, *, native: bool) -> bytes:
    """A result's bytes.

    Raises:
        ExecutionError: it is missing, no plain file, or has another size.
    """
    wanted = spec.nbytes(native=native)
    try:
        data = file.read_bytes() if file.is_file() and not file.is_symlink() else None
    except OSError:
        data = None
    where = f"{file.parent.name}/{file.name}"
    if data is None:
        raise ExecutionError(f"The device wrote no {where} (output {spec.name!r}), and reported success.", _AGAIN)
    if len(data) != wanted:
        raise ExecutionError(
            f"{where} (output {spec.name!r}) has {len(data)} bytes; {spec.shape} needs {wanted}.", _AGAIN
        )
    return data


_AGAIN = "Was the device's storage full, or the run killed? Try again."

__all__ = [
    "ANDROID_DSP",
    "DEFAULT_PROFILE",
    "LINUX_DSP",
    "OUTPUT",
    "Call",
    "DeviceJob",
    "Fetched",
    "Runtime",
    "Timing",
    "check_apart",
    "check_listable",
    "libraries",
    "raw_names",
    "read_exact",
]  # fmt: skip

"""Our runner in C, on phones and boards without Python: one program, and QNN libraries of an SDK or of the wheel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from snpe_tools._version import __version__
from snpe_tools.board.job import BoardJob
from snpe_tools.core.errors import UsageError
from snpe_tools.core.files import write_text
from snpe_tools.devices.runtimes import ANDROID_DSP, LINUX_DSP, Call, DeviceJob, libraries
from snpe_tools.devices.runtimes.board import DLC, BoardRunner
from snpe_tools.devices.runtimes.sdk import DeviceSdk

PROGRAM, JOB = "snpe-tools-runner", "job.txt"
_HEAD = "snpe-tools job 1"


@dataclass(frozen=True)
class NativeRunner(BoardRunner):
    """The program with the QNN libraries of a folder.

    Attributes:
        sdk: label of the SDK that the libraries come from; "" where it is the wheel.
        android: whether the device runs Android.
    """

    sdk: str = ""
    android: bool = False
    needs_python = False

    @property
    def label(self) -> str:
        """See `Runtime.label`."""
        return super().label.replace("runner", "native runner", 1)

    @property
    def source(self) -> str:
        """Where the libraries come from."""
        return self.sdk or super().source

    @property
    def versions(self) -> Mapping[str, str]:
        """See `Runtime.versions`."""
        return {"snpe-tools": __version__, "sdk": self.sdk} if self.sdk else super().versions

    def bundle(self) -> Mapping[str, Path]:
        """See `Runtime.bundle`."""
        return {PROGRAM: self.runner, **self.libraries}

    def call(self, task: DeviceJob, bundle: PurePosixPath, scratch: Path) -> Call:
        """See `Runtime.call`."""
        job, files = self.job(task, scratch)
        write_text(scratch / JOB, job_text(job))
        return Call(
            files={DLC: task.dlc, JOB: scratch / JOB, **files},
            command=[str(bundle / PROGRAM), JOB, str(bundle)],
            environment=libraries(bundle, system=ANDROID_DSP if self.android else LINUX_DSP),
        )


def job_text(job: BoardJob) -> str:
    """A job as the program reads it: a line for each value, its parts separated by tabs.

    Raises:
        UsageError: a name that such a line cannot hold.
    """
    rows: list[tuple[object, ...]] = [("dlc", job.dlc), ("folder", job.folder), ("token", job.token)]
    rows += [("warm-up", job.warm_up), ("repeat", job.repeat), *(("graph", name) for name in job.graphs)]
    rows += [("cache", *job.cache)] if job.cache else []
    rows += [("soc", job.soc)] if job.soc is not None else []
    if job.power:
        names = ("corner", "latency", "scaling", "poll")
        rows += [("profile", job.profile), *zip(names, job.power, strict=True)]
    rows += [(kind, size, name) for kind in ("input", "output") for name, size in getattr(job, f"{kind}s")]
    rows += [("file", file) for line in job.lines for file in line]
    for row in rows:
        for part in map(str, row):
            if set(part) & set("\t\n\r\0"):
                raise UsageError(f"The native runner cannot be told of the name {part!r}.", "Rename it.")
    return "\n".join([_HEAD, *("\t".join(map(str, row)) for row in rows), ""])


def sdk_libraries(sdk: DeviceSdk, arch: int) -> dict[str, Path]:
    """The QNN libraries of an SDK for one Hexagon architecture, by name.

    Raises:
        SetupError: one of them is missing.
    """
    stub, skel = f"libQnnHtpV{arch}Stub.so", f"libQnnHtpV{arch}Skel.so"
    found = {name: sdk.library(name) for name in ("libQnnHtp.so", "libQnnSystem.so", stub)}
    return {**found, skel: sdk.skel(skel, arch), **sdk.optional("libQnnHtpPrepare.so", "libc++_shared.so")}

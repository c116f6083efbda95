"""The SDK's `qnn-net-run`, for SDKs that have no `snpe-net-run`: it loads a DLC through `libQnnModelDlc.so`.

Flags and what it writes: Qualcomm's public documentation of the tool and public calls of it. It names tensors as the
QNN library does, so names are turned into that form, and results are looked for under it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from snpe_tools.devices.runtimes import OUTPUT, DeviceJob, Fetched, Timing
from snpe_tools.devices.runtimes.net_run import DLC, LIST, NetRunProgram
from snpe_tools.qnn.names import library_name

_BACKEND, _LOADER = "libQnnHtp.so", "libQnnModelDlc.so"
_NEEDED = (_BACKEND, "libQnnSystem.so", _LOADER)
_OPTIONAL = ("libQnnHtpPrepare.so", "libQnnHtpNetRunExtensions.so", "libc++_shared.so")


class QnnNetRun(NetRunProgram):
    """`qnn-net-run` of an SDK."""

    program = "qnn-net-run"

    def bundle(self) -> Mapping[str, Path]:
        """See `Runtime.bundle`."""
        stub, skel = f"libQnnHtpV{self.arch}Stub.so", f"libQnnHtpV{self.arch}Skel.so"
        needed = {name: self.sdk.library(name) for name in (*_NEEDED, stub)}
        own = {self.program: self.sdk.program(self.program), skel: self.sdk.skel(skel, self.arch)}
        return {**own, **needed, **self.sdk.optional(*_OPTIONAL)}

    def arguments(self, task: DeviceJob, bundle: PurePosixPath) -> Sequence[str]:
        """Its flags."""
        flags = ["--model", str(bundle / _LOADER), "--dlc_path", DLC, "--backend", str(bundle / _BACKEND)]
        flags += ["--input_list", LIST, "--output_dir", OUTPUT, "--perf_profile", task.profile or self.profile]
        return [*flags, "--use_native_input_files"] if task.native else flags

    def listed_name(self, tensor: str) -> str:
        """As the library names it."""
        return library_name(tensor)

    def result_name(self, tensor: str) -> str:
        """As the library names it."""
        return f"{library_name(tensor)}.raw"

    def timing(self, task: DeviceJob, fetched: Fetched) -> Timing:  # noqa: ARG002 - it says nothing that is documented
        """See `Runtime.timing`: the log it can write has no documented layout."""
        return Timing(
            buffers="client buffers, the model's own input types" if task.native else "client buffers, float32"
        )

"""The SDK's `snpe-net-run`, on Android and on Linux boards.

Flags and what it writes: Qualcomm's public documentation of the tool; outputs are float32, inputs too unless told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from snpe_tools.core.raw_files import nested_name
from snpe_tools.devices.runtimes import OUTPUT, Call, DeviceJob, Fetched, Timing, check_listable
from snpe_tools.devices.runtimes.diagnostics import read_diagnostics
from snpe_tools.devices.runtimes.net_run import DLC, LIST, NetRunProgram

_ON_COMMAND_LINE = 8000
"""Characters of tensor names: a device's shell bounds a command, and nothing bounds a list."""
_NEEDED = "libSNPE.so"
_OPTIONAL = ("libSnpeHtpPrepare.so", "libc++_shared.so", "libPlatformValidatorShared.so")


class SnpeNetRun(NetRunProgram):
    """`snpe-net-run` of an SDK."""

    program = "snpe-net-run"

    def bundle(self) -> Mapping[str, Path]:
        """See `Runtime.bundle`."""
        stub, skel = f"libSnpeHtpV{self.arch}Stub.so", f"libSnpeHtpV{self.arch}Skel.so"
        return {
            self.program: self.sdk.program(self.program),
            _NEEDED: self.sdk.library(_NEEDED),
            stub: self.sdk.library(stub),
            skel: self.sdk.skel(skel, self.arch),
            **self.sdk.optional(*_OPTIONAL),
        }

    def call(self, task: DeviceJob, bundle: PurePosixPath, scratch: Path) -> Call:
        """See `Runtime.call`: its lists hold the model's own names."""
        check_listable(task)
        return super().call(task, bundle, scratch)

    def arguments(self, task: DeviceJob, bundle: PurePosixPath) -> Sequence[str]:  # noqa: ARG002 - the linker finds all
        """Its flags."""
        flags = ["--container", DLC, "--input_list", LIST, "--output_dir", OUTPUT]
        flags += ["--use_dsp", "--perf_profile", task.profile or self.profile]
        flags += _named_outputs(task)[0]
        if task.recompile:
            flags += ["--cache_compatibility_mode", "always_generate_new"]
        return [*flags, "--userbuffer_auto", "--use_native_input_files"] if task.native else flags

    def list_header(self, task: DeviceJob) -> Sequence[str]:
        """The tensors to write, where they are too many for the command."""
        return _named_outputs(task)[1]

    def folders(self, task: DeviceJob, inferences: int) -> Sequence[str]:
        """Those that slashes in tensor names stand for: the tool was seen to fail where it had to make them itself."""
        parents = sorted({str(PurePosixPath(nested_name(spec.name)).parent) for spec in task.outputs} - {"."})
        return [f"{OUTPUT}/Result_{index}/{parent}" for index in range(inferences) for parent in parents]

    def listed_name(self, tensor: str) -> str:
        """The model's own."""
        return tensor

    def result_name(self, tensor: str) -> str:
        """The model's own, its slashes as folders."""
        return nested_name(tensor)

    def timing(self, task: DeviceJob, fetched: Fetched) -> Timing:
        """See `Runtime.timing`: the tool's own diagnostics, where the SDK's reader for them runs on this machine."""
        found = read_diagnostics(fetched.output, self.sdk.root)
        buffers = "user buffers, the model's own input types" if task.native else "user buffers, float32"
        if found is None:
            return Timing(buffers=buffers)
        return Timing(
            init=found.get("init", math.nan),
            mean=found.get("avg_total_inference_time", math.nan),
            source="the tool's diagnostics log, read by the SDK's snpe-diagview",
            buffers=buffers,
        )


def _named_outputs(task: DeviceJob) -> tuple[list[str], list[str]]:
    """How the tensors to write are named: words of the command, or a line at the head of the list."""
    names = [spec.name for spec in task.outputs]
    joined = ",".join(names)
    if len(joined) <= _ON_COMMAND_LINE:
        return ["--set_output_tensors", joined], []
    return [], [f"%{' '.join(names)}"]

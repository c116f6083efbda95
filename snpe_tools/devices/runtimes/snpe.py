"""The SDK's `snpe-net-run`, on Android and on Linux boards.

Flags and what it writes: Qualcomm's public documentation of the tool; outputs are float32, inputs too unless told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from snpe_tools.devices.runtimes import (
    ANDROID_DSP,
    LINUX_DSP,
    OUTPUT,
    Call,
    Fetched,
    Task,
    Timing,
    check_apart,
    check_listable,
    libraries,
    raw_names,
    read_exact,
)
from snpe_tools.devices.runtimes.diagnostics import read_diagnostics
from snpe_tools.devices.runtimes.sdk import DeviceSdk
from snpe_tools.errors import UsageError
from snpe_tools.files import write_text
from snpe_tools.spec import Array
from snpe_tools.tensors import nested_name

PROGRAM = "snpe-net-run"
PROFILES = (
    "burst", "sustained_high_performance", "high_performance", "balanced", "default", "low_balanced",
    "high_power_saver", "power_saver", "low_power_saver", "extreme_power_saver", "system_settings",
)  # fmt: skip
_ON_COMMAND_LINE = 8000
"""Characters of tensor names: a device's shell bounds a command, and nothing bounds a list."""
_NEEDED = "libSNPE.so"
_OPTIONAL = ("libSnpeHtpPrepare.so", "libc++_shared.so", "libPlatformValidatorShared.so")


@dataclass(frozen=True)
class SnpeNetRun:
    """`snpe-net-run` of an SDK, with the libraries for one Hexagon architecture."""

    sdk: DeviceSdk
    arch: int
    emulated = False
    profile = "burst"

    @property
    def label(self) -> str:
        """See `Runtime.label`."""
        return f"{PROGRAM} of {self.sdk.label}, HTP v{self.arch}"

    @property
    def versions(self) -> Mapping[str, str]:
        """See `Runtime.versions`."""
        return {"sdk": self.sdk.label, "target": self.sdk.target}

    def bundle(self) -> Mapping[str, Path]:
        """See `Runtime.bundle`."""
        stub, skel = f"libSnpeHtpV{self.arch}Stub.so", f"libSnpeHtpV{self.arch}Skel.so"
        return {
            PROGRAM: self.sdk.program(PROGRAM),
            _NEEDED: self.sdk.library(_NEEDED),
            stub: self.sdk.library(stub),
            skel: self.sdk.skel(skel, self.arch),
            **self.sdk.optional(*_OPTIONAL),
        }

    def call(self, task: Task, bundle: PurePosixPath, scratch: Path) -> Call:
        """See `Runtime.call`."""
        check_listable(task)
        check_apart(task, nested_name)
        if task.profile and task.profile not in PROFILES:
            raise UsageError(f"Unknown performance profile {task.profile!r}.", f"Known: {', '.join(PROFILES)}.")
        files, lines = raw_names(task)
        repeated = [lines[0]] * task.warm_up + lines * task.repeat
        # Paths in a list count from the working folder, which is the run's own.
        words = [" ".join(f"{name}:={file}" for name, file in line.items()) for line in repeated]
        flag, header = _named_outputs([spec.name for spec in task.outputs])
        write_text(scratch / "list.txt", "\n".join([*header, *words, ""]))
        command = [str(bundle / PROGRAM), "--container", "model.dlc", "--input_list", "list.txt"]
        command += ["--output_dir", OUTPUT, "--use_dsp", "--perf_profile", task.profile or self.profile]
        command += flag
        if task.recompile:
            command += ["--cache_compatibility_mode", "always_generate_new"]
        if task.native:
            command += ["--userbuffer_auto", "--use_native_input_files"]
        system = ANDROID_DSP if self.sdk.android else LINUX_DSP
        return Call(
            files={"model.dlc": task.dlc, "list.txt": scratch / "list.txt", **files},
            command=command,
            environment=libraries(bundle, system=system),
            folders=_folders(task, len(words)),
        )

    def results(self, task: Task, fetched: Fetched, index: int) -> dict[str, Array]:
        """See `Runtime.results`."""
        folder = fetched.output / f"Result_{task.warm_up + index}"
        return {
            spec.name: np.frombuffer(
                read_exact(folder / nested_name(spec.name), spec, native=False), np.float32
            ).reshape(spec.shape)
            for spec in task.outputs
        }

    def timing(self, task: Task, fetched: Fetched) -> Timing:
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


def _named_outputs(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """How the tensors to write are named: words of the command, or a line at the head of the list."""
    joined = ",".join(names)
    if len(joined) <= _ON_COMMAND_LINE:
        return ["--set_output_tensors", joined], []
    return [], [f"%{' '.join(names)}"]


def _folders(task: Task, inferences: int) -> list[str]:
    """Those that slashes in tensor names stand for: the tool was seen to fail where it had to make them itself."""
    parents = sorted({str(PurePosixPath(nested_name(spec.name)).parent) for spec in task.outputs} - {"."})
    return [f"{OUTPUT}/Result_{index}/{parent}" for index in range(inferences) for parent in parents]

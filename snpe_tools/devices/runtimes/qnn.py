"""The SDK's `qnn-net-run`, for SDKs that have no `snpe-net-run`: it loads a DLC through `libQnnModelDlc.so`.

Flags and what it writes: Qualcomm's public documentation of the tool and public calls of it. It names tensors as the
QNN library does, so names are turned into that form, and results are looked for under it.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    libraries,
    raw_names,
    read_exact,
)
from snpe_tools.devices.runtimes.sdk import DeviceSdk
from snpe_tools.errors import UsageError
from snpe_tools.files import write_text
from snpe_tools.qnn.names import library_name
from snpe_tools.spec import Array

PROGRAM = "qnn-net-run"
PROFILES = (
    "low_balanced", "balanced", "default", "high_performance", "sustained_high_performance", "burst",
    "low_power_saver", "power_saver", "high_power_saver", "extreme_power_saver", "system_settings",
)  # fmt: skip
_NEEDED = ("libQnnHtp.so", "libQnnSystem.so", "libQnnModelDlc.so")
_OPTIONAL = ("libQnnHtpPrepare.so", "libQnnHtpNetRunExtensions.so", "libc++_shared.so")


@dataclass(frozen=True)
class QnnNetRun:
    """`qnn-net-run` of an SDK, with the libraries for one Hexagon architecture."""

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
        stub, skel = f"libQnnHtpV{self.arch}Stub.so", f"libQnnHtpV{self.arch}Skel.so"
        needed = {name: self.sdk.library(name) for name in (*_NEEDED, stub)}
        own = {PROGRAM: self.sdk.program(PROGRAM), skel: self.sdk.skel(skel, self.arch)}
        return {**own, **needed, **self.sdk.optional(*_OPTIONAL)}

    def call(self, task: Task, bundle: PurePosixPath, scratch: Path) -> Call:
        """See `Runtime.call`."""
        if task.profile and task.profile not in PROFILES:
            raise UsageError(f"Unknown performance profile {task.profile!r}.", f"Known: {', '.join(PROFILES)}.")
        check_apart(task, library_name)
        files, lines = raw_names(task)
        repeated = [lines[0]] * task.warm_up + lines * task.repeat
        words = (" ".join(f"{library_name(name)}:={file}" for name, file in line.items()) for line in repeated)
        write_text(scratch / "list.txt", "\n".join([*words, ""]))
        command = [str(bundle / PROGRAM), "--model", str(bundle / _NEEDED[2]), "--dlc_path", "model.dlc"]
        command += ["--backend", str(bundle / _NEEDED[0]), "--input_list", "list.txt", "--output_dir", OUTPUT]
        command += ["--perf_profile", task.profile or self.profile]
        if task.native:
            command += ["--use_native_input_files"]
        return Call(
            files={"model.dlc": task.dlc, "list.txt": scratch / "list.txt", **files},
            command=command,
            environment=libraries(bundle, system=ANDROID_DSP if self.sdk.android else LINUX_DSP),
        )

    def results(self, task: Task, fetched: Fetched, index: int) -> dict[str, Array]:
        """See `Runtime.results`."""
        folder = fetched.output / f"Result_{task.warm_up + index}"
        found: dict[str, Array] = {}
        for spec in task.outputs:
            data = read_exact(folder / f"{library_name(spec.name)}.raw", spec, native=False)
            found[spec.name] = np.frombuffer(data, np.float32).reshape(spec.shape)
        return found

    def timing(self, task: Task, fetched: Fetched) -> Timing:  # noqa: ARG002 - it says nothing that is documented
        """See `Runtime.timing`: the log it can write has no documented layout."""
        return Timing(
            buffers="client buffers, the model's own input types" if task.native else "client buffers, float32"
        )

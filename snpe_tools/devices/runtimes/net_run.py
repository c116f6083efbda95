"""What the SDK's two net-run programs share: an input list, a performance profile, and where they find libraries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np

from snpe_tools.core.files import write_text
from snpe_tools.core.tensor_spec import Array
from snpe_tools.core.validation import one_of
from snpe_tools.devices.runtimes import (
    ANDROID_DSP,
    LINUX_DSP,
    Call,
    DeviceJob,
    Fetched,
    Timing,
    check_apart,
    libraries,
    raw_names,
    read_exact,
)
from snpe_tools.devices.runtimes.sdk import DeviceSdk

DLC = "model.dlc"
LIST = "list.txt"
PROFILES = (
    "burst", "sustained_high_performance", "high_performance", "balanced", "default", "low_balanced",
    "high_power_saver", "power_saver", "low_power_saver", "extreme_power_saver", "system_settings",
)  # fmt: skip


@dataclass(frozen=True)
class NetRunProgram(ABC):
    """A net-run program of an SDK, with the libraries for one Hexagon architecture; see `Runtime`."""

    sdk: DeviceSdk
    arch: int
    program: ClassVar[str]
    emulated = False
    profile = "burst"

    @property
    def label(self) -> str:
        """See `Runtime.label`."""
        return f"{self.program} of {self.sdk.label}, HTP v{self.arch}"

    @property
    def versions(self) -> Mapping[str, str]:
        """See `Runtime.versions`."""
        return {"sdk": self.sdk.label, "target": self.sdk.target}

    @abstractmethod
    def bundle(self) -> Mapping[str, Path]:
        """See `Runtime.bundle`."""

    @abstractmethod
    def arguments(self, task: DeviceJob, bundle: PurePosixPath) -> Sequence[str]:
        """Its flags."""

    @abstractmethod
    def listed_name(self, tensor: str) -> str:
        """How an input list names a tensor."""

    @abstractmethod
    def result_name(self, tensor: str) -> str:
        """The file of a result, below its inference's folder."""

    @abstractmethod
    def timing(self, task: DeviceJob, fetched: Fetched) -> Timing:
        """See `Runtime.timing`."""

    def call(self, task: DeviceJob, bundle: PurePosixPath, scratch: Path) -> Call:
        """See `Runtime.call`."""
        if task.profile:
            one_of(PROFILES, task.profile, "performance profile")
        check_apart(task, self.result_name)
        files, lines = raw_names(task)
        listed = [lines[0]] * task.warm_up + lines * task.repeat
        write_text(scratch / LIST, "\n".join([*self.list_header(task), *self._list_lines(listed), ""]))
        return Call(
            files={DLC: task.dlc, LIST: scratch / LIST, **files},
            command=[str(bundle / self.program), *self.arguments(task, bundle)],
            environment=libraries(bundle, system=ANDROID_DSP if self.sdk.android else LINUX_DSP),
            folders=self.folders(task, len(listed)),
        )

    def list_header(self, task: DeviceJob) -> Sequence[str]:  # noqa: ARG002 - most lists have none
        """Lines at the head of the input list."""
        return ()

    def folders(self, task: DeviceJob, inferences: int) -> Sequence[str]:  # noqa: ARG002 - most programs make their own
        """See `Call.folders`."""
        return ()

    def _list_lines(self, lines: Sequence[Mapping[str, str]]) -> list[str]:
        """Paths in a list count from the working folder, which is the run's own."""
        return [" ".join(f"{self.listed_name(name)}:={file}" for name, file in line.items()) for line in lines]

    def results(self, task: DeviceJob, fetched: Fetched, index: int) -> dict[str, Array]:
        """See `Runtime.results`."""
        folder = fetched.output / f"Result_{task.warm_up + index}"
        found: dict[str, Array] = {}
        for spec in task.outputs:
            data = read_exact(folder / self.result_name(spec.name), spec, native=False)
            found[spec.name] = np.frombuffer(data, np.float32).reshape(spec.shape)
        return found

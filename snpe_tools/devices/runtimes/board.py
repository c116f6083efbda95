"""A Linux board without an SDK: the libraries of the `onnxruntime-qnn` wheel, our own runner, the board's python3.

Raw files travel in the model's own types, and results come back in them: real numbers are made here, as they are for
the emulator.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from snpe_tools._version import __version__
from snpe_tools.board.job import BoardJob
from snpe_tools.board.main import RECORD
from snpe_tools.core.errors import ExecutionError
from snpe_tools.core.files import write_text
from snpe_tools.core.raw_files import read_inputs
from snpe_tools.core.tensor_spec import Array
from snpe_tools.core.validation import one_of
from snpe_tools.devices.runtimes import (
    LINUX_DSP,
    OUTPUT,
    Call,
    DeviceJob,
    Fetched,
    Timing,
    libraries,
    raw_names,
    read_exact,
)
from snpe_tools.qnn.library import QAIRT_BUILD, RUNTIME_PIN
from snpe_tools.qnn.names import library_name
from snpe_tools.qnn.power import PROFILES, power_of

RUNNER, DLC, JOB = "runner.pyz", "model.dlc", "job.json"
_MODULES = (
    "__init__.py", "_version.py", "core/__init__.py", "core/errors.py", "core/socs.py",
    "board/__init__.py", "board/job.py", "board/main.py",
    "qnn/__init__.py", "qnn/abi.py", "qnn/graph.py", "qnn/handles.py", "qnn/library.py", "qnn/log.py",
    "qnn/power.py",
)  # fmt: skip
"""All that the runner imports; an integration test runs it where nothing else is."""
_MAIN = "import sys\n\nfrom snpe_tools.board.main import main\n\nsys.exit(main(sys.argv[1:]))\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class BoardRunner:
    """Our runner with the QNN libraries of a folder.

    Attributes:
        libraries: by their names on the board.
        runner: the packed runner.
        emulated: the libraries are those of x86-64, which emulate.
    """

    libraries: Mapping[str, Path]
    runner: Path
    emulated: bool = False
    profile = ""
    needs_python = True

    @property
    def label(self) -> str:
        """See `Runtime.label`."""
        what = "Hexagon emulator" if self.emulated else "HTP"
        return f"snpe-tools runner, {what}, {self.source}"

    @property
    def source(self) -> str:
        """Where the libraries come from."""
        return f"onnxruntime-qnn {RUNTIME_PIN['onnxruntime-qnn']}"

    @property
    def versions(self) -> Mapping[str, str]:
        """See `Runtime.versions`."""
        pinned = {"onnxruntime-qnn": RUNTIME_PIN["onnxruntime-qnn"], "qairt": QAIRT_BUILD}
        return {"snpe-tools": __version__, **pinned}

    def bundle(self) -> Mapping[str, Path]:
        """See `Runtime.bundle`."""
        return {RUNNER: self.runner, **self.libraries}

    def call(self, task: DeviceJob, bundle: PurePosixPath, scratch: Path) -> Call:
        """See `Runtime.call`."""
        job, files = self.job(task, scratch)
        write_text(scratch / JOB, job.text())
        return Call(
            files={DLC: task.dlc, JOB: scratch / JOB, **files},
            command=["python3", "-I", "-S", str(bundle / RUNNER), JOB, str(bundle)],
            environment=libraries(bundle, system=LINUX_DSP),
        )

    def job(self, task: DeviceJob, scratch: Path) -> tuple[BoardJob, Mapping[str, Path]]:
        """What the runner is to do, and the raw files for it, in the model's own types, by their names on the device.

        Raises:
            UsageError: an unknown performance profile.
        """
        profile = one_of(PROFILES, task.profile, "performance profile") if task.profile else ""
        task = task if task.native else replace(task, lines=_native_lines(task, scratch), native=True)
        files, lines = raw_names(task)
        job = BoardJob(
            dlc=DLC,
            graphs=list(task.graphs),
            cache=task.cache,
            soc=task.soc.id if self.emulated else None,
            inputs=[(library_name(spec.name), spec.nbytes(native=True)) for spec in task.inputs],
            outputs=[(library_name(spec.name), spec.nbytes(native=True)) for spec in task.outputs],
            lines=[[line[spec.name] for spec in task.inputs] for line in lines],
            folder=OUTPUT,
            warm_up=task.warm_up,
            repeat=task.repeat,
            token=task.token,
            power=power_of(profile, task.soc.arch) if profile else None,
            profile=profile,
        )
        return job, files

    def results(self, task: DeviceJob, fetched: Fetched, index: int) -> dict[str, Array]:
        """See `Runtime.results`."""
        folder = fetched.output / f"Result_{index}"
        found: dict[str, Array] = {}
        for number, spec in enumerate(task.outputs):
            data = read_exact(folder / f"{number}.raw", spec, native=True)
            found[spec.name] = spec.to_real(np.frombuffer(data, spec.dtype.numpy).reshape(spec.shape))
        return found

    def timing(self, task: DeviceJob, fetched: Fetched) -> Timing:
        """See `Runtime.timing`: the record of the runner, which also says whose results these are."""
        try:
            record = json.loads((fetched.output / RECORD).read_text(encoding="utf-8"))
            token, seconds = str(record["token"]), tuple(float(value) for value in record["seconds"])
            found = Timing(
                init=float(record["init"]),
                seconds=seconds,
                mean=float(np.mean(seconds)) if seconds else float("nan"),
                start=str(record["start"]),
                source="the runner's clock around graphExecute",
                buffers="client buffers, the model's own types",
            )
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as problem:
            raise ExecutionError(
                f"The runner's record {RECORD} is missing or damaged: {problem}.", "Try again."
            ) from problem
        if token != task.token:
            raise ExecutionError("The results on the device are those of another run.", "Try again.")
        return found


def _native_lines(task: DeviceJob, scratch: Path) -> list[dict[str, Path]]:
    """Raw files in the model's own types, all of every line."""
    lines = []
    for index, line in enumerate(task.lines):
        arrays = read_inputs(line, task.inputs)
        files = {spec.name: scratch / f"{index}.{number}.raw" for number, spec in enumerate(task.inputs)}
        for name, file in files.items():
            file.write_bytes(arrays[name].tobytes())
        lines.append(files)
    return lines


def pack_runner(target: Path) -> Path:
    """Write the runner as one archive that python3 runs; the same bytes every time."""
    package = Path(__file__).parents[2]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py", _EPOCH), _MAIN)
        for name in _MODULES:
            archive.writestr(zipfile.ZipInfo(f"snpe_tools/{name}", _EPOCH), (package / name).read_bytes())
    return target

"""What every runtime has to do: say what it needs on a device, how a run is asked for there, and read its results."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from snpe_tools.core.dtypes import BY_CODE
from snpe_tools.core.errors import ExecutionError, UsageError
from snpe_tools.core.socs import DEFAULT
from snpe_tools.core.tensor_spec import Array, TensorSpec
from snpe_tools.devices.runtimes import OUTPUT, Call, DeviceJob, Fetched, Runtime
from snpe_tools.testing.refusal import refuses

_FLOAT = BY_CODE[0x232]
_FOLDER = PurePosixPath("/data/local/tmp/a b/bundles/runtime-0123")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VALUES = [{"out/z:0": np.array([[1.5, -2]], np.float32)}, {"out/z:0": np.array([[0, 4]], np.float32)}]


class RuntimeSuite:
    """Inherit this, define the fixture `runtime`, and `leave`. No device is needed.

    The model has two float inputs, `x/a:0` and `y` of shape (1, 4), and the float output `out/z:0` of shape (1, 2).
    """

    @abstractmethod
    def leave(self, job: DeviceJob, output: Path, values: Sequence[Mapping[str, Array]]) -> str:
        """Do as the program does on a device: write its results, and give what it prints.

        Args:
            output: an empty folder; the one that is fetched.
            values: float32 outputs of each line of the job, by name.
        """

    def test_it_names_itself(self, runtime: Runtime) -> None:
        """The record of a run says what computed it."""
        assert runtime.label.strip() == runtime.label != ""
        assert all(key and value for key, value in runtime.versions.items())
        assert isinstance(runtime.emulated, bool)

    def test_its_bundle_is_a_flat_folder_of_files(self, runtime: Runtime) -> None:
        """What is pushed once and kept there."""
        files = runtime.bundle()
        assert all(file.is_file() for file in files.values()), "a file of the bundle is missing"
        assert all(name and "/" not in name and name not in {".", ".."} for name in files)

    def test_a_call_reads_what_it_brings(self, runtime: Runtime, tmp_path: Path) -> None:
        """Everything by names below the run's folder: blanks, quotes and the like of local paths stay here."""
        call = self._call(runtime, self.job(tmp_path), tmp_path)
        assert call.files, "a call brings at least the DLC"
        assert call.files["model.dlc"] == tmp_path / "it's m.dlc"
        for name, file in call.files.items():
            assert not PurePosixPath(name).is_absolute()
            assert ".." not in PurePosixPath(name).parts
            assert file.is_file(), f"{name} is missing"
        assert call.command
        assert all(_VARIABLE.fullmatch(name) for name in call.environment)
        assert not any(str(tmp_path) in word for word in (*call.command, *call.environment.values()))

    def test_raw_files_are_named_by_their_content(self, runtime: Runtime, tmp_path: Path) -> None:
        """`x/a:0` is the same in both lines: it travels once, and never again while it is the same."""
        raws = [name for name in self._call(runtime, self.job(tmp_path), tmp_path).files if name.startswith("raws/")]
        assert len(raws) == 3, raws
        (tmp_path / "again").mkdir()
        again = self._call(runtime, self.job(tmp_path / "again"), tmp_path / "again").files
        assert {name for name in again if name.startswith("raws/")} == set(raws)

    def test_the_same_job_is_asked_for_in_the_same_words(self, runtime: Runtime, tmp_path: Path) -> None:
        """Provenance and resumption rest on it."""
        job = self.job(tmp_path)
        first, second = (self._call(runtime, job, tmp_path) for _ in range(2))
        assert (first.command, first.environment, first.folders) == (second.command, second.environment, second.folders)

    def test_an_unknown_profile_is_refused(self, runtime: Runtime, tmp_path: Path) -> None:
        """Before anything is pushed."""
        with refuses(UsageError):
            self._call(runtime, replace(self.job(tmp_path), profile="no-such-profile"), tmp_path)

    def test_results_are_float_arrays_by_name(self, runtime: Runtime, tmp_path: Path) -> None:
        """Of the inference that is asked for, also after a warm-up and with repetitions."""
        for number, (warm_up, repeat) in enumerate([(0, 1), (1, 1), (1, 2)]):
            job = replace(self.job(tmp_path), warm_up=warm_up, repeat=repeat)
            fetched = self._fetched(job, tmp_path / str(number))
            for index, wanted in enumerate(_VALUES):
                found = runtime.results(job, fetched, index)
                assert found.keys() == wanted.keys()
                assert found["out/z:0"].dtype == np.float32
                assert found["out/z:0"].shape == (1, 2)
                assert np.array_equal(found["out/z:0"], wanted["out/z:0"])

    def test_a_result_of_another_size_is_refused(self, runtime: Runtime, tmp_path: Path) -> None:
        """A full device cuts files, and its programs report success."""
        job = self.job(tmp_path)
        fetched = self._fetched(job, tmp_path / "run")
        for file in self._results(fetched):
            file.write_bytes(file.read_bytes()[:-1])
        with refuses(ExecutionError, words="bytes"):
            runtime.results(job, fetched, 1)

    def test_a_result_that_is_missing_or_a_link_is_refused(self, runtime: Runtime, tmp_path: Path) -> None:
        """A link that a device sent would read a file of this machine."""
        job = self.job(tmp_path)
        fetched = self._fetched(job, tmp_path / "run")
        for file in self._results(fetched):
            file.unlink()
        with refuses(ExecutionError):
            runtime.results(job, fetched, 0)
        for file in self._results(self._fetched(job, tmp_path / "other")):
            (tmp_path / "run" / OUTPUT / file.relative_to(tmp_path / "other" / OUTPUT)).symlink_to(file)
        with refuses(ExecutionError):
            runtime.results(job, fetched, 0)

    def test_timing_says_no_more_than_it_knows(self, runtime: Runtime, tmp_path: Path) -> None:
        """Numbers that nothing says are NaN, never 0."""
        job = self.job(tmp_path)
        timing = runtime.timing(job, self._fetched(job, tmp_path / "run"))
        assert timing.init != 0
        assert timing.mean != 0
        assert len(timing.seconds) in {0, len(job.lines)}

    def job(self, folder: Path) -> DeviceJob:
        """Two inferences of the model; they share one input."""
        raws = [folder / f"{number} it's.raw" for number in range(3)]
        for number, file in enumerate(raws):
            file.write_bytes(np.full(4, number, np.float32).tobytes())
        (folder / "it's m.dlc").write_bytes(b"dlc")
        inputs = [TensorSpec("x/a:0", (1, 4), _FLOAT), TensorSpec("y", (1, 4), _FLOAT)]
        outputs = [TensorSpec("out/z:0", (1, 2), _FLOAT)]
        lines = [{"x/a:0": raws[0], "y": raws[1]}, {"x/a:0": raws[0], "y": raws[2]}]
        return DeviceJob(folder / "it's m.dlc", ["g"], inputs, outputs, lines, DEFAULT, token=DEFAULT.name)

    def _call(self, runtime: Runtime, job: DeviceJob, folder: Path) -> Call:
        (folder / "scratch").mkdir(exist_ok=True)
        return runtime.call(job, _FOLDER, folder / "scratch")

    def _fetched(self, job: DeviceJob, folder: Path) -> Fetched:
        output = folder / OUTPUT
        output.mkdir(parents=True)
        return Fetched(output, self.leave(job, output, _VALUES))

    def _results(self, fetched: Fetched) -> list[Path]:
        files = [file for file in fetched.output.rglob("*.raw") if file.is_file()]
        assert files, "`leave` wrote no .raw file"
        return files

"""The runner for boards without an SDK: run by another Python, with nothing of ours or of numpy to import."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

import snpe_tools.dlc as dlc_format
from snpe_tools import prepare, run
from snpe_tools.core.errors import ExecutionError, SetupError
from snpe_tools.core.raw_files import read_list
from snpe_tools.core.socs import BY_NAME, DEFAULT
from snpe_tools.devices.runtimes import OUTPUT, Call, DeviceJob, Fetched, wheel
from snpe_tools.devices.runtimes.board import BoardRunner, pack_runner
from snpe_tools.devices.runtimes.wheel import arm_libraries, x86_libraries
from snpe_tools.execution.results import read_results
from tests.integration.conftest import Tiny

WINDOWS = 3
OLD_PYTHONS = sorted(Path.home().glob(".pyenv/versions/3.10.*/bin/python3"))
"""The oldest that the runner is for."""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> BoardRunner:
    return BoardRunner(x86_libraries(), pack_runner(tmp_path_factory.mktemp("runner") / "runner.pyz"), emulated=True)


@pytest.fixture
def model(tiny: Callable[[str, str], Tiny]) -> Tiny:
    return tiny("bert", "fp16")


def task_of(dlc: Path, listed: Path, *, cached: bool = False) -> DeviceJob:
    with dlc_format.open(dlc) as opened:
        record = opened.container.records[opened.cache_record(DEFAULT.name)] if cached else None
        return DeviceJob(
            dlc=dlc,
            graphs=[graph.name for graph in opened.graphs],
            inputs=[tensor.spec for tensor in opened.graph.inputs],
            outputs=[tensor.spec for tensor in opened.graph.outputs],
            lines=read_list(listed).lines[:WINDOWS],
            soc=DEFAULT,
            cache=(record.offset, record.size) if record else None,
            token="this run",
        )


def carry_out(board: BoardRunner, task: DeviceJob, folder: Path, python: str = "python3") -> Fetched:
    """As a device would: the bundle in one folder, the run in another, a foreign Python."""
    bundle, work, scratch = (folder / name for name in ("bundle", "a run", "scratch"))
    for place in (bundle, work, scratch):
        place.mkdir(exist_ok=True)
    for name, file in board.bundle().items():
        if not (bundle / name).exists():
            (bundle / name).symlink_to(file)
    call = board.call(task, PurePosixPath(bundle), scratch)
    for name, file in call.files.items():
        (work / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(file, work / name)
    done = start(call, work, python)
    assert done.returncode == 0, done.stdout
    return Fetched(work / OUTPUT, done.stdout)


def start(call: Call, work: Path, python: str = "python3") -> subprocess.CompletedProcess[str]:
    (work / OUTPUT).mkdir()
    environment = {"PATH": os.environ["PATH"], **call.environment}
    command = [python, *call.command[1:]]
    return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)


def expected(model: Tiny, folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    with dlc_format.open(model.dlc) as opened:
        shapes = {tensor.name: tensor.shape for tensor in opened.graph.outputs}
    run(model.dlc, model.listed, folder, outputs=tuple(shapes))
    for name, shape in shapes.items():
        yield name, read_results(folder, name, shape, WINDOWS)


def test_it_computes_the_emulators_bits(board: BoardRunner, model: Tiny, tmp_path: Path) -> None:
    task = task_of(model.dlc, model.listed)
    fetched = carry_out(board, task, tmp_path)
    found = [board.results(task, fetched, index) for index in range(WINDOWS)]
    for name, wanted in expected(model, tmp_path / "host"):
        assert np.array_equal(np.stack([result[name] for result in found]), wanted)
    timing = board.timing(task, fetched)
    assert timing.start == "compiled"
    assert len(timing.seconds) == WINDOWS
    assert min(timing.seconds) > 0
    told = [line for line in fetched.log.splitlines() if "LIBNATIVE" not in line]  # which the emulator's library says
    assert told == ["graph: compiled", "done 0", "done 1", "done 2", "Successfully executed!"]


def test_it_starts_from_a_compiled_cache(board: BoardRunner, model: Tiny, tmp_path: Path) -> None:
    prepared = tmp_path / "prepared.dlc"
    prepare(model.dlc, prepared, [DEFAULT])
    task = task_of(prepared, model.listed, cached=True)
    fetched = carry_out(board, task, tmp_path)
    assert board.timing(task, fetched).start == "cache"
    found = board.results(task, fetched, 0)
    for name, wanted in expected(model, tmp_path / "host"):
        assert np.array_equal(found[name], wanted[0])


def test_the_cache_of_another_soc_is_not_used_and_said_so(board: BoardRunner, model: Tiny, tmp_path: Path) -> None:
    prepared = tmp_path / "prepared.dlc"
    prepare(model.dlc, prepared, [DEFAULT])
    task = replace(task_of(prepared, model.listed, cached=True), soc=BY_NAME["sm8550"])
    fetched = carry_out(board, task, tmp_path)
    assert "compiled for SoC 57" in board.timing(task, fetched).start


def test_the_oldest_python_runs_it(board: BoardRunner, model: Tiny, tmp_path: Path) -> None:
    if not OLD_PYTHONS:
        pytest.skip("no Python 3.10 below ~/.pyenv")
    task = task_of(model.dlc, model.listed)
    fetched = carry_out(board, task, tmp_path, str(OLD_PYTHONS[0]))
    assert board.results(task, fetched, 0).keys() == {spec.name for spec in task.outputs}


def test_results_of_another_run_are_refused(board: BoardRunner, model: Tiny, tmp_path: Path) -> None:
    task = task_of(model.dlc, model.listed)
    fetched = carry_out(board, task, tmp_path)
    record = json.loads((fetched.output / "timings.json").read_text())
    (fetched.output / "timings.json").write_text(json.dumps(record | {"token": "another"}))
    with pytest.raises(ExecutionError, match="another run"):
        board.timing(task, fetched)


def test_a_short_or_missing_result_is_named(board: BoardRunner, model: Tiny, tmp_path: Path) -> None:
    task = task_of(model.dlc, model.listed)
    fetched = carry_out(board, task, tmp_path)
    first = fetched.output / "Result_1" / "0.raw"
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.raises(ExecutionError, match=r"Result_1/0\.raw .* bytes"):
        board.results(task, fetched, 1)
    first.unlink()
    with pytest.raises(ExecutionError, match=r"wrote no Result_1/0\.raw"):
        board.results(task, fetched, 1)


def test_a_missing_library_is_named(board: BoardRunner, model: Tiny, tmp_path: Path) -> None:
    lacking = {name: file for name, file in board.libraries.items() if not name.startswith("libc++-")}
    bundle, work = tmp_path / "bundle", tmp_path / "work"
    bundle.mkdir()
    work.mkdir()
    for name, file in lacking.items():
        shutil.copyfile(file, bundle / name)
    call = board.call(task_of(model.dlc, model.listed), PurePosixPath(bundle), tmp_path)
    shutil.copyfile(call.files["job.json"], work / "job.json")
    shutil.copyfile(board.runner, bundle / "runner.pyz")
    done = start(call, work)
    assert done.returncode == 7
    assert "libQnnHtp.so cannot be loaded: libc++" in done.stderr


def test_the_runner_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    one, other = pack_runner(tmp_path / "one.pyz"), pack_runner(tmp_path / "other.pyz")
    assert one.read_bytes() == other.read_bytes()


def test_the_libraries_for_boards_are_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetched from the package index: every file is an AArch64 or a Hexagon library, and the second time is offline."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        found = arm_libraries(75)
    except SetupError as problem:
        pytest.skip(f"no package index: {problem.message}")
    machines = {name: int.from_bytes(file.read_bytes()[18:20], "little") for name, file in found.items()}
    assert machines == {
        "libQnnHtp.so": 183,
        "libQnnSystem.so": 183,
        "libQnnHtpPrepare.so": 183,
        "libQnnHtpV75Stub.so": 183,
        "libQnnHtpV75Skel.so": 164,
    }
    monkeypatch.setattr(wheel, "_download", lambda _: pytest.fail("fetched again"))
    assert arm_libraries(81).keys() - found.keys() == {"libQnnHtpV81Stub.so", "libQnnHtpV81Skel.so"}
    with pytest.raises(SetupError, match=r"has no libQnnHtpV99Stub\.so"):
        arm_libraries(99)

"""The runner in C: the emulator's bits on x86-64, and as far as the AArch64 ones go on this machine."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from snpe_tools import prepare
from snpe_tools._version import __version__
from snpe_tools.board.native import TARGETS, building, program
from snpe_tools.core.socs import BY_NAME, DEFAULT
from snpe_tools.devices.runtimes import OUTPUT, DeviceJob, Fetched
from snpe_tools.devices.runtimes.board import BoardRunner, pack_runner
from snpe_tools.devices.runtimes.native import NativeRunner
from snpe_tools.devices.runtimes.wheel import x86_libraries
from tests.integration.conftest import Tiny
from tests.integration.test_board_runner import WINDOWS, expected, task_of

SYSROOT = Path("/usr/aarch64-linux-gnu")
QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Built from the sources, whatever was packed before."""
    pytest.importorskip("ziglang", reason="builds the runner")
    folder = tmp_path_factory.mktemp("native")
    return dict(zip(TARGETS, building.build_all(folder), strict=True))


@pytest.fixture(scope="module")
def native(programs: dict[str, Path]) -> NativeRunner:
    return NativeRunner(x86_libraries(), programs["x86_64-linux"], emulated=True)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> BoardRunner:
    return BoardRunner(x86_libraries(), pack_runner(tmp_path_factory.mktemp("runner") / "runner.pyz"), emulated=True)


def start(native: BoardRunner, task: DeviceJob, folder: Path) -> tuple[subprocess.CompletedProcess[str], Fetched]:
    """As a device would: the bundle in one folder, the run in another."""
    bundle, work, scratch = (folder / name for name in ("bundle", "a run", "scratch"))
    for place in (bundle, work, scratch):
        place.mkdir()
    for name, file in native.bundle().items():
        (bundle / name).symlink_to(file)
    call = native.call(task, PurePosixPath(bundle), scratch)
    for name, file in call.files.items():
        (work / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(file, work / name)
    environment = {"PATH": os.environ["PATH"], **call.environment}
    done = subprocess.run([*call.command], cwd=work, env=environment, capture_output=True, text=True, check=False)
    return done, Fetched(work / OUTPUT, done.stdout)


@pytest.mark.parametrize("precision", ["fp16", "w8a16"])
def test_it_computes_the_emulators_bits(
    native: NativeRunner, tiny: Callable[[str, str], Tiny], precision: str, tmp_path: Path
) -> None:
    model = tiny("bert", precision)
    task = replace(task_of(model.dlc, model.listed), warm_up=1, repeat=2)
    done, fetched = start(native, task, tmp_path)
    assert done.returncode == 0, done.stderr
    found = [native.results(task, fetched, index) for index in range(WINDOWS)]
    for name, wanted in expected(model, tmp_path / "host"):
        assert np.array_equal(np.stack([result[name] for result in found]), wanted)
    timing = native.timing(task, fetched)
    assert (timing.start, len(timing.seconds)) == ("compiled", 2 * WINDOWS)
    assert 0 < min(timing.seconds) < timing.init
    lines = [line for line in done.stdout.splitlines() if "LIBNATIVE" not in line]
    assert re.fullmatch(rf"runner {re.escape(__version__)}, QNN core API 2\.40\.\d+, backend v2\.51\..*", lines[0])
    assert lines[1:] == ["graph: compiled", *(f"done {index}" for index in (0, 1, 2) * 2), "Successfully executed!"]


def test_it_starts_from_a_compiled_cache(
    native: NativeRunner, tiny: Callable[[str, str], Tiny], tmp_path: Path
) -> None:
    model, prepared = tiny("bert", "fp16"), tmp_path / "prepared.dlc"
    prepare(model.dlc, prepared, [DEFAULT])
    task = task_of(prepared, model.listed, cached=True)
    (tmp_path / "right").mkdir()
    done, fetched = start(native, task, tmp_path / "right")
    assert native.timing(task, fetched).start == "cache", done.stderr
    for name, wanted in expected(model, tmp_path / "host"):
        assert np.array_equal(native.results(task, fetched, 0)[name], wanted[0])
    (tmp_path / "wrong").mkdir()
    other = replace(task, soc=BY_NAME["sm8550"])
    done, fetched = start(native, other, tmp_path / "wrong")
    assert "compiled, since its cache cannot be used: it is for another SoC" in native.timing(other, fetched).start


def test_what_does_not_fit_is_named(native: NativeRunner, tiny: Callable[[str, str], Tiny], tmp_path: Path) -> None:
    model = tiny("bert", "fp16")
    task = task_of(model.dlc, model.listed)
    foreign = {**task.lines[0], task.inputs[0].name: model.dlc}
    wrong = replace(task, outputs=[replace(task.outputs[0], name="nothing")])
    for number, (changed, code, words) in enumerate(
        [
            (wrong, 3, "its graph has no tensor 'nothing'"),
            (replace(task, inputs=task.inputs[1:]), 3, "that the job does not name"),
            (replace(task, cache=(0, 10**12)), 3, "ends before its cache does"),
            (replace(task, lines=[foreign], native=True), 3, "bytes; input '"),
        ]
    ):
        (tmp_path / str(number)).mkdir()
        done, _ = start(native, changed, tmp_path / str(number))
        assert done.returncode == code, done.stderr
        assert words in done.stderr
        assert "Successfully" not in done.stdout


@pytest.mark.parametrize(("profile", "which"), [("burst", 0), ("low_power_saver", 1)])
def test_performance_profiles(
    native: NativeRunner, board: BoardRunner, tiny: Callable[[str, str], Tiny], profile: str, which: int, tmp_path: Path
) -> None:
    """The emulator takes the request, in the layout that both runners have of it; numbers do not change."""
    model = tiny("bert", "fp16")
    task = replace(task_of(model.dlc, model.listed), profile=profile)
    runner = (native, board)[which]
    done, fetched = start(runner, task, tmp_path)
    assert done.returncode == 0, done.stderr
    found = runner.results(task, fetched, 0)
    for output, wanted in expected(model, tmp_path / "host"):
        assert np.array_equal(found[output], wanted[0])


def refusals(command: list[str], folder: Path) -> None:
    """It starts, says its version, reads a job, and refuses what is wrong with it."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True, check=False)

    assert run("--version").stdout == f"snpe-tools runner {__version__}\n"
    assert (run().returncode, "usage" in run().stderr) == (2, True)
    whole = "snpe-tools job 1\ndlc\tm.dlc\ninput\t4\tx\noutput\t4\ty\nfile\tx.raw\n"
    jobs = {
        "": "is not a job of this runner",
        "snpe-tools job 1\n": "lacks a DLC, an input or an output",
        "snpe-tools job 1\ndlc": "dlc has no value",
        "snpe-tools job 1\ninput\tfour\tx": "x needs a number",
        "snpe-tools job 1\ninput\t99999999999\tx": "x is too large",
        "snpe-tools job 1\ninput\t4": "a tensor without a name",
        "snpe-tools job 1\nsoc\t-1": "soc needs a number",
        "snpe-tools job 1\ncache\t1": "cache needs a number",
        "snpe-tools job 1\nfast\t1": "fast is not known",
        whole + "input\t4\tz\n": "1 files for 2 inputs",
    }
    for text, words in jobs.items():
        (folder / "job.txt").write_text(text)
        done = run("job.txt", str(folder))
        assert (done.returncode, words in done.stderr) == (3, True), (text, done.stderr)
    (folder / "job.txt").write_text(whole)
    done = run("job.txt", str(folder))
    assert done.returncode == 7
    assert "libQnnSystem.so cannot be loaded" in done.stderr
    assert (run("missing.txt", "/").returncode, "No such file" in run("missing.txt", "/").stderr) == (3, True)


def test_it_refuses_bad_jobs(programs: dict[str, Path], tmp_path: Path) -> None:
    refusals([str(programs["x86_64-linux"])], tmp_path)


def emulated(folder: Path) -> list[str]:
    if not QEMU or not (SYSROOT / "lib" / "ld-linux-aarch64.so.1").exists():
        pytest.skip("needs qemu-user and libc6-arm64-cross")
    return [QEMU, "-L", str(SYSROOT), str(SYSROOT / "lib" / "ld-linux-aarch64.so.1"), "--library-path",
            f"{folder}:{SYSROOT / 'lib'}"]  # fmt: skip


def test_the_one_for_arm_boards_starts_and_refuses(programs: dict[str, Path], tmp_path: Path) -> None:
    refusals([*emulated(tmp_path), str(programs["aarch64-linux"])], tmp_path)


_SHIM = """
#include <errno.h>
#include <stdlib.h>
int *__errno(void) { return &errno; }
void __libc_init(void **raw, void (*unused)(void), int (*main)(int, char **, char **), void *arrays) {
  long count = (long)raw[0];
  (void)unused, (void)arrays;
  exit(main((int)count, (char **)&raw[1], (char **)&raw[count + 2]));
}
"""


def test_the_one_for_phones_starts_and_refuses(programs: dict[str, Path], tmp_path: Path) -> None:
    """With glibc in Bionic's place: a `libc.so` that starts programs as Bionic does, and has the rest from glibc."""
    command = emulated(tmp_path)
    (tmp_path / "shim.c").write_text(_SHIM)
    target = ("-target", "aarch64-linux-gnu.2.31", "-shared", "-fPIC")
    building._zig("cc", *target, tmp_path / "shim.c", "-Wl,-soname,libc.so", "-o", tmp_path / "libc.so")
    (tmp_path / "libdl.so").symlink_to(SYSROOT / "lib" / "libdl.so.2")
    refusals([*command, str(programs["aarch64-android"])], tmp_path)


def dynamic_section(elf: bytes) -> tuple[str, list[str], set[str]]:
    """Interpreter, needed libraries, and undefined symbols of an ELF-64 file (generic ABI, chapters 4 and 5)."""
    start, count = struct.unpack_from("<Q", elf, 32)[0], struct.unpack_from("<H", elf, 56)[0]
    heads = [struct.unpack_from("<IIQQQQQQ", elf, start + 56 * index) for index in range(count)]

    def at(address: int) -> int:
        return next(int(h[2] + address - h[3]) for h in heads if h[0] == 1 and h[3] <= address < h[3] + h[5])

    def text(place: int) -> str:
        return elf[place : elf.index(b"\0", place)].decode()

    interpreter = next(text(head[2]) for head in heads if head[0] == 3)
    place = next(head[2] for head in heads if head[0] == 2)
    entries: list[tuple[int, int]] = []
    while not entries or entries[-1][0]:
        entries.append(struct.unpack_from("<QQ", elf, place + 16 * len(entries)))
    found = dict(entries)
    strings, symbols = at(found[5]), at(found[6])
    needed = [text(strings + value) for tag, value in entries if tag == 1]
    total = struct.unpack_from("<I", elf, at(found[4]) + 4)[0]
    rows = [elf[symbols + 24 * index :][:24] for index in range(1, total)]
    names = {text(strings + int.from_bytes(row[:4], "little")) for row in rows if row[6:8] == b"\0\0"}
    return interpreter, needed, names


def test_the_one_for_phones_asks_for_nothing_but_what_phones_have(programs: dict[str, Path]) -> None:
    interpreter, needed, names = dynamic_section(programs["aarch64-android"].read_bytes())
    assert (interpreter, needed) == ("/system/bin/linker64", ["libc.so", "libdl.so"])
    allowed = {*building.BIONIC["libc.so"], *building.BIONIC["libdl.so"], "stderr", "stdout"}
    assert "dlopen" in names
    assert names <= allowed
    assert programs["aarch64-android"].stat().st_size < 20_000


def test_a_program_is_built_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ziglang")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("snpe_tools.board.native.PACKED", tmp_path / "none")
    made = program("x86_64-linux")
    assert made.is_relative_to(tmp_path)
    monkeypatch.setattr(building, "build", lambda *_: pytest.fail("built again"))
    assert program("x86_64-linux") == made


def test_the_source_stays_small() -> None:
    lines = (Path(building.__file__).with_name("runner.c")).read_text().splitlines()
    assert len(lines) <= 400
    assert max(map(len, lines)) <= 120

"""net-run as a script calls it, and what may go wrong on the way: nothing lost, a clear report, an exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from snpe_tools import prepare, run
from snpe_tools.errors import ExecutionError, UsageError
from snpe_tools.qnn.profile import Level
from snpe_tools.socs import DEFAULT
from snpe_tools.stages import engine
from snpe_tools.stages.bundle import bundle
from snpe_tools.stages.inference import Item, Job, Outcome, infer
from snpe_tools.stages.net_run import NetRun, NetRunResult, net_run
from snpe_tools.tensors import read_list
from tests.integration.conftest import Tiny

Make = Callable[[str, str], Tiny]
NAMES = ("start_logits", "end_logits")


@pytest.fixture(scope="module")
def model(tiny: Make) -> Tiny:
    return tiny("bert", "w8a16")


@pytest.fixture(scope="module")
def prepared(model: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("prepared") / "m.dlc"
    prepare(model.dlc, target, [DEFAULT])
    return target


def _absolute(model: Tiny, folder: Path, repeat: int = 1, header: str = "") -> Path:
    """The model's list with absolute paths, several times over."""
    lines = [" ".join(f"{name}:={file}" for name, file in line.items()) for line in read_list(model.listed).lines]
    listed = folder / "list.txt"
    listed.write_text(header + "\n".join(lines * repeat) + "\n")
    return listed


def _call(model: Tiny, folder: Path, **options: object) -> tuple[NetRunResult, list[str]]:
    lines: list[str] = []
    call = NetRun(model.dlc, _absolute(model, folder), folder / "out", **options)  # type: ignore[arg-type]
    return net_run(call, lines.append), lines


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "snpe_tools", "net-run", "--use_dsp", *map(str, arguments)]


def _results(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.glob("Result_*/**/*.raw")}


@pytest.fixture(scope="module")
def wanted(model: Tiny, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an undisturbed run of the 16 windows writes."""
    folder = tmp_path_factory.mktemp("wanted")
    run(model.dlc, model.listed, folder)
    return _results(folder)


def test_a_script_gets_the_folders_text_and_exit_code_of_the_tool(
    model: Tiny, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    """The published MobileBERT call, in the folder of the list, with relative paths."""
    arguments = f"--container {model.dlc} --input_list list.txt --set_output_tensors start_logits,end_logits".split()
    command = [*_command(*arguments), "--output_dir", str(tmp_path / "out"), "--perf_profile", "burst"]
    done = subprocess.run(command, cwd=model.listed.parent, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == lines[3] == "-" * 79
    assert lines[1] == "Model String: N/A"
    assert lines[2].startswith("SNPE v2.51.0.")
    assert lines[4:6] == [
        "Processing DNN input(s):",
        "input_ids/0.raw attention_mask/0.raw token_type_ids/0.raw",
    ]
    assert lines[-1] == "Successfully executed!"
    assert len(lines) == 4 + 2 * 16 + 1
    assert "without effect on the emulator: --perf_profile burst" in done.stderr
    assert _results(tmp_path / "out") == wanted


def test_only_the_last_output_unless_told_with_a_loud_warning(
    model: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str], wanted: dict[str, bytes]
) -> None:
    made, _ = _call(model, tmp_path)
    assert made.outputs == ("start_logits",)
    told = capsys.readouterr().err
    assert "WARNING: only the last output is written (start_logits)" in told
    assert "NOT written: end_logits" in told
    assert "--set_output_tensors end_logits,start_logits" in told
    assert _results(tmp_path / "out") == {name: data for name, data in wanted.items() if "start" in name}


@pytest.mark.parametrize("header", ["%start_logits end_logits\n", "#start_logits_dq\n%end_logits\n"])
def test_the_list_may_name_outputs_and_layers(
    header: str, model: Tiny, tmp_path: Path, wanted: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    listed = _absolute(model, tmp_path, header=header)
    made = net_run(NetRun(model.dlc, listed, tmp_path / "out"), lambda _: None)
    assert set(made.outputs) == set(NAMES)
    assert "WARNING" not in capsys.readouterr().err
    assert _results(tmp_path / "out") == wanted


def test_debug_writes_every_tensor_and_slashes_become_folders(
    model: Tiny, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    made, _ = _call(model, tmp_path, debug=True)
    assert len(made.outputs) > 50
    found = _results(tmp_path / "out")
    assert len(found) == 16 * len(made.outputs)
    assert (tmp_path / "out/Result_0/bert/embeddings/Add_output_0_q.raw").stat().st_size == 4 * 48 * 64
    assert {name: found[name] for name in wanted} == wanted
    assert not list((tmp_path / "out").glob(".tapped*"))


def test_an_unknown_tensor_is_refused_before_anything_is_written(model: Tiny, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no tensor 'logits'(.|\n)*end_logits, start_logits"):
        _call(model, tmp_path, set_output_tensors=("logits",))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--use_gpu"], "only the HTP can be emulated"),
        (["--runtime_order", "gpu,dsp"], "only the HTP"),
        (["--userbuffer_floatN=16"], "float raw files hold 32 bits"),
        (["--no_such_flag"], "has no flag '--no_such_flag'"),
        (["--profiling_level", "much"], "Unknown profiling level 'much'"),
        (["--perf_profile"], "needs a value"),
    ],
)
def test_what_cannot_be_honoured_is_refused(flags: list[str], words: str, model: Tiny, tmp_path: Path) -> None:
    command = _command("--container", model.dlc, "--input_list", model.listed, "--output_dir", tmp_path / "out", *flags)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "out").exists()


def test_names_of_other_frameworks_are_the_files_own(tmp_path: Path) -> None:
    """The library knows these tensors by other names."""
    from onnx import helper

    from snpe_tools import convert
    from snpe_tools.graph.loading import save
    from tests.conftest import make_model

    nodes = [
        helper.make_node("Add", ["a/b:0", "1st.input"], ["mid/sum:0"], name="n/add"),
        helper.make_node("Relu", ["mid/sum:0"], ["InceptionV3/Predictions/Reshape_1:0"], name="n/relu"),
        helper.make_node("Neg", ["mid/sum:0"], ["transpose:0"], name="n/neg"),
    ]
    inputs: dict[str, tuple[int, tuple[int, ...]]] = {"a/b:0": (1, (1, 4)), "1st.input": (1, (1, 4))}
    shapes = {"InceptionV3/Predictions/Reshape_1:0": (1, 4), "transpose:0": (1, 4)}
    save(make_model(nodes, inputs, shapes), tmp_path / "m.onnx")
    plain = convert(tmp_path / "m.onnx", tmp_path / "m.dlc").dlc
    prepare(plain, tmp_path / "p.dlc", [DEFAULT])
    for row, name in enumerate("ab"):
        np.array([row + 1, -3, 1, 8], np.float32).tofile(tmp_path / f"{name}.raw")
    header = "%transpose:0 InceptionV3/Predictions/Reshape_1:0 mid/sum:0\n"
    (tmp_path / "list.txt").write_text(f"{header}a/b:0:={tmp_path}/a.raw 1st.input:={tmp_path}/b.raw\n")
    for dlc in (plain, tmp_path / "p.dlc"):
        out = tmp_path / dlc.stem
        net_run(NetRun(dlc, tmp_path / "list.txt", out), lambda _: None)
        found = {str(file.relative_to(out / "Result_0")): np.fromfile(file, np.float32) for file in out.rglob("*.raw")}
        assert set(found) == {"transpose:0.raw", "InceptionV3/Predictions/Reshape_1:0.raw", "mid/sum:0.raw"}
        assert np.allclose(found["mid/sum:0.raw"], [3, -6, 2, 16], rtol=1e-3)
        assert np.array_equal(found["transpose:0.raw"], -found["mid/sum:0.raw"])
        assert np.array_equal(found["InceptionV3/Predictions/Reshape_1:0.raw"], np.maximum(found["mid/sum:0.raw"], 0))


def test_a_batch_is_filled_from_lines_and_its_tail_padded(tmp_path: Path) -> None:
    from onnx import helper

    from snpe_tools import convert
    from snpe_tools.graph.loading import save
    from tests.conftest import make_model

    node = helper.make_node("Mul", ["x", "two"], ["y"], name="double")
    save(make_model([node], {"x": (1, (4, 3))}, {"y": (4, 3)}, {"two": np.array([2], np.float32)}), tmp_path / "m.onnx")
    dlc = convert(tmp_path / "m.onnx", tmp_path / "m.dlc").dlc
    for row in range(6):
        np.full(3, row + 1, np.float32).tofile(tmp_path / f"{row}.raw")
    (tmp_path / "list.txt").write_text("".join(f"{tmp_path}/{row}.raw\n" for row in range(6)))
    made = net_run(NetRun(dlc, tmp_path / "list.txt", tmp_path / "out"), lambda _: None)
    assert made.inferences == 2
    results = [np.fromfile(tmp_path / "out" / f"Result_{index}" / "y.raw", np.float32) for index in range(2)]
    assert np.allclose(results[0], [2, 2, 2, 4, 4, 4, 6, 6, 6, 8, 8, 8], rtol=1e-6)
    assert np.allclose(results[1], [10, 10, 10, 12, 12, 12, 0, 0, 0, 0, 0, 0], rtol=1e-6)


def test_a_cache_is_used_unless_the_call_wants_a_new_one(prepared: Path, model: Tiny, tmp_path: Path) -> None:
    both = Tiny(model.source, prepared, model.listed)
    assert _call(both, tmp_path, set_output_tensors=NAMES)[0].started == ("cache",)
    cached = _results(tmp_path / "out")
    made = _call(both, tmp_path, set_output_tensors=NAMES, always_generate_new=True)[0]
    assert (made.started, made.kept) == (("compiled",), 0)
    assert _results(tmp_path / "out") == cached


def test_a_damaged_cache_ends_in_a_report_or_in_compiling(prepared: Path, model: Tiny, tmp_path: Path) -> None:
    import snpe_tools.dlc as dlc_format

    data = bytearray(prepared.read_bytes())
    with dlc_format.open(prepared) as opened:
        record = opened.caches[0].record
    for start in (64, record.size // 3, record.size // 2):
        data[record.offset + start : record.offset + start + 4096] = os.urandom(4096)
    (tmp_path / "bad.dlc").write_bytes(data)
    command = _command("--container", tmp_path / "bad.dlc", "--input_list", _absolute(model, tmp_path))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 5}
    assert ("Successfully executed!" in done.stdout) == (done.returncode == 0)
    assert "Traceback" not in done.stderr


# --- resume ---


def test_a_killed_run_carries_on_and_the_results_are_the_same(
    model: Tiny, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    listed, out = _absolute(model, tmp_path, repeat=20), tmp_path / "out"
    command = _command(
        "--container", model.dlc, "--input_list", listed, "--output_dir", out, "--set_output_tensors", ",".join(NAMES)
    )
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait_for(lambda: len(list(out.glob("Result_*"))) >= 10)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _wait_for(lambda: not any(_runs(child) for child in children))
    (out / ".Result_7.x.part").mkdir()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "results of an equal run are whole and kept" in done.stderr
    assert done.stdout.count("Processing DNN input(s):") == 320
    found = _results(out)
    assert len(found) == 2 * 320
    for name, data in found.items():
        index, file = int(name.split("/")[0].removeprefix("Result_")), name.split("/")[1]
        assert data == wanted[f"Result_{index % 16}/{file}"]
    assert not list(out.glob(".Result*"))


def _runs(process: psutil.Process) -> bool:
    """A zombie runs no more; here nobody may be there to bury it."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _wait_for(condition: Callable[[], bool], timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_only_equal_calls_share_results(model: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "raws"
    shutil.copytree(model.listed.parent, folder)
    own = Tiny(model.source, model.dlc, folder / "list.txt")
    assert _call(own, tmp_path)[0].kept == 0
    assert _call(own, tmp_path)[0].kept == 16
    ids = folder / "input_ids" / "3.raw"
    ids.write_bytes((folder / "input_ids" / "4.raw").read_bytes())
    before = (tmp_path / "out/Result_3/start_logits.raw").read_bytes()
    assert _call(own, tmp_path)[0].kept == 15, "a raw file changed"
    assert (tmp_path / "out/Result_3/start_logits.raw").read_bytes() != before
    (tmp_path / "out/Result_5/start_logits.raw").write_bytes(b"cut")
    shutil.rmtree(tmp_path / "out/Result_6")
    assert _call(own, tmp_path)[0].kept == 14, "results that are not whole"
    assert _call(own, tmp_path, use_native_output_files=True)[0].kept == 0, "another flag"
    shutil.copytree(tmp_path / "out/Result_1", tmp_path / "out/Result_99")
    other = tmp_path / "other.dlc"
    other.write_bytes(model.dlc.read_bytes() + b"\0")
    assert _call(Tiny(own.source, other, own.listed), tmp_path, use_native_output_files=True)[0].kept == 0
    assert not (tmp_path / "out/Result_99").exists(), "results of no line of the list"
    (tmp_path / "out/run.json").write_text('{"call": 3')
    assert _call(own, tmp_path)[0].kept == 0, "a record that cannot be read"


def test_two_runs_into_one_folder_take_turns(model: Tiny, tmp_path: Path, wanted: dict[str, bytes]) -> None:
    arguments = ["--container", model.dlc, "--input_list", _absolute(model, tmp_path), "--output_dir", tmp_path / "out"]
    command = [*_command(*arguments), "--set_output_tensors", ",".join(NAMES)]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    words = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert any("16 kept, 0 run" in text for text in words)
    assert _results(tmp_path / "out") == wanted


# --- faults ---


def _kill_two(job: Job, item: Item) -> Outcome:
    """An input that brings down every worker it meets."""
    if item.index == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return infer(job, item)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_input_that_kills_its_worker_twice_is_the_only_one_lost(
    workers: int, model: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, bytes]
) -> None:
    monkeypatch.setattr(engine, "infer", _kill_two)
    call = NetRun(model.dlc, _absolute(model, tmp_path), tmp_path / "out", set_output_tensors=NAMES)
    lines: list[str] = []
    with pytest.raises(ExecutionError, match=r"1 of 16 inferences failed; the other 15(.|\n)*Inference 2: .*twice"):
        net_run(call, lines.append, workers=workers)
    assert "Successfully executed!" not in lines
    assert lines.count("Processing DNN input(s):") == 15
    found = _results(tmp_path / "out")
    assert found == {name: data for name, data in wanted.items() if not name.startswith("Result_2/")}
    monkeypatch.undo()
    assert net_run(call, lines.append).kept == 15
    assert _results(tmp_path / "out") == wanted


def test_a_worker_killed_from_outside_costs_nothing(model: Tiny, tmp_path: Path, wanted: dict[str, bytes]) -> None:
    out, listed = tmp_path / "out", _absolute(model, tmp_path, repeat=8)
    command = _command("--container", model.dlc, "--input_list", listed, "--output_dir", out, "--workers", 2)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _wait_for(lambda: len(list(out.glob("Result_*"))) >= 5)
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if any("LokyProcess" in word or "popen_loky" in word for word in child.cmdline())
    ]
    assert len(workers) >= 2
    workers[-1].kill()
    text, words = process.communicate(timeout=200)
    assert process.returncode == 0, words
    assert text.endswith("Successfully executed!\n")
    found = _results(out)
    assert len(found) == 128
    for name, data in found.items():
        index = int(name.split("/")[0].removeprefix("Result_"))
        assert data == wanted[f"Result_{index % 16}/start_logits.raw"]


def _die(_: Job) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_model_that_brings_down_every_worker_ends_the_run(
    model: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "infer", _kill_two_always)
    monkeypatch.setattr(engine, "warm", _die)
    with pytest.raises(ExecutionError, match=r"m\.dlc: the QNN library crashed"):
        _call(model, tmp_path)


def _kill_two_always(job: Job, item: Item) -> Outcome:
    return _kill_two(job, Item(2, item.rows))


def test_a_raw_that_vanishes_on_the_way_costs_one_result(model: Tiny, tmp_path: Path, wanted: dict[str, bytes]) -> None:
    folder, out = tmp_path / "raws", tmp_path / "out"
    shutil.copytree(model.listed.parent, folder)
    lines = (folder / "list.txt").read_text().splitlines()
    shutil.copy(folder / "input_ids" / "0.raw", folder / "input_ids" / "gone.raw")
    lines = lines * 8 + [lines[0].replace("input_ids/0.raw", "input_ids/gone.raw"), lines[5]]
    (folder / "list.txt").write_text("\n".join(lines) + "\n")
    command = _command("--container", model.dlc, "--input_list", "list.txt", "--output_dir", out)
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _wait_for(lambda: len(list(out.glob("Result_*"))) >= 3)
    (folder / "input_ids" / "gone.raw").unlink()
    text, words = process.communicate(timeout=200)
    assert process.returncode == 5
    assert "1 of 130 inferences failed; the other 129 results are whole" in words
    assert "input_ids/gone.raw (input 'input_ids') cannot be read: No such file or directory" in words
    assert "Successfully" not in text
    assert (out / "Result_129/start_logits.raw").read_bytes() == wanted["Result_5/start_logits.raw"]
    assert not (out / "Result_128").exists()


def test_a_token_outside_the_vocabulary_fails_alone_and_the_session_lives_on(
    model: Tiny, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    """The library aborts the execution; what the same worker runs next must not suffer."""
    np.full(48, 2.0**30, np.float32).tofile(tmp_path / "bad.raw")
    listed = _absolute(model, tmp_path)
    lines = listed.read_text().splitlines()
    lines[1] = " ".join([f"input_ids:={tmp_path}/bad.raw", *lines[1].split()[1:]])
    listed.write_text("\n".join(lines) + "\n")
    with pytest.raises(ExecutionError, match=r"1 of 16 inferences failed(.|\n)*token id that is not in the vocabulary"):
        net_run(NetRun(model.dlc, listed, tmp_path / "out", set_output_tensors=NAMES), lambda _: None, workers=1)
    assert _results(tmp_path / "out") == {key: data for key, data in wanted.items() if not key.startswith("Result_1/")}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_ends_the_run_and_keeps_what_is_whole(
    small_disk: Path, model: Tiny, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    listed, out = _absolute(model, tmp_path, repeat=4), small_disk / "out"
    command = _command("--container", model.dlc, "--input_list", listed, "--output_dir", out)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 8
    assert "No space left while writing" in done.stderr
    found = _results(out)
    assert 0 < len(found) < 64
    for name, data in found.items():
        index = int(name.split("/")[0].removeprefix("Result_"))
        assert data == wanted[f"Result_{index % 16}/start_logits.raw"]


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_cut_dlc_is_refused_with_its_exit_code(kept: float, model: Tiny, tmp_path: Path) -> None:
    data = model.dlc.read_bytes()
    (tmp_path / "cut.dlc").write_bytes(data[: int(len(data) * kept)])
    command = _command("--container", tmp_path / "cut.dlc", "--input_list", model.listed)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 3
    assert "cut.dlc" in done.stderr


# --- workers elsewhere, profiles, bundles ---


def test_a_dask_cluster_gives_the_same_results(model: Tiny, tmp_path: Path, wanted: dict[str, bytes]) -> None:
    """Two workers of a cluster, in processes of their own; one is killed on the way, and the cluster replaces it."""
    arguments = ("--container", model.dlc, "--input_list", _absolute(model, tmp_path), "--output_dir", "cli")
    command = _command(*arguments, "--set_unconsumed_as_output")
    script = f"""
import os, signal, subprocess, sys
from pathlib import Path
from distributed import Client, LocalCluster
from snpe_tools import run

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        pids = list(client.run(os.getpid).values())
        assert len(set(pids)) == 2
        done = run(Path({str(model.dlc)!r}), Path({str(model.listed)!r}), Path("out"), executor=client.get_executor())
        os.kill(pids[0], signal.SIGKILL)
        again = run(Path({str(model.dlc)!r}), Path({str(model.listed)!r}), Path("two"), executor=client.get_executor())
        subprocess.run([*{command!r}, "--cluster", cluster.scheduler_address], check=True)
        print(done.inferences, again.inferences, done.not_finite)
"""
    (tmp_path / "cluster.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "cluster.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "16 16 0"
    for folder in ("out", "two", "cli"):
        assert _results(tmp_path / folder) == wanted


def test_a_profile_names_operations_their_types_and_its_unit(model: Tiny, tmp_path: Path) -> None:
    made, _ = _call(model, tmp_path, profiling_level=Level.DETAILED)
    assert made.profile
    assert made.profile.inferences == 16
    assert "no latency of any device" in made.profile.unit
    assert sum(operation.share for operation in made.profile.operations) == pytest.approx(100)
    assert sum(made.profile.types.values()) == pytest.approx(100)
    assert {"FullyConnected", "LayerNorm", "Softmax", "MatMul", "Convert"} <= set(made.profile.types)
    assert "unknown" not in made.profile.types
    assert 0 < made.profile.conversions < 20
    assert made.profile.costliest[0].cycles == max(operation.cycles for operation in made.profile.operations)
    trace = json.loads((tmp_path / "out/profile.trace.json").read_text())
    assert "no latency of any device" in trace["otherData"]["unit"]
    bars = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert len(bars) == 16 * len(made.profile.operations)
    assert {event["args"]["type"] for event in bars} == set(made.profile.types)
    summary = json.loads((tmp_path / "out/profile.json").read_text())["summary"]
    assert len(summary["operations"]) == len(made.profile.operations)


def test_duration_repeats_the_list_and_writes_each_result_once(
    prepared: Path, model: Tiny, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    made, lines = _call(Tiny(model.source, prepared, model.listed), tmp_path, duration=4, set_output_tensors=NAMES)
    assert made.executed >= 16
    assert lines.count("Processing DNN input(s):") == 16
    assert _results(tmp_path / "out") == wanted


def test_a_bundle_can_be_repeated_from_itself(model: Tiny, tmp_path: Path) -> None:
    made = bundle(model.dlc, model.listed, tmp_path / "b", index=3, model=model.source)
    assert (made.graph, made.goldens, made.outputs) == ("m", "cpu", 2)
    manifest = json.loads((tmp_path / "b/manifest.json").read_text())
    part = manifest["partitions"][0]
    assert (manifest["bundle_version"], manifest["edges"], part["dlc_path"]) == (1, [], "m/m.dlc")
    sizes = {"int32_t": 4, "float": 4}
    for tensor in (*part["inputs"], *part["outputs"]):
        file = tmp_path / "b" / tensor["raw_file"]
        assert file.stat().st_size == sizes[tensor["dtype"]] * np.prod(tensor["shape"])
    folder = tmp_path / "b/m"
    run(folder / "m.dlc", folder / "input_list.txt", tmp_path / "again", native_inputs=True, native_outputs=True)
    for name in NAMES:
        again = (tmp_path / "again/Result_0" / f"{name}.raw").read_bytes()
        assert again == (folder / "emulator" / f"{name}.raw").read_bytes()
        golden, ours = (np.fromfile(folder / kind / f"{name}.raw", np.float32) for kind in ("goldens", "emulator"))
        assert np.corrcoef(golden, ours)[0, 1] > 0.99
        assert not np.array_equal(golden, ours)
    with pytest.raises(UsageError, match="has 16 inferences; there is no inference 16"):
        bundle(model.dlc, model.listed, tmp_path / "c", index=16)
    assert bundle(model.dlc, model.listed, tmp_path / "b.tar.gz").different == 0
    shutil.unpack_archive(tmp_path / "b.tar.gz", tmp_path / "unpacked")
    assert (tmp_path / "unpacked/b/m/m.dlc").read_bytes() == model.dlc.read_bytes()

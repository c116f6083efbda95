"""What may go wrong on the way: nothing lost, a clear report, an exit code."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from snpe_tools.core.errors import ExecutionError
from snpe_tools.execution import engine
from snpe_tools.execution.net_run import NetRun, net_run
from snpe_tools.execution.worker import Item, Job, Outcome, infer
from tests.integration.conftest import Tiny
from tests.integration.net_run.calls import NAMES, absolute_list, call_net_run, command_line, raws_in, wait_for


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
    call = NetRun(model.dlc, absolute_list(model, tmp_path), tmp_path / "out", set_output_tensors=NAMES)
    lines: list[str] = []
    with pytest.raises(ExecutionError, match=r"1 of 16 inferences failed; the other 15(.|\n)*Inference 2: .*twice"):
        net_run(call, lines.append, workers=workers)
    assert "Successfully executed!" not in lines
    assert lines.count("Processing DNN input(s):") == 15
    found = raws_in(tmp_path / "out")
    assert found == {name: data for name, data in wanted.items() if not name.startswith("Result_2/")}
    monkeypatch.undo()
    assert net_run(call, lines.append).kept == 15
    assert raws_in(tmp_path / "out") == wanted


def test_a_worker_killed_from_outside_costs_nothing(model: Tiny, tmp_path: Path, wanted: dict[str, bytes]) -> None:
    out, listed = tmp_path / "out", absolute_list(model, tmp_path, repeat=8)
    command = command_line("--container", model.dlc, "--input_list", listed, "--output_dir", out, "--workers", 2)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(out.glob("Result_*"))) >= 5)
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
    found = raws_in(out)
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
        call_net_run(model, tmp_path)


def _kill_two_always(job: Job, item: Item) -> Outcome:
    return _kill_two(job, Item(2, item.rows))


def test_a_raw_that_vanishes_on_the_way_costs_one_result(model: Tiny, tmp_path: Path, wanted: dict[str, bytes]) -> None:
    folder, out = tmp_path / "raws", tmp_path / "out"
    shutil.copytree(model.listed.parent, folder)
    lines = (folder / "list.txt").read_text().splitlines()
    shutil.copy(folder / "input_ids" / "0.raw", folder / "input_ids" / "gone.raw")
    lines = lines * 8 + [lines[0].replace("input_ids/0.raw", "input_ids/gone.raw"), lines[5]]
    (folder / "list.txt").write_text("\n".join(lines) + "\n")
    command = command_line("--container", model.dlc, "--input_list", "list.txt", "--output_dir", out)
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(out.glob("Result_*"))) >= 3)
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
    listed = absolute_list(model, tmp_path)
    lines = listed.read_text().splitlines()
    lines[1] = " ".join([f"input_ids:={tmp_path}/bad.raw", *lines[1].split()[1:]])
    listed.write_text("\n".join(lines) + "\n")
    with pytest.raises(ExecutionError, match=r"1 of 16 inferences failed(.|\n)*token id that is not in the vocabulary"):
        net_run(NetRun(model.dlc, listed, tmp_path / "out", set_output_tensors=NAMES), lambda _: None, workers=1)
    assert raws_in(tmp_path / "out") == {key: data for key, data in wanted.items() if not key.startswith("Result_1/")}


def test_a_full_disk_ends_the_run_and_keeps_what_is_whole(
    small_disk: Callable[[str], Path], model: Tiny, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    listed, out = absolute_list(model, tmp_path, repeat=4), small_disk("100k") / "out"
    command = command_line("--container", model.dlc, "--input_list", listed, "--output_dir", out)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 8
    assert "No space left while writing" in done.stderr
    found = raws_in(out)
    assert 0 < len(found) < 64
    for name, data in found.items():
        index = int(name.split("/")[0].removeprefix("Result_"))
        assert data == wanted[f"Result_{index % 16}/start_logits.raw"]


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_cut_dlc_is_refused_with_its_exit_code(kept: float, model: Tiny, tmp_path: Path) -> None:
    data = model.dlc.read_bytes()
    (tmp_path / "cut.dlc").write_bytes(data[: int(len(data) * kept)])
    command = command_line("--container", tmp_path / "cut.dlc", "--input_list", model.listed)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 3
    assert "cut.dlc" in done.stderr


def test_a_damaged_cache_ends_in_a_report_or_in_compiling(prepared: Path, model: Tiny, tmp_path: Path) -> None:
    import snpe_tools.dlc as dlc_format

    data = bytearray(prepared.read_bytes())
    with dlc_format.open(prepared) as opened:
        record = opened.caches[0].record
    for start in (64, record.size // 3, record.size // 2):
        data[record.offset + start : record.offset + start + 4096] = os.urandom(4096)
    (tmp_path / "bad.dlc").write_bytes(data)
    command = command_line("--container", tmp_path / "bad.dlc", "--input_list", absolute_list(model, tmp_path))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 5}
    assert ("Successfully executed!" in done.stdout) == (done.returncode == 0)
    assert "Traceback" not in done.stderr

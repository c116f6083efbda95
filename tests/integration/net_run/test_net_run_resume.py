"""A run that goes on: what was killed carries on, and only equal calls share results."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import psutil

from tests.integration.conftest import Tiny
from tests.integration.net_run.calls import NAMES, absolute_list, call_net_run, command_line, raws_in, wait_for


def test_a_killed_run_carries_on_and_the_results_are_the_same(
    model: Tiny, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    listed, out = absolute_list(model, tmp_path, repeat=20), tmp_path / "out"
    command = command_line(
        "--container", model.dlc, "--input_list", listed, "--output_dir", out, "--set_output_tensors", ",".join(NAMES)
    )
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list(out.glob("Result_*"))) >= 10)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    wait_for(lambda: not any(_runs(child) for child in children))
    (out / ".Result_7.x.part").mkdir()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "results of an equal run are whole and kept" in done.stderr
    assert done.stdout.count("Processing DNN input(s):") == 320
    found = raws_in(out)
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


def test_only_equal_calls_share_results(model: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "raws"
    shutil.copytree(model.listed.parent, folder)
    own = Tiny(model.source, model.dlc, folder / "list.txt")
    assert call_net_run(own, tmp_path)[0].kept == 0
    assert call_net_run(own, tmp_path)[0].kept == 16
    ids = folder / "input_ids" / "3.raw"
    ids.write_bytes((folder / "input_ids" / "4.raw").read_bytes())
    before = (tmp_path / "out/Result_3/start_logits.raw").read_bytes()
    assert call_net_run(own, tmp_path)[0].kept == 15, "a raw file changed"
    assert (tmp_path / "out/Result_3/start_logits.raw").read_bytes() != before
    (tmp_path / "out/Result_5/start_logits.raw").write_bytes(b"cut")
    shutil.rmtree(tmp_path / "out/Result_6")
    assert call_net_run(own, tmp_path)[0].kept == 14, "results that are not whole"
    assert call_net_run(own, tmp_path, use_native_output_files=True)[0].kept == 0, "another flag"
    shutil.copytree(tmp_path / "out/Result_1", tmp_path / "out/Result_99")
    other = tmp_path / "other.dlc"
    other.write_bytes(model.dlc.read_bytes() + b"\0")
    assert call_net_run(Tiny(own.source, other, own.listed), tmp_path, use_native_output_files=True)[0].kept == 0
    assert not (tmp_path / "out/Result_99").exists(), "results of no line of the list"
    (tmp_path / "out/run.json").write_text('{"call": 3')
    assert call_net_run(own, tmp_path)[0].kept == 0, "a record that cannot be read"


def test_two_runs_into_one_folder_take_turns(model: Tiny, tmp_path: Path, wanted: dict[str, bytes]) -> None:
    arguments = [
        "--container",
        model.dlc,
        "--input_list",
        absolute_list(model, tmp_path),
        "--output_dir",
        tmp_path / "out",
    ]
    command = [*command_line(*arguments), "--set_output_tensors", ",".join(NAMES)]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    words = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert any("16 kept, 0 run" in text for text in words)
    assert raws_in(tmp_path / "out") == wanted

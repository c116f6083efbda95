"""The inspecting commands as a user meets them: text, JSON, CSV, exit codes, and names that are hostile."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from snpe_tools.cli.output import count
from snpe_tools.core.printing import printable
from tests.dlc_files import F32, model4, node4, records41, tensor4, write_zip

EVIL = "a\x1b[2J\nb\x07\u202e\x9b"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snpe_tools", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_zip(tmp_path / "m.dlc", records41())


def test_info_tells_everything_on_stdout(file: Path) -> None:
    shown = run("info", file)
    assert (shown.returncode, shown.stderr) == (0, "")
    for words in (
        "container 4.1", "converter: snpe-onnx-to-dlc 2.42.0 2026-01-02", "3 operations, 5 tensors, 4 encodings",
        "1 FullyConnected, 1 Transpose, 1 Neuron", "8-bit per-channel 100 %", "htp.cache.sm8650.0", "v75", "8 MB",
        "HTP v69 and later", "model.params.bin", "nothing to report",
    ):  # fmt: skip
        assert words in shown.stdout


def test_info_lists_what_it_is_asked_for(file: Path) -> None:
    ops = run("info", file, "--ops").stdout
    assert "0  FullyConnected  fc" in ops
    assert "with     perm=[1, 0]" in ops
    assert "undefined" not in ops
    tensors = run("info", file, "--tensors").stdout
    assert tensors.partition("tensors of test")[2].count("\n") == 6
    encodings = run("info", file, "--encodings").stdout.partition("encodings of test")[2]
    assert encodings.count("scale ") == 5
    assert "axis 0 channel 1   scale 0.25   offset 0" in encodings


def test_info_json_is_one_document(file: Path) -> None:
    shown = run("info", file, "--json")
    content = json.loads(shown.stdout)
    assert (shown.stderr, content["version"], content["health"]) == ("", "4.1", [])
    assert content["graphs"][0]["counts"] == {"ops": 3, "tensors": 5, "encodings": 4}


def test_info_csv_can_be_read_as_csv(file: Path) -> None:
    lines = list(csv.reader(run("info", file, "--csv").stdout.splitlines()))
    place = lines.index(["Input Name", "Dimensions", "Type", "Encoding Info"])
    assert lines[place + 1][:3] == ["x", "1,4", "uFxp_8"]


def test_diff_tells_same_from_different_by_its_exit_code(file: Path, tmp_path: Path) -> None:
    same = run("diff", file, file)
    assert (same.returncode, same.stdout) == (0, "The graphs, weights and caches are the same.\n")
    other = write_zip(tmp_path / "other.dlc", records41(**{"htp.cache.sm8550.0": b"x"}))
    different = run("diff", file, other)
    assert different.returncode == 9
    assert "htp.cache.sm8550.0   cache   missing → 1 bytes" in different.stdout
    asked = run("diff", file, other, "--json")
    assert (asked.returncode, json.loads(asked.stdout)["same"]) == (9, False)


def test_diff_shows_as_much_as_it_is_asked_for(file: Path, tmp_path: Path) -> None:
    other = write_zip(tmp_path / "other.dlc", records41(model=model4([], [])))
    assert "… 2 more (--limit 0 shows all)" in run("diff", file, other, "--limit", "1").stdout
    assert "more" not in run("diff", file, other, "--limit", "0").stdout


@pytest.mark.parametrize("version", ["1.0.0", "0.6.1"])
def test_encodings_and_audit(file: Path, tmp_path: Path, version: str) -> None:
    on_stdout = json.loads(run("encodings", file, "--format", version).stdout)
    target = tmp_path / "out.encodings"
    made = run("encodings", file, "--format", version, "-o", target, "--json")
    assert json.loads(made.stdout) == {"file": str(target), "format": version, "encodings": 4}
    assert json.loads(target.read_text()) == on_stdout
    audited = run("audit", file, "-e", target)
    assert audited.stdout == "4 of 4 encodings applied, 0 changed, 0 ignored.\n"
    assert json.loads(run("audit", file, "-e", target, "--json").stdout)["counts"]["applied"] == 4


def test_encodings_may_have_the_names_of_the_onnx_model(tmp_path: Path) -> None:
    from tests.dlc_files import TENSORS

    tensors = [{**TENSORS[0], 6: "x_q"}, *TENSORS[1:]]
    path = write_zip(tmp_path / "m.dlc", records41(model=model4(tensors=tensors)))
    names = [entry["name"] for entry in json.loads(run("encodings", path).stdout)["activation_encodings"]]
    plain = json.loads(run("encodings", path, "--onnx-names").stdout)["activation_encodings"]
    assert (names[0], plain[0]["name"]) == ("x_q", "x")


def test_mistakes_are_messages(tmp_path: Path, file: Path) -> None:
    assert run("encodings", file, "--format", "7").returncode == 2
    assert run("audit", file, "-e", tmp_path / "none").returncode == 3
    refused = run("info", tmp_path / "none.dlc")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "does not exist" in refused.stderr


@pytest.mark.parametrize(
    "command", [["info", "--ops", "--tensors", "--encodings"], ["info", "--csv"], ["info", "--json"]]
)
def test_hostile_names_reach_no_terminal(tmp_path: Path, command: list[str]) -> None:
    tensors = [tensor4(EVIL, 0, F32, [1]), tensor4("y", 1, F32, [1])]
    nodes = [node4(EVIL, EVIL, [EVIL, f"{EVIL}?"], ["y"], **{EVIL: EVIL})]
    records = {"model": model4(nodes, tensors, EVIL), "dlc.metadata": f"converter-command={EVIL}".encode(), EVIL: b""}
    shown = run(command[0], write_zip(tmp_path / "m.dlc", records), *command[1:])
    assert shown.returncode == 0
    assert all(line.isprintable() for line in (shown.stdout + shown.stderr).split("\n"))
    assert "\\x1b" in shown.stdout or "\\u001b" in shown.stdout


def test_hostile_names_in_errors(tmp_path: Path) -> None:
    tensors = [tensor4(EVIL, 0, 0x999, [1])]
    for records in ({"model": model4([], tensors)}, {EVIL: b"x"}):
        shown = run("info", write_zip(tmp_path / "m.dlc", records))
        assert shown.returncode == 3
        assert all(line.isprintable() for line in shown.stderr.split("\n"))


def test_text_for_terminals() -> None:
    assert printable("a\tb\x1b[0m\u202eé→\ud800") == "a\\tb\\x1b[0m\\u202eé→\\ud800"
    assert [count(number) for number in (0, 999, 1500, 33_100_000, 4.8e9)] == ["0", "999", "1.5 k", "33.1 M", "4.8 G"]

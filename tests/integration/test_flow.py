"""The whole flow on a tiny checkpoint: build, score, provenance as cache, the gate, two runs at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import snpe_tools.dlc as dlc_format
from snpe_tools.project.workspace import Workspace
from snpe_tools.scoring.predictions_file import load_sheet
from snpe_tools.tasks.question_answering.squad import SHIPPED_CALIBRATION, SHIPPED_QUESTIONS
from tests.notebooks import execute, outputs


@pytest.fixture(scope="module")
def root(new_root: Callable[[str], Path]) -> Path:
    return new_root("flow")


def _command(root: Path, *arguments: str) -> list[str]:
    name, *rest = arguments
    return [sys.executable, "-m", "snpe_tools", name, "--model", "tiny", "--root", str(root), *rest]


def tool(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(root, *arguments), capture_output=True, text=True, timeout=300, check=False)


def _fresh(shown: subprocess.CompletedProcess[str]) -> dict[str, bool]:
    assert shown.returncode == 0, shown.stderr
    return {item["step"]: item["fresh"] for item in json.loads(shown.stdout)["artefacts"]}


def test_building_twice_builds_once_and_changes_rebuild_what_follows(root: Path) -> None:
    first = tool(root, "build", "--json")
    assert _fresh(first) == dict.fromkeys(["export", "inputs", "observe", "quantize", "convert", "prepare"], False)
    assert "Next: make accuracy MODEL=tiny" in first.stderr
    assert set(_fresh(tool(root, "build", "--json")).values()) == {True}

    other = _fresh(tool(root, "build", "--json", "--precision", "w8a8"))
    assert [step for step, fresh in other.items() if not fresh] == ["quantize", "convert", "prepare"]
    other = _fresh(tool(root, "build", "--json", "--soc", "sm8550"))
    assert [step for step, fresh in other.items() if not fresh] == ["prepare"]
    assert set(_fresh(tool(root, "build", "--json")).values()) == {True}, "what was there before is still up to date"

    other = _fresh(tool(root, "build", "--json", "--method", "percentile"))
    assert [step for step, fresh in other.items() if not fresh] == ["quantize", "convert", "prepare"]
    again = tool(root, "build", "--json")
    assert not _fresh(again)["quantize"]
    assert "setting method changed" in again.stderr


def test_a_damaged_artefact_is_made_again(root: Path) -> None:
    tool(root, "build")
    space = Workspace(root, "tiny")
    dlc = space.artefact("w8a16.dlc")
    dlc.write_bytes(dlc.read_bytes()[:-100])
    shown = tool(root, "build", "--json")
    assert not _fresh(shown)["convert"]
    assert "tiny.w8a16.dlc changed" in shown.stderr


def test_provenance_stands_beside_every_artefact(root: Path) -> None:
    tool(root, "build")
    known = json.loads((root / "Models" / "tiny" / "tiny.w8a16.dlc.provenance.json").read_text())
    assert known["step"] == "convert"
    assert len(known["inputs"]["onnx"]["sha256"]) == 64
    assert {"name": "tiny", "precision": "w8a16", "method": "min-max"}.items() <= known["settings"].items()
    assert known["settings"]["calibration_windows"] == 8
    assert known["settings"]["toolchain"] == "pypi"
    assert known["versions"]["onnxruntime-qnn"] == "2.7.0"
    assert known["notes"]["operations"]["LayerNorm"] == 5


def test_the_prepared_dlc_is_the_one_asked_for(root: Path) -> None:
    tool(root, "build", "--soc", "sm8550,sm8650")
    with dlc_format.open(root / "Models" / "tiny" / "tiny.w8a16.sm8550+sm8650.dlc") as opened:
        assert {cache.soc for cache in opened.caches} == {"sm8550", "sm8650"}
        assert opened.graph.name == "tiny"


def test_the_hint_repeats_what_was_asked(root: Path) -> None:
    shown = tool(root, "build", "--method", "mse", "--windows", "6", "--soc", "sm8550", "--per-tensor")
    assert "Next: make accuracy MODEL=tiny SOC=sm8550 WINDOWS=6 METHOD=mse PER_TENSOR=1 " in shown.stderr


def test_a_soc_that_cannot_run_the_precision_is_refused_before_anything_is_built(root: Path) -> None:
    for precision, soc in (("fp16", "sm8350"), ("fp16", "sm8635"), ("w16a16", "sm8450")):
        shown = tool(root, "score", "--precision", precision, "--soc", f"sm8650,{soc}")
        assert (shown.returncode, f"HTP of {soc}" in shown.stderr) == (2, True)


def test_scoring_leaves_no_prepared_dlc_of_another_model(root: Path) -> None:
    tool(root, "build", "--method", "mse")
    tool(root, "score", "--questions", "2", "--max-drop", "100")
    with (
        dlc_format.open(root / "Models" / "tiny" / "tiny.w8a16.dlc") as plain,
        dlc_format.open(root / "Models" / "tiny" / "tiny.w8a16.sm8650.dlc") as prepared,
    ):
        assert bytes(plain.container.data("model.params.bin")) == bytes(prepared.container.data("model.params.bin"))
        assert bytes(plain.container.data("model")) == bytes(prepared.container.data("model"))


@pytest.fixture(scope="module")
def scored(root: Path) -> tuple[subprocess.CompletedProcess[str], dict[str, object]]:
    shown = tool(root, "score", "--max-drop", "100", "--questions", "12", "--json")
    return shown, json.loads(shown.stdout)


def test_every_stage_is_asked_the_same_questions(
    scored: tuple[subprocess.CompletedProcess[str], dict[str, object]],
) -> None:
    shown, document = scored
    assert shown.returncode == 0, shown.stderr
    stages = document["stages"]
    assert isinstance(stages, list)
    assert [stage["stage"] for stage in stages] == ["onnx-float", "onnx-qdq", "dlc-fp16@host", "dlc-w8a16@host"]
    assert {stage["questions"] for stage in stages} == {12}
    assert {stage["not_finite"] for stage in stages} == {0}
    by_name = {stage["stage"]: stage for stage in stages}
    assert by_name["onnx-float"]["same"] == 100
    assert by_name["dlc-fp16@host"]["sqnr_db"] > 40
    assert by_name["dlc-w8a16@host"]["sqnr_db"] > 20
    assert all(stage["seconds"] > 0 for stage in stages)


def test_accuracy_json_says_what_was_measured_and_how(
    root: Path, scored: tuple[subprocess.CompletedProcess[str], dict[str, object]]
) -> None:
    _, document = scored
    assert json.loads((root / "Models" / "tiny" / "accuracy.json").read_text()) == document
    assert document["model"] == "tiny"
    assert (document["dataset"], document["questions"], document["precision"]) == ("shipped", 12, "w8a16")
    assert (document["passed"], document["max_drop"]) == (True, 100)
    assert document["runtime"]["onnxruntime-qnn"] == "2.7.0"  # type: ignore[index]


def test_scores_come_with_their_uncertainty_and_every_answer(
    root: Path, scored: tuple[subprocess.CompletedProcess[str], dict[str, object]]
) -> None:
    shown, document = scored
    folder = root / "Models" / "tiny"
    sheet = load_sheet(folder / "answers.json")
    assert sheet.runners == [stage["stage"] for stage in document["stages"]]  # type: ignore[attr-defined]
    assert len(sheet.examples) == 12
    for stage in document["stages"]:  # type: ignore[attr-defined]
        each = [asked.predictions[stage["stage"]].score for asked in sheet.examples]
        assert stage["f1"] == pytest.approx(sum(each) / 12, abs=1e-4)
        assert stage["f1_interval"][0] <= stage["f1"] <= stage["f1_interval"][1]
        assert stage["f1_ties"][0] <= stage["f1"] <= stage["f1_ties"][1]
        assert stage["likely_interval"][0] <= stage["likely_change"] <= stage["likely_interval"][1]
    assert len(document["pairs"]) == 6  # type: ignore[arg-type]
    assert "95 % interval: where F1 would lie" in shown.stderr
    layers = json.loads((folder / "layers.json").read_text())
    assert (layers["first"], layers["second"], layers["inferences"]) == ("tiny.onnx", "tiny.w8a16.qdq.onnx", 4)
    assert len(layers["layers"]) > 50


def test_the_report_and_explain_read_what_was_kept(
    root: Path, scored: tuple[subprocess.CompletedProcess[str], dict[str, object]]
) -> None:
    assert scored[0].returncode == 0
    made = tool(root, "report", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["bytes"] < 3_000_000
    page = (root / "Models" / "tiny" / "report.html").read_text()
    assert all(name in page for name in ("onnx-float", "onnx-qdq", "dlc-fp16@host", "dlc-w8a16@host", "tiny.w8a16.dlc"))
    assert page.count("<svg") == 3
    asked = load_sheet(root / "Models" / "tiny" / "answers.json").examples[0]
    shown = _command(root, "explain", "--json")
    done = subprocess.run([*shown, asked.id], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["answers"]["onnx-float"]["text"] == asked.predictions["onnx-float"].text
    assert tool(root, "explain", "nothing").returncode == 2


def test_the_accuracy_notebook_runs_from_top_to_bottom(
    root: Path, scored: tuple[subprocess.CompletedProcess[str], dict[str, object]], tmp_path: Path
) -> None:
    assert scored[0].returncode == 0
    cells = execute("accuracy/accuracy_analyzer.ipynb", tmp_path, MODEL="tiny", ROOT=str(root))
    shown = "".join(outputs(cell) for cell in cells)
    assert "tiny, w8a16, scored" in shown
    assert shown.count("<svg") == 3
    assert "<td style='text-align:left'>dlc-w8a16@host</td>" in shown
    assert "likely cause" in shown


def test_the_gate_refuses_with_its_own_exit_code(root: Path) -> None:
    """Random weights at 8 bits lose more than nothing; the table and the JSON still come."""
    shown = tool(
        root, "score", "--max-drop", "0", "--questions", "20", "--precision", "w8a8", "--method", "percentile", "--json"
    )
    document = json.loads(shown.stdout)
    assert (shown.returncode, document["passed"]) == (6, False)
    assert "The gate allows 0 F1 below float" in shown.stderr


def test_calibration_on_the_evaluated_passages_is_refused(root: Path) -> None:
    shown = tool(root, "build", "--calibration", str(SHIPPED_QUESTIONS))
    assert shown.returncode == 3
    assert "calibration questions use passages that are also evaluated" in shown.stderr
    shown = tool(root, "build", "--data", str(SHIPPED_CALIBRATION))
    assert shown.returncode == 3


def test_two_builds_at_once_do_not_harm_each_other(new_root: Callable[[str], Path]) -> None:
    root = new_root("two builds")
    running = [
        subprocess.Popen(_command(root, "build", "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0, 0], ended
    assert sum("waiting for it" in words for _, words in ended) == 1
    fresh = [{item["fresh"] for item in json.loads(document)["artefacts"]} for document, _ in ended]
    assert sorted(map(tuple, fresh)) == [(False,), (True,)]


def test_an_interrupted_build_leaves_whole_artefacts_and_carries_on(new_root: Callable[[str], Path]) -> None:
    root = new_root("interrupted")
    process = subprocess.Popen(_command(root, "build"), stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(root.glob("Models/tiny/*.ranges.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, words = process.communicate(timeout=30)
    assert process.returncode == 130, words
    assert "Traceback" not in words
    assert not list(root.rglob("*.part"))
    after = _fresh(tool(root, "build", "--json"))
    assert after["export"]
    assert not after["prepare"]

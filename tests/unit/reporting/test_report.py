"""The report's page, from scores and tensors that were really computed; and one question explained."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from snpe_tools.core.errors import DataError, InputError, UsageError
from snpe_tools.core.files import write_json
from snpe_tools.project.recipe import Recipe
from snpe_tools.project.workspace import Workspace
from snpe_tools.reporting.documents import load_documents
from snpe_tools.reporting.notebook import devices_table
from snpe_tools.scoring.evaluate import Runner, compare
from snpe_tools.scoring.predictions_file import save_sheet
from snpe_tools.steps.explain import explain
from snpe_tools.steps.report import report
from snpe_tools.steps.score import _document
from snpe_tools.tasks import Batch, Outputs
from snpe_tools.tasks.question_answering.features import Windows
from snpe_tools.tasks.question_answering.logits import as_outputs
from snpe_tools.tasks.question_answering.passage import mark
from snpe_tools.tasks.question_answering.sheet import AnswerRecord
from snpe_tools.tasks.question_answering.squad import Question
from snpe_tools.tasks.question_answering.task import TASK

CONTEXT = "Rain fell on <Monday> & snow on Sunday."
WORDS = [(match.start(), match.end()) for match in re.finditer(r"\S+", CONTEXT)]


def _stage(name: str, words: list[int]) -> Runner:
    def compute(windows: Batch) -> Outputs:
        logits = np.full((len(windows), len(WORDS)), -5, np.float32)
        logits[np.arange(len(windows)), words] = 5
        return as_outputs(logits, logits.copy(), 1.0)

    return Runner(name, "test", compute)


@pytest.fixture
def scored(tmp_path: Path) -> Workspace:
    """Three questions; the second stage changes the answer to the last."""
    ids = np.zeros((3, len(WORDS)), np.int32)
    questions = tuple(Question(f"q{index}", f"When & {index}?", CONTEXT, ("<Monday>",)) for index in range(3))
    offsets = np.repeat(np.array(WORDS, np.int32)[None], 3, 0)
    windows = Windows(ids, ids + 1, ids, offsets, np.arange(3, dtype=np.int32), questions)
    scores = compare([_stage("onnx-float", [3, 3, 3]), _stage("onnx-qdq", [3, 3, 7])], windows, TASK)
    space = Workspace(tmp_path, "m")
    assert scores.sheet is not None
    save_sheet(scores.sheet, space.predictions)
    write_json(space.accuracy, _document(Recipe(name="m", checkpoint="x"), "some data.json", 3, scores))
    return space


def _layer(place: int, **changes: object) -> dict[str, object]:
    return {
        "tensor": f"t{place}", "op": "Softmax" if place % 2 else "Add", "shape": [1, 4], "sqnr_db": 30.0 - place,
        "not_finite": [0, 0], "low": -1.0, "high": 2.0,
        "grid": {"low": -1.5, "high": 1.9, "step": 0.1, "bits": 8},
        "outside": 0.0, "input_db": None, "added": 0.001 * place, "cause": f"cause {place}",
    } | changes  # fmt: skip


def _write_layers(space: Workspace) -> None:
    rows = [_layer(0, sqnr_db=None), *(_layer(place) for place in range(1, 15)), _layer(15, outside=1.5, grid=None)]
    layers = {
        "first": "f.onnx", "second": "q.onnx", "runtimes": ["a", "b"], "inferences": 4, "threshold_db": 20.0,
        "layers": rows, "diverged": "t11", "reshaped": ["r"], "first_only": [], "second_only": [],
    }  # fmt: skip
    write_json(space.layers, layers)


def test_the_page_needs_nothing_else_and_shows_what_was_found(scored: Workspace) -> None:
    _write_layers(scored)
    page = report("m", scored.root).read_text()
    assert scored.report.stat().st_size < 3_000_000
    assert not re.search(r"<script|<link|<img|@import|src=", page)
    addresses = set(re.findall(r"https?://[^\"' )<]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}, "names, not fetched"
    assert "The gate refuses this model: onnx-qdq lost 33.33 F1" in page
    assert '<mark class="f ">&lt;Monday&gt;</mark>' in page
    assert '<mark class=" o">Sunday.</mark>' in page
    assert "<b>The first op that diverges writes t11.</b>" in page
    assert "1 of 16 tensors met values that their encoding cannot hold: <code>t15</code> (1.5 %)" in page
    assert page.index("cause 15") < page.index("cause 14")
    assert "f.onnx ran on a; q.onnx on b." in page
    assert "make accuracy report MODEL=m" in page
    assert "DATA=&#39;some data.json&#39;" in page


def test_the_tensors_of_another_comparison_can_be_shown(scored: Workspace) -> None:
    _write_layers(scored)
    other = scored.root / "dlc.json"
    other.write_text(scored.layers.read_text().replace("q.onnx", "m.dlc"))
    assert "m.dlc against f.onnx" in report("m", scored.root, layers=other).read_text()
    other.write_text("{}")
    with pytest.raises(DataError, match=r"dlc\.json"):
        report("m", scored.root, layers=other)


def test_nan_on_a_device_comes_first(scored: Workspace) -> None:
    _write_layers(scored)
    document = json.loads(scored.layers.read_text())
    document["runtimes"][1] = "adb:A (A <Phone>, sm8650): snpe-net-run"
    document["layers"].append(_layer(16, not_finite=[0, 3], added=0.0, cause="3 NaN"))
    scored.layers.write_text(json.dumps(document))
    page = report("m", scored.root).read_text()
    assert page.index("3 NaN") < page.index("cause 15")
    assert "q.onnx on adb:A (A &lt;Phone&gt;, sm8650): snpe-net-run." in page


def test_pictures_are_whole_follow_the_page_and_do_not_share_ids(scored: Workspace) -> None:
    _write_layers(scored)
    page = report("m", scored.root).read_text()
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 3
    ids: list[str] = []
    for picture in pictures:
        root = ET.fromstring(picture)  # noqa: S314 - we wrote it
        assert "viewBox" in root.attrib
        assert "width" not in root.attrib
        ids += [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        assert set(re.findall(r"#[0-9a-f]{6}\b", picture)) <= {"#ffffff"}, "colours are the page's variables"
    assert len(ids) == len(set(ids))
    assert "F1, percent" in pictures[0]
    assert "SQNR, dB" in pictures[1]


def test_devices_are_shown_with_those_that_failed(scored: Workspace) -> None:
    document = json.loads(scored.accuracy.read_text())
    document["devices"] = [
        {
            "device": "adb:A", "model": "A <Phone>", "soc": "sm8650", "htp": "v75", "os": "android 15",
            "emulated": False, "runtime": "snpe-net-run of QAIRT 2.31", "profile": "burst",
        }
    ]  # fmt: skip
    document["lost"] = [{"stage": "dlc-w8a16@adb:B", "runtime": "adb:B", "error": "the cable was <pulled>", "hint": ""}]
    scored.accuracy.write_text(json.dumps(document))
    page = report("m", scored.root).read_text()
    for words in (
        "adb:A <small>A &lt;Phone&gt;",
        "sm8650 <small>HTP v75<",
        "android 15",
        "snpe-net-run of QAIRT",
        "burst",
    ):
        assert words in page
    assert "dlc-w8a16@adb:B gave no answers: the cable was &lt;pulled&gt;" in page
    rows = devices_table(load_documents(scored).accuracy).rows
    assert [row[:2] for row in rows] == [("adb:A", "sm8650 (HTP v75)"), ("dlc-w8a16@adb:B", "failed")]


def test_the_same_scores_give_the_same_page(scored: Workspace) -> None:
    _write_layers(scored)
    first = report("m", scored.root).read_bytes()
    assert report("m", scored.root, scored.root / "other.html").read_bytes() == first


def test_a_model_without_layers_or_provenance_has_a_page_too(scored: Workspace) -> None:
    page = report("m", scored.root).read_text()
    assert "Where the error comes from" not in page
    assert "onnx-qdq" in page


def test_what_was_not_scored_or_is_damaged_is_refused(scored: Workspace) -> None:
    with pytest.raises(InputError, match="does not exist"):
        report("other", scored.root)
    document = json.loads(scored.accuracy.read_text())
    del document["stages"][0]["interval"]
    scored.accuracy.write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"stages\[0\]\.interval"):
        report("m", scored.root)
    assert not scored.report.exists()


def test_explain_names_the_first_stage_that_differs(scored: Workspace) -> None:
    found = explain("q2", "m", scored.root)
    assert [row.record.text for row in found.rows] == ["<Monday>", "Sunday."]
    assert found.rows[1].shift == 0
    assert found.verdict == "onnx-qdq is the first to answer with other words than onnx-float."
    assert "with the words of onnx-float" in explain("q0", "m", scored.root).verdict
    with pytest.raises(UsageError, match="No question 'q9'"):
        explain("q9", "m", scored.root)


def _given(start: int, end: int) -> AnswerRecord:
    return AnswerRecord.model_validate(
        {"text": "", "start": start, "end": end, "score": 0, "f1": 0, "em": 0, "f1_low": 0, "f1_high": 0}
    )


@pytest.mark.parametrize(("one", "other"), [((5, 9), (7, 12)), ((500, 505), (0, 0)), ((0, 3), (990, 1000))])
def test_marked_pieces_are_the_passage(one: tuple[int, int], other: tuple[int, int]) -> None:
    context = "".join(chr(97 + place % 26) for place in range(1000))
    pieces = mark(context, _given(*one), _given(*other))
    joined = "".join(piece.text for piece in pieces if piece.text != "…")
    assert joined in context
    assert "".join(piece.text for piece in pieces if piece.in_float) == context[slice(*one)]
    if other[1]:
        assert "".join(piece.text for piece in pieces if piece.in_other) == context[slice(*other)]

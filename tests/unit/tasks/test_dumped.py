"""Logits that others dumped, in every layout."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from typer.testing import CliRunner

from snpe_tools.cli.main import app
from snpe_tools.core.errors import AccuracyError, SnpeToolsError, TensorError, UsageError
from snpe_tools.steps.score_logits import score_logits
from snpe_tools.tasks.batch import FloatArray
from snpe_tools.tasks.question_answering.dumped import NET_RUN, Layout, cut, load_layout, read_logits
from snpe_tools.tasks.question_answering.features import Windows
from snpe_tools.tasks.question_answering.logits import both_logits
from snpe_tools.tasks.question_answering.squad import SHIPPED_QUESTIONS, load_questions

ROOT = Path(__file__).parents[3]
TOKENIZER = ROOT / "Models" / "minilm-qa" / "checkpoint" / "tokenizer.json"
COUNT, LENGTH = 6, 64


@pytest.fixture(scope="module")
def windows() -> Windows:
    layout = NET_RUN.model_copy(update={"sequence_length": LENGTH})
    return cut(load_questions(SHIPPED_QUESTIONS)[:COUNT], layout, TOKENIZER)


def _right(windows: Windows) -> FloatArray:
    """Logits (windows, 2, length) that point at the first accepted answer wherever a window holds it."""
    logits = np.full((len(windows), 2, windows.length), -5, np.float32)
    for row, index in enumerate(windows.question):
        question = windows.questions[index]
        first, last = question.starts[0], question.starts[0] + len(question.answers[0])
        starts, ends = windows.offsets[row, :, 0], windows.offsets[row, :, 1]
        opening = np.flatnonzero((starts <= first) & (first < ends))
        closing = np.flatnonzero((starts < last) & (last <= ends))
        if len(opening) and len(closing):
            logits[row, 0, opening[0]] = logits[row, 1, closing[0]] = 5
    return logits


def _two_raws(folder: Path, logits: FloatArray, _: Windows) -> str:
    for row, (start, end) in enumerate(logits):
        (folder / f"Result_{row}").mkdir()
        start.tofile(folder / f"Result_{row}" / "start_logits.raw")
        end.tofile(folder / f"Result_{row}" / "end_logits.raw")
    return 'start = "Result_{window}/start_logits.raw"\nend = "Result_{window}/end_logits.raw"'


def _stacked_npy(folder: Path, logits: FloatArray, _: Windows) -> str:
    np.save(folder / "all.npy", logits.transpose(0, 2, 1).astype(np.float16))
    return 'logits = "all.npy"'


def _one_tensor_each(folder: Path, logits: FloatArray, _: Windows) -> str:
    for row, both in enumerate(logits):
        np.save(folder / f"{row + 1:05d}.npy", both[None])
    return 'logits = "{window:05d}.npy"\naxis = 0\nfirst = 1'


def _quantized(folder: Path, logits: FloatArray, _: Windows) -> str:
    (logits[:, 0] / 0.5 + 128).astype(np.uint8).tofile(folder / "start.bin")
    (logits[:, 1] / 0.5 + 128).astype(np.uint8).tofile(folder / "end.bin")
    return 'start = "start.bin"\nend = "end.bin"\ndtype = "uint8"\nscale = 0.5\noffset = -128'


def _by_question(folder: Path, logits: FloatArray, windows: Windows) -> str:
    part = 0
    for row, both in enumerate(logits):
        part = part + 1 if row and windows.question[row] == windows.question[row - 1] else 0
        both.T.astype("<f4").tofile(folder / f"{windows.question[row]}-{part}")
    return 'logits = "{question}-{part}"'


LAYOUTS = [_two_raws, _stacked_npy, _one_tensor_each, _quantized, _by_question]


@pytest.mark.parametrize("write", LAYOUTS)
def test_every_layout_reads_the_same_logits(
    windows: Windows, tmp_path: Path, write: Callable[[Path, FloatArray, Windows], str]
) -> None:
    wanted = _right(windows)
    (tmp_path / "layout.toml").write_text(write(tmp_path, wanted, windows) + f"\nsequence_length = {LENGTH}\n")
    found = read_logits(tmp_path, load_layout(tmp_path / "layout.toml"), windows)
    np.testing.assert_array_equal(np.stack(both_logits(found), axis=1), wanted)
    scores = score_logits([tmp_path], TOKENIZER, examples=COUNT)
    assert (scores.runners[0].score, scores.runners[0].others) == (100, {"em": 100})


def test_first_windows_only(tmp_path: Path) -> None:
    layout = Layout(logits="all.npy", windows="first", sequence_length=LENGTH)
    made = cut(load_questions(SHIPPED_QUESTIONS)[:COUNT], layout, TOKENIZER)
    assert made.question.tolist() == list(range(COUNT))
    np.save(tmp_path / "all.npy", _right(made).transpose(0, 2, 1))
    assert read_logits(tmp_path, layout, made).arrays["start_logits"].shape == (COUNT, LENGTH)


def test_the_command_compares_two_folders_and_passes_or_refuses(windows: Windows, tmp_path: Path) -> None:
    right, wrong = tmp_path / "float", tmp_path / "device"
    for folder, logits in ((right, _right(windows)), (wrong, -_right(windows))):
        folder.mkdir()
        text = _stacked_npy(folder, logits, windows)
        (folder / "layout.toml").write_text(f"{text}\nsequence_length = {LENGTH}\ntokenizer = {str(TOKENIZER)!r}\n")
    command = ["score", "--questions", str(COUNT), "--json", "--root", str(ROOT), "--logits", str(right)]
    alone = CliRunner().invoke(app, command)
    assert alone.exit_code == 0
    assert [stage["f1"] for stage in json.loads(alone.stdout)["stages"]] == [100]
    both = CliRunner().invoke(app, [*command, "--logits", str(wrong)])
    assert isinstance(both.exception, AccuracyError)
    document = json.loads(both.stdout)
    assert document["stages"][1]["float_f1"] == 100
    assert document["pairs"][0]["p_value"] < 0.1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "all.npy").unlink(), "does not exist"),
        (lambda folder: (folder / "all.npy").write_bytes((folder / "all.npy").read_bytes()[:-8]), "not an npy file"),
        (lambda folder: np.save(folder / "all.npy", np.zeros((3, LENGTH, 2))), "shape"),
        (lambda folder: np.save(folder / "all.npy", np.array(["a"])), "no array of numbers"),
        (lambda folder: (folder / "all.npy").write_text("nothing"), "not an npy file"),
        (lambda folder: (folder / "layout.toml").write_text("logits = 3"), "logits"),
        (lambda folder: (folder / "layout.toml").write_text("logit = 'a'"), "Known keys"),
        (lambda folder: (folder / "layout.toml").write_text("="), "not TOML"),
        (lambda folder: (folder / "layout.toml").write_text("start = 'a'"), "`start` and `end`"),
    ],
)
def test_what_does_not_fit_is_named(
    windows: Windows, tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    text = _stacked_npy(tmp_path, _right(windows), windows)
    (tmp_path / "layout.toml").write_text(f"{text}\nsequence_length = {LENGTH}\n")
    damage(tmp_path)
    with pytest.raises(SnpeToolsError, match=words) as caught:
        score_logits([tmp_path], TOKENIZER, examples=COUNT)
    assert str(tmp_path) in str(caught.value)


def test_a_raw_of_another_size_says_what_it_needs(windows: Windows, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(10))
    with pytest.raises(TensorError, match=rf"10 bytes; \({len(windows)}, {LENGTH}\) of float32 needs"):
        read_logits(tmp_path, Layout(start="a", end="a", sequence_length=LENGTH), windows)


def test_folders_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        score_logits([tmp_path / "none"], TOKENIZER)
    with pytest.raises(UsageError, match="twice"):
        score_logits([tmp_path, tmp_path], TOKENIZER)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "layout.toml").write_text('logits = "a"\nsequence_length = 64')
    with pytest.raises(UsageError, match="different ways"):
        score_logits([tmp_path, tmp_path / "other"], TOKENIZER)


@pytest.mark.parametrize("write", [_stacked_npy, _one_tensor_each, _by_question])
def test_transposed_logits_are_read_along_the_other_axis_and_that_is_said(
    windows: Windows,
    tmp_path: Path,
    write: Callable[[Path, FloatArray, Windows], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    text = write(tmp_path, _right(windows), windows)
    text = text.replace("axis = 0", "axis = 1") if "axis" in text else f"{text}\naxis = 0"
    (tmp_path / "layout.toml").write_text(f"{text}\nsequence_length = {LENGTH}\n")
    scores = score_logits([tmp_path], TOKENIZER, examples=COUNT)
    assert scores.runners[0].score == 100
    assert f"the logits in {tmp_path} look transposed" in caplog.text


def test_logits_without_sense_along_either_axis_are_read_as_the_layout_says(
    windows: Windows, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).normal(size=(len(windows), LENGTH, 2)).astype(np.float32)
    noise.tofile(tmp_path / "all.bin")
    found = read_logits(tmp_path, Layout(logits="all.bin", sequence_length=LENGTH), windows)
    np.testing.assert_array_equal(found.arrays["start_logits"], noise[:, :, 0])
    assert caplog.text == ""


def test_a_folder_without_a_layout_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "logits.bin").write_bytes(bytes(8))
    with pytest.raises(TensorError, match=r"has no layout\.toml") as caught:
        score_logits([tmp_path], None)
    assert str(tmp_path / "layout.toml") in str(caught.value.hint)


def test_outside_a_clone_the_layout_or_the_checkpoint_names_the_tokenizer(windows: Windows, tmp_path: Path) -> None:
    folder = tmp_path / "logits"
    folder.mkdir()
    text = _stacked_npy(folder, _right(windows), windows)
    (folder / "layout.toml").write_text(f"{text}\nsequence_length = {LENGTH}\n")
    command = ["score", "--questions", str(COUNT), "--json", "--root", str(tmp_path), "--logits", str(folder)]
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, UsageError)
    assert "No tokenizer is known" in str(refused.exception)
    named = CliRunner().invoke(app, [*command, "--checkpoint", str(TOKENIZER.parent)])
    assert json.loads(named.stdout)["stages"][0]["f1"] == 100


@pytest.mark.parametrize(
    "pattern", ["/etc/passwd", "../a", "{other}", "{window!r}", "{window.real}", "{window:>9999d}"]
)
def test_patterns_stay_below_the_folder(pattern: str) -> None:
    with pytest.raises(ValidationError):
        Layout(logits=pattern)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("{}:!.wd0windowpartquestion[]", max_size=20))
def test_any_pattern_is_refused_or_numbers_a_file(pattern: str) -> None:
    try:
        layout = Layout(logits=pattern)
    except ValidationError:
        return
    assert layout.patterns[0].format(window=1, question=2, part=3)


def test_the_documented_layout_is_one() -> None:
    text = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    layout = Layout(**tomllib.loads(text.partition("```toml\n")[2].partition("```")[0]))
    assert layout.patterns[1].format(question=7) == "run/0007_end.bin"

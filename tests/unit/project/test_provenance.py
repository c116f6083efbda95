from __future__ import annotations

import os
from pathlib import Path

import pytest

from snpe_tools.core.errors import DataError
from snpe_tools.project import provenance
from snpe_tools.project.code import PACKAGE, code_hash, source_files
from snpe_tools.project.provenance import Request, changes, read, record
from snpe_tools.tasks import find_task


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    (tmp_path / "in.txt").write_text("input")
    (tmp_path / "out.txt").write_text("output")
    return Request("quantize", {"in": tmp_path / "in.txt"}, {"bits": 8}, {"out": tmp_path / "out.txt"})


def test_what_was_recorded_is_up_to_date(request_: Request) -> None:
    assert changes(request_) == ["has no provenance"]
    make(request_, windows=3)
    assert changes(request_) == []
    known = read(request_)
    assert known is not None
    assert (known.step, known.notes) == ("quantize", {"windows": 3})
    assert known.seconds >= 0
    assert set(known.versions) >= {"snpe-tools", "python", "onnxruntime-qnn", "aimet-onnx"}


def test_a_touched_file_with_the_same_content_is_up_to_date(request_: Request) -> None:
    make(request_)
    os.utime(request_.inputs["in"], (1, 1))
    assert changes(request_) == []


@pytest.mark.parametrize("name", ["in", "out"])
def test_changed_contents_are_noticed(request_: Request, name: str) -> None:
    make(request_)
    {**request_.inputs, **request_.outputs}[name].write_text("other!")
    assert changes(request_) == [f"{name}.txt changed"]


def test_a_removed_output_is_noticed(request_: Request) -> None:
    make(request_)
    request_.outputs["out"].unlink()
    assert changes(request_) == ["out.txt changed"]


def test_changed_settings_are_named(request_: Request) -> None:
    make(request_)
    other = Request(request_.step, request_.inputs, {"bits": 16, "method": "mse"}, request_.outputs)
    assert changes(other) == ["setting bits changed", "setting method changed"]


def test_another_input_file_is_noticed(request_: Request) -> None:
    make(request_)
    other = Request(
        request_.step, {**request_.inputs, "more": request_.inputs["in"]}, request_.settings, request_.outputs
    )
    assert changes(other) == ["the list of its files changed"]


def test_another_version_is_noticed(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    make(request_)
    known = provenance._installed()
    monkeypatch.setattr(provenance, "_installed", lambda: {**known, "torch": "0.0"})
    assert changes(request_) == ["version of torch changed"]


@pytest.mark.parametrize("content", ["", "{}", "not json", '{"step": 1}'])
def test_unreadable_provenance_counts_as_none(request_: Request, content: str) -> None:
    request_.file.write_text(content)
    assert changes(request_) == ["has no provenance"]


@pytest.mark.parametrize(
    ("step", "module"),
    [
        ("qat", "training/quantized_model.py"),
        ("qat", "training/loop.py"),
        ("quantize", "quantization/simulator.py"),
        ("convert", "toolchains/pypi/dump.py"),
        ("export", "graph/mask.py"),
        ("inputs", "tasks/question_answering/features.py"),
        ("export", "tasks/question_answering/checkpoint.py"),
    ],
)
def test_code_that_makes_an_artefact_counts(step: str, module: str) -> None:
    assert PACKAGE / module in source_files(step, find_task().code)


@pytest.mark.parametrize("step", ["export", "inputs", "observe", "quantize", "convert", "prepare", "simplify"])
def test_code_that_measures_or_speaks_does_not_count(step: str) -> None:
    made_by = {file.relative_to(PACKAGE).as_posix() for file in source_files(step, find_task().code)}
    assert not made_by & {"tasks/question_answering/metrics.py", "core/progress.py", "core/errors.py"}
    assert not {name.partition("/")[0] for name in made_by} & {"cli", "reporting", "scoring", "tuning", "training"}


def test_an_edit_is_a_change_of_the_steps_that_it_makes_and_of_no_other(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(request_)
    measured = Request("export", request_.inputs, {}, {"other": request_.inputs["in"].with_name("other.txt")})
    measured.outputs["other"].write_text("made")
    make(measured)
    edited = PACKAGE / "quantization" / "simulator.py"
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda file: real(file) + b"#" if file == edited else real(file))
    code_hash.cache_clear()
    try:
        assert changes(request_) == ["version of snpe-tools changed"]
        assert changes(measured) == []
    finally:
        code_hash.cache_clear()


def test_a_step_without_a_module_is_a_defect() -> None:
    with pytest.raises(KeyError, match="nothing"):
        source_files("nothing")


def test_an_input_that_changes_while_it_is_read_is_an_error(request_: Request) -> None:
    with pytest.raises(DataError, match=r"in\.txt changed while quantize was reading it"), record(request_):
        request_.inputs["in"].write_text("replaced")
    assert read(request_) is None


def test_a_file_of_a_folder_that_is_replaced_by_one_as_old_and_as_long_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    weights, out = tmp_path / "checkpoint" / "weights", tmp_path / "out"
    weights.write_text("first")
    out.write_text("made")
    request = Request("export", {"checkpoint": tmp_path / "checkpoint"}, {}, {"onnx": out})
    before = weights.stat().st_mtime_ns
    with pytest.raises(DataError, match="checkpoint changed"), record(request):
        other = tmp_path / "other"
        other.write_text("other")
        os.utime(other, ns=(before, before))
        other.replace(weights)


def test_an_input_that_is_written_again_with_the_same_content_is_the_same(request_: Request) -> None:
    with record(request_):
        request_.inputs["in"].write_text("input")
    assert changes(request_) == []


def make(request: Request, **notes: int) -> None:
    with record(request) as noted:
        noted.update(notes)

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snpe_tools.project import provenance
from snpe_tools.project.provenance import Request, changes, read, record


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    (tmp_path / "in.txt").write_text("input")
    (tmp_path / "out.txt").write_text("output")
    return Request("step", {"in": tmp_path / "in.txt"}, {"bits": 8}, {"out": tmp_path / "out.txt"})


def test_what_was_recorded_is_up_to_date(request_: Request) -> None:
    assert changes(request_) == ["has no provenance"]
    record(request_, 1.5, {"windows": 3})
    assert changes(request_) == []
    known = read(request_)
    assert known is not None
    assert (known.step, known.seconds, known.notes) == ("step", 1.5, {"windows": 3})
    assert set(known.versions) >= {"snpe-tools", "python", "onnxruntime-qnn", "aimet-onnx"}


def test_a_touched_file_with_the_same_content_is_up_to_date(request_: Request) -> None:
    record(request_, 1)
    os.utime(request_.inputs["in"], (1, 1))
    assert changes(request_) == []


@pytest.mark.parametrize("name", ["in", "out"])
def test_changed_contents_are_noticed(request_: Request, name: str) -> None:
    record(request_, 1)
    {**request_.inputs, **request_.outputs}[name].write_text("other!")
    assert changes(request_) == [f"{name}.txt changed"]


def test_a_removed_output_is_noticed(request_: Request) -> None:
    record(request_, 1)
    request_.outputs["out"].unlink()
    assert changes(request_) == ["out.txt changed"]


def test_changed_settings_are_named(request_: Request) -> None:
    record(request_, 1)
    other = Request(request_.step, request_.inputs, {"bits": 16, "method": "mse"}, request_.outputs)
    assert changes(other) == ["setting bits changed", "setting method changed"]


def test_another_input_file_is_noticed(request_: Request) -> None:
    record(request_, 1)
    other = Request(
        request_.step, {**request_.inputs, "more": request_.inputs["in"]}, request_.settings, request_.outputs
    )
    assert changes(other) == ["its files are other ones"]


def test_another_version_is_noticed(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    record(request_, 1)
    known = provenance.versions()
    monkeypatch.setattr(provenance, "versions", lambda: {**known, "torch": "0.0"})
    assert changes(request_) == ["version of torch changed"]


@pytest.mark.parametrize("content", ["", "{}", "not json", '{"step": 1}'])
def test_unreadable_provenance_counts_as_none(request_: Request, content: str) -> None:
    request_.file.write_text(content)
    assert changes(request_) == ["has no provenance"]


def test_what_makes_nothing_is_named_as_it_is_called_now() -> None:
    package = Path(provenance.__file__).parents[1]
    assert [name for name in sorted(provenance._MAKE_NOTHING) if not list(package.rglob(name))] == []

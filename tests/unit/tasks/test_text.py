"""Unlabelled text: from files, folders and archives, hostile ones too, and as windows without padding."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snpe_tools.core.errors import DataError, InputError
from snpe_tools.tasks.question_answering.features import load_tokenizer, make_windows
from snpe_tools.tasks.question_answering.squad import SHIPPED_CALIBRATION, load_questions
from snpe_tools.tasks.question_answering.training import text
from snpe_tools.tasks.question_answering.training.text import joined, read_texts, text_windows


def member(name: str, content: bytes = b"", **changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, content


def archive(file: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    kind = {".xz": "w:xz", ".gz": "w:gz", ".tgz": "w:gz", ".bz2": "w:bz2"}.get(file.suffix, "w")
    with tarfile.open(file, kind) as made:  # type: ignore[call-overload]
        for info, content in members:
            made.addfile(info, io.BytesIO(content))
    return file


@pytest.mark.parametrize("name", ["t.tar", "t.tar.xz", "t.tar.gz", "t.tgz", "t.tar.bz2"])
def test_archives_are_read_in_the_order_of_their_names(tmp_path: Path, name: str) -> None:
    members = [member("b.txt", "second é".encode()), member("a/a.txt", b"first"), member("c.bin", b"\xff")]
    assert read_texts(archive(tmp_path / name, members)) == ["first", "second é"]


def test_a_folder_and_a_file_are_read(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.txt").write_text("second")
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "other.md").write_text("no")
    assert read_texts(tmp_path) == ["first", "second"]
    assert read_texts(tmp_path / "a.txt") == ["first"]


def test_a_hostile_archive_writes_nothing_and_reads_nothing_else(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    inside = tmp_path / "inside"
    inside.mkdir()
    members = [
        member("../escaped.txt", b"harmless"),
        member("/absolute.txt", b"words"),
        member("link.txt", type=tarfile.SYMTYPE, linkname=str(secret)),
        member("hard.txt", type=tarfile.LNKTYPE, linkname="../secret.txt"),
        member("fifo.txt", type=tarfile.FIFOTYPE),
        member("device.txt", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    ]
    before = sorted(tmp_path.rglob("*"))
    found = read_texts(archive(inside / "t.tar.xz", members))
    assert sorted(found) == ["harmless", "words"]
    assert sorted(tmp_path.rglob("*")) == sorted([*before, inside / "t.tar.xz"])
    assert not Path("/absolute.txt").exists()


def test_a_small_archive_that_unpacks_to_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_LARGEST", 1 << 20)
    file = archive(tmp_path / "t.tar.xz", [member(f"{n}.txt", b"a " * (300 << 10)) for n in range(3)])
    assert file.stat().st_size < 5000
    with pytest.raises(DataError, match="more than 1 MiB of text"):
        read_texts(file)


def test_a_size_that_lies_is_damage(tmp_path: Path) -> None:
    file = archive(tmp_path / "t.tar", [member("a.txt", b"words " * 2000)])
    file.write_bytes(file.read_bytes()[:4096])
    with pytest.raises(DataError, match="damaged"):
        read_texts(file)


def test_a_cut_archive_is_damage(tmp_path: Path) -> None:
    words = np.random.default_rng(0).integers(97, 122, 1 << 16).astype(np.uint8).tobytes()
    file = archive(tmp_path / "t.tar.xz", [member("a.txt", words)])
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(DataError, match="damaged"):
        read_texts(file)


@given(st.binary(min_size=1, max_size=2000), st.sampled_from(["t.tar", "t.tar.xz", "t.tgz", "t.tar.bz2", "t.txt"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_text_or_refused(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    try:
        assert all(isinstance(found, str) for found in read_texts(tmp_path / name))
    except (DataError, InputError) as refusal:
        assert name in str(refusal)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(("name", "words"), [("a.pdf", "is no text"), ("missing.txt", "does not exist")])
def test_other_files_are_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(InputError, match=words):
        read_texts(tmp_path / name)


def test_a_folder_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no text"):
        read_texts(tmp_path)


def test_windows_are_full_framed_and_in_order(tokenizer_file: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_file)
    texts = [question.context for question in load_questions(SHIPPED_CALIBRATION)[::20]]
    windows = text_windows(texts, tokenizer, 32)
    first, last = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    assert windows.input_ids.shape[1] == 32
    assert set(windows.input_ids[:, 0]) == {first}
    assert set(windows.input_ids[:, -1]) == {last}
    assert windows.attention_mask.all()
    assert not windows.token_type_ids.any()
    flat = [tokenizer.encode(words, add_special_tokens=False).ids for words in texts]
    kept = [ids[: len(ids) // 30 * 30] for ids in flat]
    assert windows.input_ids[:, 1:-1].reshape(-1).tolist() == [token for ids in kept for token in ids]


def test_a_share_is_spread_over_the_text(tokenizer_file: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_file)
    texts = [question.context for question in load_questions(SHIPPED_CALIBRATION)]
    every = text_windows(texts, tokenizer, 32)
    some = text_windows(texts, tokenizer, 32, share=0.1)
    assert len(some) == round(0.1 * len(every))
    places = [np.flatnonzero((every.input_ids == row).all(axis=1))[0] for row in some.input_ids]
    assert places[0] == 0
    assert np.any((every.input_ids[-1] == some.input_ids[-1]).all())


def test_text_that_fills_no_window_is_refused(tokenizer_file: Path) -> None:
    with pytest.raises(DataError, match="shorter than one window"):
        text_windows(["few words"], load_tokenizer(tokenizer_file), 32)


def test_text_and_questions_become_one_set(tokenizer_file: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_file)
    questions = load_questions(SHIPPED_CALIBRATION)[:4]
    asked, read = make_windows(questions, tokenizer, 64, 16), text_windows([questions[0].context * 3], tokenizer, 32)
    both = joined(read, asked)
    assert both.input_ids.shape == (len(read) + len(asked), 64)
    np.testing.assert_array_equal(both.input_ids[len(read) :], asked.input_ids)
    np.testing.assert_array_equal(both.token_type_ids[len(read) :], asked.token_type_ids)
    assert both.attention_mask[: len(read)].sum(axis=1).tolist() == [32] * len(read)

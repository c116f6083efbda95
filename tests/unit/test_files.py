from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from snpe_tools.errors import InputError, StorageError
from snpe_tools.files import require_file, sha256, size_of, whole_file, whole_folder, write_text


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    with pytest.raises(RuntimeError), whole_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    write_text(target, "one\n")
    with pytest.raises(KeyboardInterrupt), whole_file(target) as temporary:
        temporary.write_text("two")
        raise KeyboardInterrupt
    assert target.read_text() == "one\n"
    assert [entry.name for entry in target.parent.iterdir()] == ["file.txt"]


def test_a_folder_replaces_the_old_one_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for name in ("first", "second"):
        with whole_folder(target) as temporary:
            (temporary / name).touch()
    assert [entry.name for entry in target.iterdir()] == ["second"]
    with pytest.raises(RuntimeError), whole_folder(target) as temporary:
        raise RuntimeError
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_is_told_as_such(tmp_path: Path, number: int) -> None:
    with pytest.raises(StorageError, match="No space left while writing"), whole_file(tmp_path / "file"):
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


def test_required_files_say_what_they_should_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not exist \(a DLC\)"):
        require_file(tmp_path / "none", "a DLC")
    with pytest.raises(InputError, match="is a folder"):
        require_file(tmp_path, "a DLC")
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match="is empty"):
        require_file(tmp_path / "empty", "a DLC")


def test_a_folder_hash_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = sha256(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    renamed = sha256(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, renamed, sha256(tmp_path)}) == 3
    assert size_of(tmp_path) == 1

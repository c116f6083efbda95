from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snpe_tools.core.errors import InputError, StorageError, UsageError
from snpe_tools.core.files import (
    require_file,
    sha256,
    size_of,
    whole_file,
    whole_files,
    whole_folder,
    write_json,
    write_text,
)


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
        with whole_folder(target, known_by="list") as temporary:
            (temporary / name).touch()
            (temporary / "list").touch()
    assert sorted(entry.name for entry in target.iterdir()) == ["list", "second"]
    with pytest.raises(RuntimeError), whole_folder(target, known_by="list") as temporary:
        raise RuntimeError
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("known_by", ["", "list"])
def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path, known_by: str) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis").write_text("years of work")
    with (
        pytest.raises(UsageError, match="holds something else"),
        whole_folder(tmp_path / "precious", known_by=known_by),
    ):
        pass
    with pytest.raises(UsageError, match="is a file"), whole_folder(tmp_path / "precious" / "thesis"):
        pass
    assert (tmp_path / "precious" / "thesis").read_text() == "years of work"


def test_two_processes_may_replace_one_folder_at_once(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from snpe_tools.core.files import whole_folder\n"
        "for number in range(150):\n"
        "    with whole_folder(Path(sys.argv[1]), known_by='list') as folder:\n"
        "        (folder / 'list').write_text(str(number))\n"
    )
    target = tmp_path / "folder"
    runs = [subprocess.Popen([sys.executable, "-c", program, target]) for _ in range(3)]
    assert [run.wait(60) for run in runs] == [0, 0, 0]
    assert (target / "list").read_text() == "149"
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_several_files_take_their_places_together(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError), whole_files(tmp_path / "a", tmp_path / "b") as (first, second):
        first.write_text("new")
        second.write_text("new")
        raise RuntimeError
    assert {entry.name: entry.read_text() for entry in tmp_path.iterdir()} == {"a": "old"}


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"sqnr_db": float("-inf"), "path": tmp_path, "rows": (1.5, float("nan"))})
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "sqnr_db": None,
        "path": str(tmp_path),
        "rows": [1.5, None],
    }


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

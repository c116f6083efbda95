"""What a device's failure is told as, and that no row of a shared data set is lost or counted twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from snpe_tools.devices import DeviceAddress
from snpe_tools.devices.failures import find_cause
from snpe_tools.errors import ExecutionError
from snpe_tools.stages.fleet import Fleet, Member, Share, check_rows, run_sharded

OUR_NOTE = "graph: compiled, since its cache cannot be used: the cache was compiled for SoC 43"


@pytest.mark.parametrize(
    ("status", "output", "words"),
    [
        (137, OUR_NOTE, "killed it"),
        (137, "No cache record matches", "killed it"),
        (139, OUR_NOTE, "crashed"),
        (134, 'library "libcdsprpc.so" not found', "gave up"),
        (5, f"{OUR_NOTE}\nNo space left on device", "the disk is full"),
        (1, "loaded libcdsprpc.so\nerror_code=311", "another generation"),
        (1, "No cache record matches\n" + "done\n" * 60 + "error_code=311", "another generation"),
    ],
)
def test_how_it_ended_outranks_what_it_said_before(status: int, output: str, words: str) -> None:
    found = find_cause(status, output)
    assert found
    assert words in found.cause


@pytest.mark.parametrize(
    "text",
    [
        'dlopen failed: library "libcdsprpc.so" not found',
        "libcdsprpc.so: cannot open shared object file: No such file or directory",
        'library "/vendor/lib64/libcdsprpc.so" is not accessible for the namespace "default"',
        "Unable to load lib libcdsprpc.so",
    ],
)
def test_the_dsps_library_is_missing_only_where_it_is_said_so(text: str) -> None:
    found = find_cause(1, text)
    assert found
    assert "libcdsprpc.so" in found.cause
    assert find_cause(1, "fastrpc: libcdsprpc.so loaded") is None


def _ran(_member: Member, rows: Sequence[int], _turn: int) -> Any:
    return list(rows)


def test_no_row_is_lost_where_two_members_have_one_name(tmp_path: Path) -> None:
    twice = [Member(DeviceAddress("fake", str(tmp_path)))] * 2
    shares = list(run_sharded(Fleet({}), twice, range(10), _ran))
    assert sorted(row for share in shares for row in share.rows) == list(range(10))
    assert [len(share.rows) for share in shares] == [5, 5]


@pytest.mark.parametrize("rows", [[(0, 1)], [(0, 1), (2,), (2,)], [(0, 1), (3,)], []])
def test_shares_that_are_not_the_whole(rows: list[tuple[int, ...]]) -> None:
    shares: Any = [Share(part, None) for part in rows]  # type: ignore[arg-type]
    with pytest.raises(ExecutionError, match="each once"):
        check_rows(shares, 3)
    check_rows([Share((2, 0), None), Share((1,), None)], 3)  # type: ignore[arg-type]

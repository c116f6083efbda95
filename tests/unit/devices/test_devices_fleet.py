"""Questions that several devices share: no row is lost or counted twice, whatever breaks."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from snpe_tools.core.errors import DeviceError, ExecutionError, InputError
from snpe_tools.core.socs import BY_NAME
from snpe_tools.devices.facts import Facts
from snpe_tools.devices.transports.address import DeviceAddress, parse_addresses
from snpe_tools.execution.fleet import Fleet, FleetMember, FleetShare, check_rows, look, run_sharded

PHONE = Facts("android", "aarch64", "Linux", "15", "A Phone", "SM8650", BY_NAME["sm8650"], 1 << 33)

MEMBERS = [FleetMember(DeviceAddress.parse(f"adb:{name}"), PHONE) for name in "ABC"]


class FakeRun:
    def __init__(self, rows: Sequence[int]) -> None:
        self.rows = tuple(rows)


@pytest.mark.parametrize("broken", [set(), {"adb:A"}, {"adb:A", "adb:C"}], ids=str)
def test_what_a_device_leaves_the_others_share(broken: set[str]) -> None:
    def carry_out(member: FleetMember, rows: Sequence[int], turn: int) -> Any:
        if str(member) in broken:
            raise DeviceError(f"round {turn}", address=str(member))
        return FakeRun(rows)

    shares = list(run_sharded(Fleet({}), MEMBERS, range(10), carry_out))
    assert sorted(row for share in shares for row in share.rows) == list(range(10))
    assert all(share.run.rows == share.rows for share in shares)  # type: ignore[attr-defined]


def test_a_fleet_that_fails_as_a_whole() -> None:
    def carry_out(member: FleetMember, rows: Sequence[int], turn: int) -> Any:
        raise DeviceError(f"{len(rows)} {turn}", address=str(member))

    with pytest.raises(DeviceError, match="adb:A,adb:B,adb:C: all of them failed"):
        list(run_sharded(Fleet({}), MEMBERS, range(10), carry_out))


def test_more_devices_than_rows() -> None:
    seen: list[Future[None]] = []

    def carry_out(member: FleetMember, rows: Sequence[int], turn: int) -> Any:  # noqa: ARG001
        seen.append(Future())
        return FakeRun(rows)

    shares = list(run_sharded(Fleet({}), MEMBERS, range(2), carry_out))
    assert [share.rows for share in shares] == [(0,), (1,)]
    assert len(seen) == 2


def test_every_device_is_there_once(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "device")
    names = [f"fake:{tmp_path / name}" for name in ("device", "link", "other")]
    found = look(parse_addresses(",".join(names)))
    assert [str(member) for member in found] == [names[0], names[2]]
    assert all(member.facts for member in found)
    (tmp_path / "file").write_text("no folder")
    (broken,) = look(parse_addresses(f"fake:{tmp_path / 'file'}"))
    assert isinstance(broken.problem, InputError)


def _ran(_member: FleetMember, rows: Sequence[int], _turn: int) -> Any:
    return list(rows)


def test_no_row_is_lost_where_two_members_have_one_name(tmp_path: Path) -> None:
    twice = [FleetMember(DeviceAddress("fake", str(tmp_path)))] * 2
    shares = list(run_sharded(Fleet({}), twice, range(10), _ran))
    assert sorted(row for share in shares for row in share.rows) == list(range(10))
    assert [len(share.rows) for share in shares] == [5, 5]


@pytest.mark.parametrize("rows", [[(0, 1)], [(0, 1), (2,), (2,)], [(0, 1), (3,)], []])
def test_shares_that_are_not_the_whole(rows: list[tuple[int, ...]]) -> None:
    shares: Any = [FleetShare(part, None) for part in rows]  # type: ignore[arg-type]
    with pytest.raises(ExecutionError, match="each once"):
        check_rows(shares, 3)
    check_rows([FleetShare((2, 0), None), FleetShare((1,), None)], 3)  # type: ignore[arg-type]

"""What a device may answer to no good: it is told as that device's failure, and costs the others nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from snpe_tools.board.main import RECORD
from snpe_tools.core.errors import DeviceError, ExecutionError
from snpe_tools.core.socs import DEFAULT
from snpe_tools.devices import Device
from snpe_tools.devices.runtimes import DeviceJob, Fetched
from snpe_tools.devices.runtimes.board import BoardRunner
from snpe_tools.devices.transports.address import parse_addresses
from snpe_tools.execution.fleet import Fleet, FleetMember, look, run_sharded
from snpe_tools.execution.on_device import DeviceOptions


@pytest.mark.parametrize(
    "record",
    [
        "",
        "[]",
        "{}",
        '{"token": "", "start": "", "seconds": [], "init": ' + "9" * 401 + "}",
        '{"token": "", "start": "", "seconds": [], "init": ' + "9" * 5000 + "}",
        "[" * 100_000,
        "\udc80",
    ],
    ids=["empty", "a list", "nothing", "401 digits", "5000 digits", "deep", "no text"],
)
def test_a_boards_damaged_record_is_told(tmp_path: Path, record: str) -> None:
    (tmp_path / RECORD).write_text(record, encoding="utf-8", errors="surrogateescape")
    task = DeviceJob(tmp_path / "m.dlc", ["g"], [], [], [], DEFAULT)
    with pytest.raises(ExecutionError, match="is missing or damaged"):
        BoardRunner({}, tmp_path / "runner.pyz").timing(task, Fetched(tmp_path, ""))


def test_a_defect_on_one_device_costs_the_others_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(device: Device, *_: Any, **__: Any) -> Any:
        if str(device).endswith("odd"):
            raise ZeroDivisionError("of nobody's making")
        return SimpleNamespace()

    monkeypatch.setattr("snpe_tools.execution.fleet.run_connected", run)
    (tmp_path / "list.txt").write_text("a.raw\n")
    members = look(parse_addresses(f"fake:{tmp_path}/even,fake:{tmp_path}/odd"))
    fleet = Fleet({str(member): DeviceOptions() for member in members})

    def carry_out(member: FleetMember, _rows: Sequence[int], turn: int) -> Any:
        return fleet.run(member, tmp_path / "m.dlc", tmp_path / "list.txt", tmp_path / str(turn))

    shares = list(run_sharded(fleet, members, range(4), carry_out))
    assert sorted(row for share in shares for row in share.rows) == list(range(4))
    (problem,) = fleet.lost.values()
    assert isinstance(problem, DeviceError)
    assert problem.message == f"fake:{tmp_path}/odd: ZeroDivisionError: of nobody's making"
    assert isinstance(problem.__cause__, ZeroDivisionError)

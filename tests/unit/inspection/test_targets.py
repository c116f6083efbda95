"""Where a file runs: one verdict, and what user-defined operations need."""

from __future__ import annotations

from pathlib import Path

import pytest

from snpe_tools import dlc
from snpe_tools.inspection.history import compiled_caches, written_by
from snpe_tools.inspection.targets import targets
from tests.dlc_files import TENSORS, model4, node4, records2, records3, records41, write_zip


@pytest.mark.parametrize("records", [records2(), records3()])
def test_files_of_snpe_1_have_one_verdict(tmp_path: Path, records: dict[str, bytes]) -> None:
    with dlc.open(write_zip(tmp_path / "m.dlc", records)) as opened:
        (only,) = targets(opened)
        assert (only.where, only.runs) == ("SNPE 1.x runtimes only", True)
        assert "for SNPE 2 or QAIRT convert the model again" in only.why


def test_user_defined_operations_need_their_package(tmp_path: Path) -> None:
    nodes = [node4("fc", "FullyConnected", ["x", "w"], ["h"], packageName="qti.aisw"),
             node4("own", "Swirl", ["h"], ["p"], packageName="acme.ops"),
             node4("relu", "Neuron", ["p"], ["y"])]  # fmt: skip
    with dlc.open(write_zip(tmp_path / "m.dlc", records41(model=model4(nodes, TENSORS)))) as opened:
        needed = [target for target in targets(opened) if "package" in target.where]
        assert [(target.where, target.why) for target in needed] == [
            ("only with the op package 'acme.ops'", "user-defined operations: Swirl")
        ]


def test_a_cache_of_snpe_1_names_no_soc(tmp_path: Path) -> None:
    records = records3() | {"backend.metadata0": b"x"}
    with dlc.open(write_zip(tmp_path / "m.dlc", records)) as opened:
        assert [(cache.record, cache.soc) for cache in compiled_caches(opened)] == [
            ("aip.metadata0", "unknown"),
            ("backend.metadata0", "unknown"),
        ]


def test_a_converter_without_a_command_still_has_its_version(tmp_path: Path) -> None:
    with dlc.open(write_zip(tmp_path / "m.dlc", records2())) as opened:
        (entry,) = written_by(opened)
        assert (entry.stage, entry.version, entry.command) == ("converter", "1.22.0.212", "")

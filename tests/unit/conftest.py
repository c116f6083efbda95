"""Fixtures of the unit tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from snpe_tools import dlc
from tests.dlc_files import records41, write_zip


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[dlc.Dlc]:
    """A small DLC of container version 4.1, written by the tests."""
    with dlc.open(write_zip(tmp_path / "m.dlc", records41())) as found:
        yield found

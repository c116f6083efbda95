"""Fixtures of the unit tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from snpe_tools import dlc
from snpe_tools.devices import Device
from snpe_tools.devices.transports.fake import FakeTransport
from tests.dlc_files import records41, write_zip


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[dlc.Dlc]:
    """A small DLC of container version 4.1, written by the tests."""
    with dlc.open(write_zip(tmp_path / "m.dlc", records41())) as found:
        yield found


@pytest.fixture
def transport(tmp_path: Path) -> FakeTransport:
    """A device in a folder."""
    return FakeTransport(tmp_path / "device")


@pytest.fixture
def device(transport: FakeTransport) -> Device:
    """The same, connected."""
    return Device(transport)

"""A model to run, with and without a cache, and what an undisturbed run of it writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from snpe_tools import prepare, run
from snpe_tools.core.socs import DEFAULT
from tests.integration.conftest import Tiny
from tests.integration.net_run.calls import raws_in

Make = Callable[[str, str], Tiny]


@pytest.fixture(scope="session")
def model(tiny: Make) -> Tiny:
    return tiny("bert", "w8a16")


@pytest.fixture(scope="session")
def prepared(model: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("prepared") / "m.dlc"
    prepare(model.dlc, target, [DEFAULT])
    return target


@pytest.fixture(scope="session")
def wanted(model: Tiny, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an undisturbed run of the 16 windows writes."""
    folder = tmp_path_factory.mktemp("wanted")
    run(model.dlc, model.listed, folder)
    return raws_in(folder)

"""Where the two models of a comparison run."""

from __future__ import annotations

from pathlib import Path

import pytest

from snpe_tools.core.errors import UsageError
from snpe_tools.devices import DeviceAddress
from snpe_tools.execution.on_device import DeviceOptions
from snpe_tools.execution.targets import HERE, Place, Places, check_places, kept_log, parse_places

WISH = DeviceOptions(runtime="board")
PHONE = Place(DeviceAddress("adb", "A"), WISH)
BOARD = Place(DeviceAddress("ssh", "b"), WISH)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("host", HERE),
        ("adb:A", (PHONE, PHONE)),
        ("host,adb:A", (None, PHONE)),
        ("adb:A, host", (PHONE, None)),
        ("adb:A,ssh://b", (PHONE, BOARD)),
    ],
)
def test_one_place_or_two(text: str, places: Places) -> None:
    assert parse_places(text, WISH) == places


@pytest.mark.parametrize(
    ("text", "words"), [("host,adb:A,adb:B", "names 3 places"), ("host,", "no device address"), ("", "no device addr")]
)
def test_what_is_no_place(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_places(text, WISH)


def test_every_device_has_a_dlc_to_run() -> None:
    onnx, dlc = Path("a.onnx"), Path("b.dlc")
    check_places((onnx, dlc), (PHONE, PHONE))
    check_places((onnx, onnx), HERE)
    check_places((onnx, dlc), (None, PHONE))
    for models, places in (((onnx, onnx), (PHONE, PHONE)), ((dlc, onnx), (None, PHONE)), ((dlc, onnx), (BOARD, PHONE))):
        with pytest.raises(UsageError, match="adb:A would run nothing"):
            check_places(models, places)


def test_a_log_stays_when_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with kept_log() as log:
        log.write_text("all went well")
    assert not [*tmp_path.iterdir()]
    with pytest.raises(RuntimeError), kept_log():
        raise RuntimeError
    assert not [*tmp_path.iterdir()]
    with pytest.raises(RuntimeError), kept_log() as log:
        log.write_text("why")
        raise RuntimeError
    assert [file.read_text() for file in tmp_path.iterdir()] == ["why"]

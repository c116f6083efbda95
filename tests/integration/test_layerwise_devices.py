"""Every tensor of a DLC on a device: a debug copy is pushed, run there and read back, a group of tensors at a time."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from snpe_tools import prepare
from snpe_tools.core.errors import DeviceError, DeviceLostError, StorageError, UsageError
from snpe_tools.core.socs import BY_NAME
from snpe_tools.devices import Device, DeviceAddress
from snpe_tools.devices.runtimes import snpe
from snpe_tools.devices.transports.fake import FakeTransport, Faults
from snpe_tools.execution.on_device import DeviceOptions, run_on_device
from snpe_tools.execution.targets import Place
from snpe_tools.layerwise import comparison
from snpe_tools.layerwise import device_source as layerwise_device
from snpe_tools.layerwise.comparison import LayerComparison
from snpe_tools.steps.compare import compare
from snpe_tools.steps.compare_layers import compare_layers
from tests import device_double, sshd
from tests.adb_device import running
from tests.integration.conftest import Tiny

WINDOWS = 3


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a test sees what is left: in the cache, and among the temporary files."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


@pytest.fixture(scope="module", params=["w8a16", "fp16"])
def model(request: pytest.FixtureRequest, tiny: Callable[[str, str], Tiny]) -> Tiny:
    return tiny("bert", request.param)


@pytest.fixture(scope="module")
def w8a16(tiny: Callable[[str, str], Tiny]) -> Tiny:
    return tiny("bert", "w8a16")


@pytest.fixture(scope="module")
def wanted(w8a16: Tiny) -> LayerComparison:
    """What the emulator of this machine says."""
    return compare_layers(w8a16.source, w8a16.dlc, w8a16.listed, limit=WINDOWS)


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    device_double.make_phone(tmp_path / "phone")
    with device_double.sdk_named(device_double.make_sdk(tmp_path / "sdk"), monkeypatch):
        yield f"fake:{tmp_path / 'phone'}"


def there(address: str) -> tuple[Place, Place]:
    place = Place(DeviceAddress.parse(address), DeviceOptions())
    return place, place


def assert_same(found: LayerComparison, wanted: LayerComparison) -> None:
    """All figures, to the last bit; only where it ran differs."""
    assert found.runtimes != wanted.runtimes
    assert replace(found, runtimes=wanted.runtimes) == wanted


def test_a_board_computes_the_emulators_tensors(model: Tiny, tmp_path: Path) -> None:
    here = compare_layers(model.source, model.dlc, model.listed, limit=1)
    found = compare_layers(model.source, model.dlc, model.listed, limit=1, places=there(f"fake:{tmp_path / 'board'}"))
    assert_same(found, here)
    assert found.runtimes[1].startswith(f"fake:{tmp_path / 'board'} (emulates sm8650): snpe-tools runner, Hexagon emul")
    assert not [*(tmp_path / "temporary").iterdir()]


def test_a_phone_computes_them_too_in_groups_and_batches(
    phone: str,
    w8a16: Tiny,
    wanted: LayerComparison,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two groups of tensors, and two inferences a run; nothing of the four runs stays on either side."""
    group = 6 * sum(4 * math.prod(row.shape) for row in wanted.layers) // 10
    monkeypatch.setattr(comparison, "GROUP_BYTES", group)
    monkeypatch.setattr(layerwise_device, "RUN_BYTES", 2 * group + 1)
    monkeypatch.setattr(snpe, "_ON_COMMAND_LINE", 0)
    assert_same(compare_layers(w8a16.source, w8a16.dlc, w8a16.listed, limit=WINDOWS, places=there(phone)), wanted)
    assert re.findall(r"\d+ tensors of \d inferences are computed", capsys.readouterr().err) == [
        "40 tensors of 2 inferences are computed",
        "40 tensors of 1 inferences are computed",
        "30 tensors of 2 inferences are computed",
        "30 tensors of 1 inferences are computed",
    ]
    root = tmp_path / "phone" / ".cache" / "snpe-tools"
    assert not [*(root / "runs").iterdir()]
    assert not [*(tmp_path / "temporary").iterdir()]
    assert {bundle.name.split("-")[0] for bundle in (root / "bundles").iterdir()} == {"inputs", "runtime"}


def test_a_real_ssh_server(
    w8a16: Tiny, wanted: LayerComparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = sshd.start(tmp_path / "sshd")
    monkeypatch.setenv("HOME", str(server.home))
    try:
        found = compare_layers(w8a16.source, w8a16.dlc, w8a16.listed, limit=WINDOWS, places=there(server.address))
    finally:
        server.stop()
    assert_same(found, wanted)


def test_a_real_adb_and_a_prepared_model(
    w8a16: Tiny, wanted: LayerComparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cache has none of the inner tensors, so it must not be used."""
    prepared = tmp_path / w8a16.dlc.name
    prepare(w8a16.dlc, prepared, [BY_NAME["sm8650"]])
    home = device_double.make_phone(tmp_path / "phone")
    sdk = device_double.make_sdk(tmp_path / "sdk")
    with running.own_server(tmp_path / "android", monkeypatch), device_double.sdk_named(sdk, monkeypatch):
        switched_on = running.start(home)
        try:
            found = compare_layers(
                w8a16.source, prepared, w8a16.listed, limit=WINDOWS, places=there(switched_on.address)
            )
        finally:
            switched_on.stop()
    assert_same(found, wanted)


def test_a_board_does_not_start_a_debug_copy_from_the_cache(w8a16: Tiny, tmp_path: Path) -> None:
    prepare(w8a16.dlc, tmp_path / "p.dlc", [BY_NAME["sm8650"]])
    found = compare_layers(
        tmp_path / "p.dlc", tmp_path / "p.dlc", w8a16.listed, limit=1, places=(None, there(f"fake:{tmp_path / 'b'}")[1])
    )
    assert {row.sqnr_db for row in found.layers} == {None}
    assert {row.equal for row in found.layers} == {100}
    assert [runtime.partition(" ")[0] for runtime in found.runtimes] == ["Hexagon", f"fake:{tmp_path / 'b'}"]


FIRST = "F=$(find output -name 'Softmax_output_0_q.raw' | sort | head -n 1)"
LIES = {
    "missing": (f"{FIRST}; rm $F", r"wrote no self/Softmax_output_0_q\.raw"),
    "short": (f"{FIRST}; : > $F", r"Softmax_output_0_q\.raw .* has 0 bytes"),
    "long": (f"{FIRST}; echo more >> $F", r"Softmax_output_0_q\.raw .* bytes; .* needs"),
    "a link": (f"{FIRST}; rm $F; ln -s /etc/hostname $F", r"wrote no self/Softmax_output_0_q\.raw"),
    "none": ("rm -r output/Result_*", "wrote 0 results for 1 inferences"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_comes_back_is_looked_at(lie: str, w8a16: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log of a failed run stays, among the temporary files; nothing else does."""
    after, words = LIES[lie]
    device_double.make_phone(tmp_path / "phone")
    sdk = device_double.make_sdk(tmp_path / "sdk", after=after)
    places = there(f"fake:{tmp_path / 'phone'}")
    with device_double.sdk_named(sdk, monkeypatch), pytest.raises(DeviceError, match=words) as caught:
        compare_layers(w8a16.source, w8a16.dlc, w8a16.listed, limit=1, places=places)
    (log,) = (tmp_path / "temporary").iterdir()
    assert str(log) in caught.value.hint
    assert "Successfully executed" in log.read_text()


def test_nan_that_comes_back_is_counted(w8a16: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device_double.make_phone(tmp_path / "phone")
    nan = f"{FIRST}; printf '\\377\\377\\377\\177' | dd of=$F conv=notrunc 2>/dev/null"
    sdk = device_double.make_sdk(tmp_path / "sdk", after=nan)
    with device_double.sdk_named(sdk, monkeypatch):
        found = compare_layers(
            w8a16.source, w8a16.dlc, w8a16.listed, limit=1, places=there(f"fake:{tmp_path / 'phone'}")
        )
    (bad,) = (row for row in found.layers if row.not_finite != (0, 0))
    assert (bad.op, bad.not_finite, bad.cause) == ("Softmax", (0, 1), "1 NaN or infinite numbers")
    assert found.diverged == bad.tensor
    assert found.worst(1) == [bad]


def test_a_device_that_fills_up(w8a16: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the runtime there, and no room for the debug copy."""
    places = there(f"fake:{tmp_path / 'board'}")
    run_on_device(places[0].address, w8a16.dlc, w8a16.listed, tmp_path / "results")
    full = FakeTransport(tmp_path / "board", Faults(space=1 << 16))
    monkeypatch.setattr(layerwise_device, "connect", lambda *_, **__: Device(full))
    with pytest.raises(StorageError, match="no space left on the device"):
        compare_layers(w8a16.source, w8a16.dlc, w8a16.listed, limit=1, places=places)


def test_a_cable_that_is_pulled(w8a16: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While results come back: those of the first run are of no use without the rest."""
    cable = FakeTransport(tmp_path / "board")
    monkeypatch.setattr(layerwise_device, "connect", lambda *_, **__: Device(cable, patience=2))
    places = there(f"fake:{tmp_path / 'board'}")
    whole = compare_layers(w8a16.source, w8a16.dlc, w8a16.listed, limit=1, places=places)
    moved, cable.moved = cable.moved, 0
    pulled = sum(2 * math.prod(row.shape) for row in whole.layers)
    compare_layers(w8a16.source, w8a16.dlc, w8a16.listed, limit=1, places=places)
    assert pulled < cable.moved < moved  # the second time neither runtime nor inputs are sent
    cable.faults, cable.moved = Faults(drop_after=cable.moved - pulled // 2), 0
    with pytest.raises(DeviceLostError):
        compare_layers(w8a16.source, w8a16.dlc, w8a16.listed, limit=1, places=places)


def test_the_command_compares_host_and_device(w8a16: Tiny, tmp_path: Path) -> None:
    where = f"host,fake:{tmp_path / 'board'}"
    arguments = [str(w8a16.dlc), str(w8a16.dlc), "-i", str(w8a16.listed), "--device", where, "--json"]
    command = [sys.executable, "-m", "snpe_tools", "compare", *arguments]
    layers = ["--layers", "--limit", "1", "-o", str(tmp_path / "layers.json")]
    done = subprocess.run([*command, *layers], capture_output=True, text=True, check=True, timeout=300)
    document = json.loads(done.stdout)
    assert document == json.loads((tmp_path / "layers.json").read_text())
    assert document["runtimes"][0] == "Hexagon emulator, sm8650"
    assert document["runtimes"][1].startswith(f"fake:{tmp_path / 'board'} (emulates sm8650)")
    assert {row["equal"] for row in document["layers"]} == {100}
    assert f"m.dlc ran on fake:{tmp_path / 'board'} (emulates sm8650)" in done.stderr
    outputs = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert [row["equal"] for row in json.loads(outputs.stdout)] == [100, 100]


def test_a_device_that_would_have_nothing_to_do(w8a16: Tiny, tmp_path: Path) -> None:
    place = there(f"fake:{tmp_path / 'board'}")[0]
    for function in (compare, compare_layers):
        with pytest.raises(UsageError, match="would run nothing"):
            function(w8a16.source, w8a16.source, w8a16.listed, places=(place, place))
    assert not (tmp_path / "board").exists()

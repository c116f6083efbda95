"""F1 on devices through the commands: a row for each, one for all that share the questions, and devices that fail."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from snpe_tools.cli.main import app
from snpe_tools.core.errors import ExecutionError, UsageError
from tests import device_double

pytestmark = pytest.mark.usefixtures("own_cache")

QUESTIONS = "4"
_VIEWER = """#!/bin/sh
while [ $# -gt 0 ]; do case $1 in --input_log) LOG=$2 ;; --output) OUT=$2 ;; esac; shift; done
grep -q diagnostics "$LOG" || exit 1
printf '0,Init,us,443264\\n1,Avg_Total_Inference_Time,us,13567\\n' > "$OUT"
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    device_double.make_phone(tmp_path / "phone")
    with device_double.sdk_named(device_double.make_sdk(tmp_path / "sdk"), monkeypatch):
        yield f"fake:{tmp_path / 'phone'}"


def command(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def score(root: Path, checkpoint: Callable[[str], Path]) -> Callable[..., Result]:
    recipe = ("--checkpoint", checkpoint("bert"), "--seq", 48, "--precision", "fp16", "--toolchain", "pypi")

    def asked(device: str, *more: object) -> Result:
        common = ("--root", root, "--model", "tiny", "--questions", QUESTIONS, "--max-drop", 100, "--json")
        return command("score", *common, *recipe, "--device", device, *more)

    return asked


def rows(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {stage["stage"]: stage for stage in document["stages"]}


def test_a_row_for_each_device(score: Callable[..., Result], phone: str, tmp_path: Path, root: Path) -> None:
    board, broken = f"fake:{tmp_path / 'board'}", "ssh://nobody@127.0.0.1:1"
    done = score(f"host,{phone},{board},{broken}")
    assert isinstance(done.exception, ExecutionError), done.stderr
    document = json.loads(done.stdout)
    found = rows(document)
    assert list(found) == ["onnx-float", "dlc-fp16@host", f"dlc-fp16@{phone}", f"dlc-fp16@{board}"]
    host = found["dlc-fp16@host"]
    for name in (phone, board):
        same = {key: found[f"dlc-fp16@{name}"][key] for key in ("f1", "em", "sqnr_db", "same", "questions")}
        assert same == {key: host[key] for key in same}
    assert found[f"dlc-fp16@{phone}"]["seconds"] is None
    (lost,) = document["lost"]
    assert lost["stage"] == f"dlc-fp16@{broken}"
    assert "Connection refused" in lost["error"]
    assert not document["passed"]
    kept = {made["device"]: made for made in document["devices"]}
    assert kept[phone]["runtime"] == "snpe-net-run of QAIRT 2.31.0.250130, HTP v75"
    assert kept[phone]["versions"] == {"sdk": "QAIRT 2.31.0.250130", "target": "aarch64-android"}
    assert (kept[phone]["profile"], kept[board]["profile"]) == ("burst", "none set")
    assert (kept[phone]["soc"], kept[phone]["os"], kept[phone]["emulated"]) == ("sm8650", "android 15", False)
    assert (kept[board]["stage"], kept[board]["emulated"]) == (f"dlc-fp16@{board}", True)
    assert "failed" in done.stderr
    written = json.loads((root / "Models" / "tiny" / "accuracy.json").read_text())
    assert written["devices"] == document["devices"]


def test_one_data_set_on_two_devices(score: Callable[..., Result], tmp_path: Path) -> None:
    boards = [f"fake:{tmp_path / name}" for name in ("one", "two")]
    alone, shared = score(boards[0]), score(",".join(boards), "--shard")
    assert shared.exit_code == 0, shared.stderr
    whole = json.loads(alone.stdout)["stages"][-1]
    split = json.loads(shared.stdout)
    for key in ("f1", "em", "sqnr_db", "same", "questions", "not_finite"):
        assert split["stages"][-1][key] == whole[key]
    assert split["stages"][-1]["stage"] == f"dlc-fp16@{'+'.join(boards)}"
    shares = [made["inferences"] for made in split["devices"]]
    assert len(shares) == 2
    assert sum(shares) == json.loads(alone.stdout)["devices"][0]["inferences"]


def test_what_a_broken_device_leaves_another_runs(score: Callable[..., Result], tmp_path: Path) -> None:
    good = f"fake:{tmp_path / 'good'}"
    device_double.make_board(tmp_path / "bad", machine="x86_64")
    (tmp_path / "bad" / "bin" / "python3").write_text("#!/bin/sh\necho strange\nexit 9\n")
    (tmp_path / "bad" / "bin" / "python3").chmod(0o755)
    bad = f"fake:{tmp_path / 'bad'}"
    done = score(f"{good},{bad}", "--shard")
    assert isinstance(done.exception, ExecutionError)
    document = json.loads(done.stdout)
    alone = json.loads(score(good).stdout)
    assert document["stages"][-1]["f1"] == alone["stages"][-1]["f1"]
    assert document["stages"][-1]["sqnr_db"] == alone["stages"][-1]["sqnr_db"]
    assert [lost["stage"] for lost in document["lost"]] == [f"dlc-fp16@{bad}"]
    assert "exit status 9" in document["lost"][0]["error"]
    assert len(document["devices"]) == 2
    assert "run them" in done.stderr


def test_nothing_to_share_the_questions(score: Callable[..., Result]) -> None:
    done = score("host", "--shard")
    assert isinstance(done.exception, UsageError)
    assert "none is named" in str(done.exception)


def test_a_list_of_devices(phone: str, tmp_path: Path) -> None:
    done = command("devices", f"{phone},fake:{tmp_path / 'board'}", "--json")
    first, second = json.loads(done.stdout)
    assert (first["soc"], first["htp"], first["ready"]) == ("sm8650", 75, True)
    assert (second["machine"], second["ready"]) == ("x86_64", True)
    assert "A Phone" in done.stderr


def test_the_doctor_names_what_a_device_lacks(tmp_path: Path) -> None:
    device_double.make_phone(tmp_path / "phone", soc="MT6989")
    done = command("doctor", "--device", f"fake:{tmp_path / 'phone'}", "--json")
    assert done.exit_code
    (soc,) = [finding for finding in json.loads(done.stdout) if finding["state"] == "missing"]
    assert soc["name"] == "SoC"
    assert "'MT6989', which is not a known one" in soc["found"]
    device_double.make_phone(tmp_path / "phone")
    done = command("doctor", "--device", f"fake:{tmp_path / 'phone'}", "--json")
    missing = {finding["name"]: finding for finding in json.loads(done.stdout) if finding["state"] == "missing"}
    assert list(missing) == ["runtime"]
    assert "SNPE_ROOT" in missing["runtime"]["advice"]


def test_the_doctor_on_a_board_without_python(tmp_path: Path) -> None:
    device_double.make_board(tmp_path / "board", machine="x86_64")
    old = tmp_path / "board" / "bin" / "python3"
    old.write_text("#!/bin/sh\necho Python 3.8.10\n")
    old.chmod(0o755)
    done = command("doctor", "--device", f"fake:{tmp_path / 'board'}", "--json")
    (python,) = [finding for finding in json.loads(done.stdout) if finding["state"] == "missing"]
    assert (python["name"], python["found"]) == ("python3", "Python 3.8.10")


def test_old_bundles_are_collected(tmp_path: Path) -> None:
    board = f"fake:{tmp_path / 'board'}"
    done = command("devices", board, "--collect", "--json")
    assert json.loads(done.stdout) == {board: {"folders": [], "freed": 0}}
    bundles = tmp_path / "board" / ".cache" / "snpe-tools" / "bundles"
    for name in ("dlc-old", "dlc-new"):
        (bundles / name).mkdir(parents=True)
        (bundles / name / "model.dlc").write_bytes(bytes(100_000))
    device_double.age(bundles / "dlc-old")
    (collected,) = json.loads(command("devices", board, "--collect", "--json").stdout).values()
    assert collected["folders"] == ["bundles/dlc-old"]
    assert collected["freed"] >= 100_000
    assert [bundle.name for bundle in bundles.iterdir()] == ["dlc-new"]


@pytest.fixture(scope="module")
def built(score: Callable[..., Result], root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A DLC, and a list of raw inputs for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        assert score(f"fake:{tmp_path_factory.mktemp('any')}").exit_code == 0
    (listed,) = (root / "raw_inputs" / "tiny" / "dlc-fp16.devices" / "inputs").glob("list.txt")
    return root / "Models" / "tiny" / "tiny.fp16.sm8650.dlc", listed


def test_latency_is_a_devices_only(built: tuple[Path, Path], tmp_path: Path) -> None:
    dlc, listed = built
    done = command("bench", dlc, "--inputs", listed, "--device", f"fake:{tmp_path / 'board'}")
    assert isinstance(done.exception, UsageError)
    assert "its seconds are no latency" in str(done.exception)


def test_latency_from_the_tools_own_log(
    built: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's reader of the log is a double of the documented table; the figures are its."""
    dlc, listed = built
    device_double.make_phone(tmp_path / "phone")
    sdk = device_double.make_sdk(tmp_path / "sdk", after="echo diagnostics > output/SNPEDiag_0.log")
    phone = f"fake:{tmp_path / 'phone'}"
    asked = ("bench", dlc, "-i", listed, "--device", phone, "--warm-up", 1, "--runs", 2, "--profile", "burst", "--json")
    with device_double.sdk_named(sdk, monkeypatch):
        unread = json.loads(command(*asked).stdout)
        viewer = sdk / "bin" / "x86_64-linux-clang" / "snpe-diagview"
        viewer.write_text(_VIEWER)
        viewer.chmod(0o755)
        done = command(*asked)
    assert (unread["init"], unread["mean"], unread["p50"]) == (None, None, None)
    made = json.loads(done.stdout)
    assert (made["init"], made["mean"], made["p50"]) == (pytest.approx(443.264), pytest.approx(13.567), None)
    assert made["profile"] == "burst"
    assert "user buffers, float32" in done.stderr
    assert "snpe-diagview" in made["source"]


def test_a_dlc_on_a_device_as_a_side_of_compare(built: tuple[Path, Path], root: Path, phone: str) -> None:
    dlc, listed = built
    onnx = root / "Models" / "tiny" / "tiny.onnx"
    asked = ("compare", onnx, dlc, "--inputs", listed, "--json")
    there, here = (json.loads(command(*asked, *more).stdout) for more in (("--device", phone), ()))
    assert there == here
    there, here = (
        json.loads(command(*asked, "--layers", *more).stdout) for more in (("--device", phone), ("--device", "host"))
    )
    assert there.pop("runtimes")[1].startswith(f"{phone} (A Phone, sm8650)")
    assert here.pop("runtimes")[1] == "Hexagon emulator, sm8650"
    assert there == here
    assert len(there["layers"]) > 20
    refused = command(*asked, "--device", f"{phone},host", "--layers")
    assert isinstance(refused.exception, UsageError)

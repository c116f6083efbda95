"""The whole flow with the SDK, through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import snpe_tools.dlc as dlc_format
from snpe_tools.toolchains.sdk.environment import VARIABLES
from tests.sdk_double.install import VERSIONS, install

V231 = VERSIONS["QAIRT 2.3x"]


@pytest.fixture(scope="module")
def root(new_root: Callable[[str], Path]) -> Path:
    return new_root("with sdk")


@pytest.fixture(scope="module")
def sdk_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("sdk"), V231)


def _tool(root: Path, sdk_root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    name, *rest = words
    environment = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    return subprocess.run(
        [sys.executable, "-m", "snpe_tools", name, "--model", "tiny", "--root", str(root), *rest,
         "--sdk-python", sys.executable],
        env={**environment, "SNPE_ROOT": str(sdk_root)}, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip


def _provenance(root: Path, name: str) -> Any:
    return json.loads((root / "Models" / "tiny" / f"{name}.provenance.json").read_text())


def test_build_and_score_with_the_sdk(root: Path, sdk_root: Path) -> None:
    built = _tool(root, sdk_root, "build", "--toolchain", "sdk", "--soc", "sm8550,sm8650", "--json")
    assert built.returncode == 0, built.stderr
    assert "82 applied, 0 changed, 0 ignored" in built.stderr
    assert built.stderr.count("WARNING_OP_VERSION_NOT_SUPPORTED") == 1, "condensed; the log has them all"
    known = _provenance(root, "tiny.w8a16.dlc")
    assert known["settings"]["toolchain"] == "QAIRT 2.31.0 (snpe tools)"
    assert [command[0] for command in known["notes"]["commands"]] == ["snpe-onnx-to-dlc", "snpe-dlc-quant"]
    assert "--override_params" in known["notes"]["commands"][1]
    assert known["notes"]["sdk"]["root"] == str(sdk_root)
    prepared = _provenance(root, "tiny.w8a16.sm8550+sm8650.dlc")
    command = prepared["notes"]["commands"][0]
    assert command[:1] + command[-4:] == [
        "snpe-dlc-graph-prepare", "--htp_socs", "sm8550,sm8650", "--set_output_tensors", "end_logits,start_logits"
    ]  # fmt: skip

    few = ["--max-drop", "100", "--questions", "6", "--json"]
    scored = _tool(root, sdk_root, "score", "--toolchain", "sdk", "--soc", "sm8550,sm8650", *few)
    assert scored.returncode == 0, scored.stderr
    document = json.loads(scored.stdout)
    assert document["toolchain"] == "QAIRT 2.31.0 (snpe tools)"
    stages = {stage["stage"]: stage for stage in document["stages"]}
    assert list(stages) == ["onnx-float", "onnx-qdq", "dlc-fp16@host", "dlc-w8a16@host"]
    assert stages["dlc-w8a16@host"]["sqnr_db"] > 20
    assert _provenance(root, "tiny.fp16.dlc")["notes"]["commands"][0][0] == "snpe-onnx-to-dlc"


def test_another_toolchain_or_version_makes_the_dlc_again(root: Path, sdk_root: Path, tmp_path: Path) -> None:
    def stale(sdk: Path, *words: str) -> list[str]:
        shown = _tool(root, sdk, "build", "--json", *words)
        assert shown.returncode == 0, shown.stderr
        return [item["step"] for item in json.loads(shown.stdout)["artefacts"] if not item["fresh"]]

    assert stale(sdk_root) in ([], ["prepare"]), "picked by itself"
    assert stale(sdk_root) == []
    assert stale(sdk_root, "--sdk-tools", "qairt") == ["convert", "prepare"]
    assert stale(install(tmp_path, VERSIONS["QAIRT 2.4x"]), "--sdk-tools", "qairt") == ["convert", "prepare"]
    assert stale(sdk_root, "--toolchain", "pypi") == ["convert", "prepare"]
    assert stale(sdk_root, "--quantizer", "sdk", "--method", "mse")[-2:] == ["convert", "prepare"]
    assert "enhanced" in _provenance(root, "tiny.w8a16.dlc")["notes"]["commands"][1]


def test_a_dry_run_calls_nothing_and_its_script_does_the_same(root: Path, sdk_root: Path) -> None:
    shown = _tool(root, sdk_root, "build", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    place = root / "Models" / "tiny" / "tiny.w8a16.sdk"
    assert shown.stdout == (place / "commands.sh").read_text()
    assert not list(place.glob("*.dlc"))
    assert "#   --override_params" in shown.stdout
    pasted = subprocess.run(["sh"], input=shown.stdout, text=True, capture_output=True, timeout=300, check=False)
    assert pasted.returncode == 0, pasted.stderr
    with dlc_format.open(place / "tiny.w8a16.sm8650.dlc") as dlc:
        assert dlc.is_quantized
        assert [cache.soc for cache in dlc.caches] == ["sm8650"]
    built = _tool(root, sdk_root, "build", "--json")
    assert built.returncode == 0, built.stderr
    ours = [*_provenance(root, "tiny.w8a16.dlc")["notes"]["commands"],
            *_provenance(root, "tiny.w8a16.sm8650.dlc")["notes"]["commands"]]  # fmt: skip
    again = _tool(root, sdk_root, "build", "--dry-run", "--json")
    assert json.loads(again.stdout)["commands"] == ours


def test_a_dry_run_without_the_sdk_is_refused(root: Path, sdk_root: Path) -> None:
    shown = _tool(root, sdk_root, "build", "--dry-run", "--toolchain", "pypi")
    assert shown.returncode == 2
    assert "TOOLCHAIN=sdk" in shown.stderr


def test_a_failing_tool_is_a_message_with_cause_and_fix(root: Path, tmp_path: Path) -> None:
    lying = install(tmp_path, V231, "old-onnx")
    shown = _tool(root, lying, "build", "--precision", "w8a8")
    assert shown.returncode == 4
    assert "It means: the onnx package of the SDK's Python" in shown.stderr
    assert "→ Install onnx 1.16.1" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_steps_take_the_toolchain_too(root: Path, sdk_root: Path, tmp_path: Path) -> None:
    assert _tool(root, sdk_root, "build").returncode == 0
    models, raws = root / "Models" / "tiny", root / "raw_inputs" / "tiny" / "calibration" / "list.txt"
    environment = {**os.environ, "SNPE_ROOT": str(sdk_root)}
    common = ["--toolchain", "sdk", "--sdk-python", sys.executable, "--json"]
    calls = [
        ["convert", str(models / "tiny.onnx"), "-o", str(tmp_path / "c.dlc"), "-i", str(raws), "-e",
         str(models / "tiny.w8a16.legacy.encodings")],
        ["prepare", str(tmp_path / "c.dlc"), "-o", str(tmp_path / "p.dlc")],
    ]  # fmt: skip
    for words in calls:
        shown = subprocess.run(
            [sys.executable, "-m", "snpe_tools", *words, *common],
            env=environment, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        assert shown.returncode == 0, shown.stderr
        assert json.loads(shown.stdout)["notes"]["commands"]

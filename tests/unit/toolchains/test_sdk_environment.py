"""Finding the SDK, its version and its Python; the environment of its tools; what their failures mean."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from snpe_tools.core.errors import SetupError, UsageError
from snpe_tools.core.process import Finished
from snpe_tools.core.progress import LOGGER
from snpe_tools.project.recipe import Recipe
from snpe_tools.steps.build import choose_for
from snpe_tools.toolchains.choosing import choose
from snpe_tools.toolchains.pypi import PyPI
from snpe_tools.toolchains.sdk import SdkTools
from snpe_tools.toolchains.sdk.doctor import examine, missing_libraries
from snpe_tools.toolchains.sdk.environment import VARIABLES, find_python, find_sdk, find_version
from snpe_tools.toolchains.sdk.errors import explain
from snpe_tools.toolchains.sdk.run import Condenser, failure
from snpe_tools.toolchains.sdk.versions import Version, dialect_of
from tests.sdk_double.install import VERSIONS, install

V231 = VERSIONS["QAIRT 2.3x"]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(LOGGER, "handle", lambda record: lines.append(record.getMessage()))
    return lines


@pytest.fixture(autouse=True)
def _no_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_the_sdk_is_picked_by_itself_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    assert isinstance(choose(), PyPI)
    assert said == []
    for name in VARIABLES:
        monkeypatch.setenv(name, str(install(tmp_path / name, V231)))
        chosen = choose(sdk_python=sys.executable)
        assert isinstance(chosen, SdkTools)
        assert chosen.label == "QAIRT 2.31.0 (snpe tools)"
        assert f"{name} is set" in said[-1]
        assert "TOOLCHAIN=pypi" in said[-1]
        assert isinstance(choose("pypi"), PyPI)
        monkeypatch.delenv(name)


def test_a_broken_sdk_is_never_passed_over_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNPE_ROOT", str(tmp_path / "gone"))
    with pytest.raises(SetupError, match="is not an SDK"):
        choose()
    monkeypatch.delenv("SNPE_ROOT")
    with pytest.raises(SetupError, match="none of SNPE_ROOT"):
        choose("sdk")
    with pytest.raises(UsageError, match="Unknown toolchain"):
        choose("snpe")


def test_the_sdks_quantizer_needs_the_sdk() -> None:
    with pytest.raises(UsageError, match="needs the SDK"):
        choose_for(Recipe(name="m", checkpoint="x", toolchain="pypi", quantizer="sdk"))


def test_the_sdks_quantizer_has_no_mixed_precision() -> None:
    with pytest.raises(UsageError, match="one width for all activations"):
        choose_for(Recipe(name="m", checkpoint="x", toolchain="sdk", quantizer="sdk", precision="w8a8-mixed"))


def test_variables_that_disagree_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    monkeypatch.setenv("SNPE_ROOT", str(install(tmp_path / "a", V231)))
    monkeypatch.setenv("QNN_SDK_ROOT", str(install(tmp_path / "b", VERSIONS["QAIRT 2.4x"])))
    assert find_sdk(sys.executable).version.minor == 31
    assert "name different SDKs; SNPE_ROOT is used" in said[0]


def test_the_version_comes_from_yaml_or_a_tool_or_the_folder(tmp_path: Path) -> None:
    assert [str(part) for part in find_version(install(tmp_path / "a", V231))] == ["2.31.0", "sdk.yaml"]
    old = install(tmp_path / "b", VERSIONS["SNPE 2.17"], yaml=False)
    assert [str(part) for part in find_version(old)] == [VERSIONS["SNPE 2.17"], "snpe-dlc-quant --version"]
    for tool in ("snpe-dlc-quant", "snpe-net-run"):
        (old / "bin" / "x86_64-linux-clang" / tool).unlink()
    assert find_version(old)[1] == "folder name"
    nameless = old.rename(tmp_path / "sdk")
    with pytest.raises(SetupError, match="is not known"):
        find_version(nameless)


def test_the_environment_is_that_of_envsetup_and_the_childs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = install(tmp_path, V231)
    monkeypatch.setenv("SNPE_ROOT", str(root))
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    before = dict(os.environ)
    sdk = find_sdk(sys.executable)
    made = sdk.environment
    assert made["PATH"] == f"{root}/bin/x86_64-linux-clang{os.pathsep}{before['PATH']}", "prepended, not replaced"
    assert made["LD_LIBRARY_PATH"] == f"{root}/lib/x86_64-linux-clang", "no empty part: that is the working folder"
    assert made["PYTHONPATH"] == f"{root}/lib/python"
    assert {made[name] for name in VARIABLES} == {str(root)}
    assert dict(os.environ) == before


def test_scripts_run_with_the_sdks_python_and_programs_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = install(tmp_path, V231)
    monkeypatch.setenv("SNPE_ROOT", str(root))
    sdk = find_sdk(sys.executable)
    tools = root / "bin" / "x86_64-linux-clang"
    assert sdk.launcher("snpe-onnx-to-dlc") == [Path(sys.executable), tools / "snpe-onnx-to-dlc"]
    assert sdk.launcher("snpe-dlc-quant") == [tools / "snpe-dlc-quant"]
    assert sdk.launcher("snpe-dlc-quantize") == [tools / "snpe-dlc-quantize"]
    with pytest.raises(SetupError, match="has no bin/x86_64-linux-clang/snpe-none"):
        sdk.launcher("snpe-none")


def test_qairt_tools_are_refused_where_the_sdk_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNPE_ROOT", str(install(tmp_path, VERSIONS["SNPE 2.17"])))
    with pytest.raises(SetupError, match="has no qairt-converter"):
        find_sdk(sys.executable, "qairt")


def _python(folder: Path, name: str, answer: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{answer}\n")
    file.chmod(0o755)


def test_a_python_of_the_right_version_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    """Not by its name alone: pyenv has names on PATH with no Python behind them."""
    version = Version.find(V231)
    assert version
    dialect = dialect_of(version)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    _python(tmp_path, "python3.10", "echo 'python3.10: command not found' >&2; exit 127")
    _python(tmp_path, "python3.8", "echo python 3.8")
    assert find_python(dialect, version) == tmp_path / "python3.8"
    _python(tmp_path, "python3.8", "exit 1")
    with pytest.raises(SetupError, match=r"need Python 3\.10 or 3\.8"):
        find_python(dialect, version)
    _python(tmp_path, "other", "echo python 3.12")
    assert find_python(dialect, version, str(tmp_path / "other")) == tmp_path / "other"
    assert "is Python 3.12" in said[0]
    with pytest.raises(SetupError, match="does not run"):
        find_python(dialect, version, str(tmp_path / "none"))


def test_the_doctor_names_what_the_sdk_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(examine()) == []
    monkeypatch.setenv("SNPE_ROOT", str(install(tmp_path, V231)))
    found = {one.name: one for one in examine(sys.executable)}
    assert found["SDK"].found.startswith("QAIRT 2.31.0 (sdk.yaml) in ")
    assert list(found) == ["SDK", "SDK libraries", "SDK Python"]
    assert found["SDK libraries"].advice == ""
    assert sys.executable in found["SDK Python"].found
    monkeypatch.setenv("SNPE_ROOT", str(tmp_path / "gone"))
    assert [(one.name, bool(one.advice)) for one in examine()] == [("SDK", True)]


def test_missing_libraries_are_read_from_ldd() -> None:
    said = (
        "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc++.so.1 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x7f)\n"
        "x: /lib/libc.so.6: version `GLIBC_2.35' not found (required by x)\n\tlibc++.so.1 => not found\n"
    )
    assert missing_libraries(said) == ["GLIBC_2.35", "libc++.so.1"]


@pytest.mark.parametrize(
    ("line", "cause", "fix"),
    [
        ("Dynamic input batch_size not supported. Use --input_dim", "not fixed", "simplify"),
        ("ERROR - Negative/placeholder dimensions is not supported", "not fixed", "simplify"),
        ("Missing command line inputs for dynamic inputs ['x']", "not fixed", "simplify"),
        ("Module 'qti.aisw.converters' has no attribute 'onnx'", "do not fit", "--sdk-python"),
        ("'NoneType' object has no attribute 'AttributeProto'", "onnx package", "1.16.1"),
        ("ModuleNotFoundError: No module named 'yaml'", "lacks a package", "docs/sdk.md"),
        ("snpe-onnx-to-dlc: error: unrecognized arguments: --keep_int64_inputs", "does not know a flag", "Report"),
        ("error_code=311; error_message=Dlc container is bad. Incomplete DLC is missing mandatory record: model",
         "generation", "Convert"),
        ("error_code=7005; QnnGraph_addNode() failed", "operation", "another precision"),
        ("error_code=15001 QnnBackend_DeviceCreate INVALID_CONFIG", "do not know the SoC", "newer SDK"),
        ("error_code=1002 No backend could validate Op=/Mul Type=Eltwise_Binary", "no backend", "Prepare again"),
        ("No cache record matches HTP_V68_SM7325_2MB", "no cache", "--soc"),
        ("Failed to load skel, error: 1002", "ADSP_LIBRARY_PATH", "semicolons"),
        ("Stub lib id mismatch: expected (a), detected (b)", "different SDK versions", "one SDK"),
        ("DspTransport.openSession qnn_open failed 0x80000416", "refuses", "adb root"),
        ("No Snapdragon SOC detected", "wants the device", "device"),
        ("Graph contains 61 inputs, but only found input data for 60 inputs from user", "does not name", "every input"),
        ("Input datatype 0x508 not supported", "Bool", "int32"),
        ("/lib/libc.so.6: version `GLIBC_2.35' not found", "C library", "22.04"),
        ("x: error while loading shared libraries: libc++.so.1: cannot open", "system library", "doctor"),
        ("floating-point type not supported by targeted device", "no float maths", "w8a16"),
        ("[ERROR] Failed to generate QNN HTP graph cache", "compiler failed", "log"),
        ("INFO - Skipping quantization, no input_list provided", "left the model float", "Report"),
    ],
)  # fmt: skip
def test_known_failures_have_a_cause_and_a_fix(line: str, cause: str, fix: str) -> None:
    found = explain(f"some line\n{line}\nanother")
    assert cause in found[0].cause
    assert fix in found[0].fix
    assert found[0].line == line.strip()


def test_an_unknown_failure_keeps_the_tools_own_words() -> None:
    problem = failure("tool ended.", "one\n[ERROR] the moon is full\ntwo\n", Path("x.log"))
    assert "[ERROR] the moon is full" in problem.message
    assert problem.hint == "Everything it said: x.log"
    assert "two" in failure("tool ended.", "one\ntwo\n", Path("x.log")).message


def test_each_kind_of_warning_is_said_once(said: list[str]) -> None:
    condenser = Condenser()
    for index in range(40):
        condenser.take(f"2026-01-01 - 240 - WARNING - node {index} 'n{index}' in /a/b{index} is odd")
        condenser.take(f"2026-01-01 - 235 - INFO - step {index}")
    assert len(said) == 1
    assert condenser.hidden == 39


def test_signals_are_named_whoever_reports_them() -> None:
    assert Finished("", -11, "").ending == "killed by SIGSEGV"
    assert Finished("", 139, "").ending == "killed by SIGSEGV"
    assert Finished("", 137, "").ending == "killed by SIGKILL"
    assert Finished("", 2, "").ending == "exit status 2"

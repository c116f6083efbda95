"""The SDK's tools driven and checked: every version of the double, every lie it can tell, and the real SDK if any.

The double's DLC files are made by the PyPI toolchain, so what is checked, prepared and scored is real.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import snpe_tools.dlc as dlc_format
from snpe_tools import convert, prepare, quantize
from snpe_tools.errors import ConversionError, SnpeToolsError, TensorError, UsageError
from snpe_tools.graph.loading import input_specs, load
from snpe_tools.inspection.aimet import load_encodings
from snpe_tools.inspection.audit import audit
from snpe_tools.precision import Precision
from snpe_tools.quantization.plan import Plan
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.socs import parse_socs
from snpe_tools.stages.compare import compare
from snpe_tools.tensors import write_inputs
from snpe_tools.toolchains import Quantization
from snpe_tools.toolchains.choosing import choose
from snpe_tools.toolchains.sdk import SdkTools
from snpe_tools.toolchains.sdk_environment import VARIABLES
from snpe_tools.toolchains.sdk_versions import Family
from tests.conftest import REAL_SDK
from tests.integration.conftest import SEQUENCE, Tiny
from tests.sdk_double.install import VERSIONS, install

W8A16, MIXED = Precision.parse("w8a16"), Precision.parse("w8a8-mixed")
REAL = "real SDK"
V231 = VERSIONS["QAIRT 2.3x"]
Sdks = Callable[..., SdkTools]


@pytest.fixture
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sdks:
    """The toolchain of an SDK: a version of the double with a lie, or the real one."""

    def make(version: str = "QAIRT 2.3x", family: Family = "snpe", lie: str = "", **more: Any) -> SdkTools:
        if version == REAL:
            for name, place in REAL_SDK.items():
                monkeypatch.setenv(name, place)
            made = choose("sdk", sdk_tools=family, sdk_python=os.environ.get("SDK_PYTHON", ""))
        else:
            monkeypatch.setenv("SNPE_ROOT", str(install(tmp_path / "sdk", VERSIONS[version], lie, **more)))
            made = choose("sdk", sdk_tools=family, sdk_python=sys.executable)
        assert isinstance(made, SdkTools)
        return made

    return make


@pytest.fixture(scope="module")
def model(exported: Callable[[str], Path]) -> Path:
    return exported("bert")


@pytest.fixture(scope="module")
def encodings(tmp_path_factory: pytest.TempPathFactory, model: Path, tiny: Callable[[str, str], Tiny]) -> Path:
    """Ours, in the format that every SDK reads: with ranges of 90 percent, which no tool would find by itself."""
    options = QuantizationOptions(W8A16, "percentile", percentile=90)
    target = tmp_path_factory.mktemp("encodings") / "m.qdq.onnx"
    return quantize(model, tiny("bert", "w8a16").listed, target, options).legacy_encodings


@pytest.fixture(scope="module")
def asked(encodings: Path, tiny: Callable[[str, str], Tiny]) -> Quantization:
    return Quantization(QuantizationOptions(W8A16), tiny("bert", "w8a16").listed, encodings)


ALL = [(version, "snpe") for version in VERSIONS] + [(version, "qairt") for version in list(VERSIONS)[2:]]
real = pytest.param(REAL, "snpe", marks=pytest.mark.skipif(not REAL_SDK, reason="no real SDK: SNPE_ROOT is not set"))


@pytest.mark.parametrize(("version", "family"), [*ALL, real])
def test_every_version_makes_a_quantized_dlc_with_our_encodings(
    version: str, family: Family, sdk: Sdks, model: Path, asked: Quantization, encodings: Path, tmp_path: Path
) -> None:
    toolchain = sdk(version, family)
    made = convert(model, tmp_path / "out" / "m.w8a16.dlc", name="m", toolchain=toolchain, quantization=asked)
    with dlc_format.open(made.dlc) as dlc:
        assert dlc.is_quantized
        counts = audit(dlc, load_encodings(encodings)).counts()
    assert made.notes["encodings"]["applied"] == counts["applied"] > 50
    if version != REAL:
        assert (counts["changed"], counts["ignored"]) == (0, 0)
    assert [command[0] for command in made.notes["commands"]] == (
        ["qairt-converter", "qairt-quantizer"] if family == "qairt" else ["snpe-onnx-to-dlc", "snpe-dlc-quant"]
    )
    log = (tmp_path / "out" / "m.w8a16.dlc.log").read_text()
    assert log.count("$ ") == 2
    assert "INFO_CONVERSION_SUCCESS" in log
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "m.w8a16.dlc", "m.w8a16.dlc.log", "m.w8a16.dlc.provenance.json"
    ]  # fmt: skip


@pytest.mark.parametrize("version", [*list(VERSIONS)[::2], real.values[0]])
def test_every_soc_gets_its_cache_with_the_outputs_of_the_model(
    version: str, sdk: Sdks, tiny: Callable[[str, str], Tiny], tmp_path: Path
) -> None:
    if version == REAL and not REAL_SDK:
        pytest.skip("no real SDK: SNPE_ROOT is not set")
    source = tiny("bert", "w8a16").dlc
    made = prepare(source, tmp_path / "p.dlc", parse_socs("sm8550,sm8650"), toolchain=sdk(version))
    assert set(made.caches) == {"sm8550", "sm8650"}
    command = made.notes["commands"][0]
    assert command[command.index("--set_output_tensors") + 1] == "end_logits,start_logits"
    assert "--input_list" not in command
    found = compare(source, made.dlc, tiny("bert", "w8a16").listed)
    assert {item.equal for item in found} == {100.0}


def test_a_float_dlc_stays_float_and_runs(
    sdk: Sdks, model: Path, tiny: Callable[[str, str], Tiny], tmp_path: Path
) -> None:
    made = convert(model, tmp_path / "m.fp16.dlc", toolchain=sdk())
    assert len(made.notes["commands"]) == 1
    assert (compare(model, made.dlc, tiny("bert", "w8a16").listed)[0].sqnr_db or 0) > 40


@pytest.mark.parametrize("family", ["snpe", "qairt"])
def test_the_sdks_own_calibration(
    family: Family, sdk: Sdks, model: Path, tiny: Callable[[str, str], Tiny], tmp_path: Path
) -> None:
    listed = tiny("bert", "w8a16").listed
    own = Quantization(QuantizationOptions(W8A16), listed)
    made = convert(model, tmp_path / "m.dlc", toolchain=sdk(family=family), quantization=own)
    assert made.notes["encodings"] == {}
    assert made.notes["activation_bits"]["16"] > 50
    assert (compare(model, made.dlc, listed)[0].sqnr_db or 0) > 20


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, model: Path, tiny: Callable[[str, str], Tiny]) -> Quantization:
    """Softmax and what is added before it in 16 bits: well under half of all activations."""
    listed, target = tiny("bert", "w8a16").listed, tmp_path_factory.mktemp("mixed") / "m.qdq.onnx"
    made = quantize(model, listed, target, QuantizationOptions(MIXED, plan=Plan(wide=("Add>Softmax", "Softmax"))))
    return Quantization(QuantizationOptions(MIXED), listed, made.legacy_encodings)


@pytest.mark.parametrize("family", ["snpe", "qairt"])
def test_a_mixed_dlc_has_both_widths(
    family: Family, sdk: Sdks, model: Path, mixed: Quantization, tmp_path: Path
) -> None:
    made = convert(model, tmp_path / "m.dlc", name="m", toolchain=sdk(family=family), quantization=mixed)
    bits = made.notes["activation_bits"]
    assert bits["8"] > bits["16"] > 0


def test_a_mixed_dlc_of_one_width_does_not_pass(sdk: Sdks, model: Path, mixed: Quantization, tmp_path: Path) -> None:
    lying = sdk(lie="wrong-bits")
    with pytest.raises(ConversionError, match="activations have one width, 8 bits; w8a8-mixed was asked for"):
        convert(model, tmp_path / "m.dlc", name="m", toolchain=lying, quantization=mixed)


@pytest.mark.parametrize(
    ("lie", "family", "words"),
    [
        ("no-file", "snpe", r"snpe-onnx-to-dlc reported success, and wrote no m\.w8a16\.float\.dlc"),
        ("no-file", "qairt", r"qairt-converter reported success, and wrote no m\.w8a16\.float\.dlc"),
        ("empty-file", "snpe", "wrote an empty"),
        ("cut-file", "snpe", "no readable DLC"),
        ("lost-output", "snpe", "with the outputs"),
        ("segfault", "snpe", r"SIGSEGV\) while it ran the calibration inputs|killed by SIGSEGV while it ran"),
        ("float-int8", "snpe", "the DLC is float: nothing was quantized, whatever its name says"),
        ("float-int8", "qairt", "the DLC is float: nothing was quantized, whatever its name says"),
        ("wrong-bits", "snpe", "activations have 8 bits; w8a16 was asked for"),
        ("ignored-encodings", "snpe", "did not apply the encodings it was given"),
        ("ignored-encodings", "qairt", "did not apply the encodings it was given"),
        ("old-onnx", "snpe", "the onnx package of the SDK's Python is outside the range"),
    ],
)
def test_no_lie_of_converter_or_quantizer_passes(
    lie: str, family: Family, words: str, sdk: Sdks, model: Path, asked: Quantization, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "m.w8a16.dlc"
    with pytest.raises(ConversionError, match=words) as caught:
        convert(model, target, name="m", toolchain=sdk(family=family, lie=lie), quantization=asked)
    assert "log" in caught.value.hint
    assert [file.name for file in target.parent.iterdir()] == ["m.w8a16.dlc.log"], "the tool's words, and no DLC"


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ("half-socs", r"no cache for sm8650; it has sm8550\.\n.*SM8550 :  Success\n.*SM8650 :  Failed"),
        ("half-socs-success", r"no cache for sm8650; it has sm8550\."),
        ("no-caches", r"no cache for sm8550, sm8650; it has none at all\."),
    ],
)
def test_no_lie_of_graph_prepare_passes(
    lie: str, words: str, sdk: Sdks, tiny: Callable[[str, str], Tiny], tmp_path: Path
) -> None:
    target = tmp_path / "out" / "p.dlc"
    with pytest.raises(ConversionError, match=words):
        prepare(tiny("bert", "w8a16").dlc, target, parse_socs("sm8550,sm8650"), toolchain=sdk("QAIRT 2.4x", lie=lie))
    assert [file.name for file in target.parent.iterdir()] == ["p.dlc.log"]


def test_the_published_recipe_does_not_quantize(sdk: Sdks, model: Path, tmp_path: Path) -> None:
    """graph-prepare takes an input list, even one whose files are missing, ends with 0, and leaves the model float."""
    tools = sdk("SNPE 2.17").sdk
    made = convert(model, tmp_path / "mobile_bert.dlc", toolchain=SdkTools(tools))
    (tmp_path / "tf_raw_list.txt").write_text("input_ids:=none.raw attention_mask:=none.raw token_type_ids:=none.raw\n")
    words = ["--input_dlc", "mobile_bert.dlc", "--input_list", "tf_raw_list.txt", "--output_dlc", "mobile_bert_int.dlc"]
    done = subprocess.run(
        [*tools.launcher("snpe-dlc-graph-prepare"), *words],
        cwd=tmp_path, env={**os.environ, **tools.environment}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, "Success" in done.stderr) == (0, True)
    with dlc_format.open(tmp_path / "mobile_bert_int.dlc") as published, dlc_format.open(made.dlc) as before:
        assert not published.is_quantized
        assert published.graph.tensors.keys() == before.graph.tensors.keys()
        assert [cache.soc for cache in published.caches] == ["sm8550"], "that version's default, whatever the phone is"


def test_blanks_in_folders_and_headers_in_lists(sdk: Sdks, model: Path, asked: Quantization, tmp_path: Path) -> None:
    """A list cannot quote, its paths count from the working folder, and a header would limit the calibration."""
    place = tmp_path / "my raws"
    shutil.copytree(asked.input_list.parent, place)
    listed = place / "list.txt"
    listed.write_text(f"#start_logits\n%start_logits end_logits\n{asked.input_list.read_text()}")
    again = Quantization(asked.options, listed, asked.encodings)
    made = convert(model, tmp_path / "a b" / "m m.dlc", toolchain=sdk(), quantization=again)
    assert made.notes["encodings"]["applied"] > 50


def test_raws_of_another_size_are_found_before_any_tool_runs(
    sdk: Sdks, model: Path, asked: Quantization, tmp_path: Path
) -> None:
    """int64 raws are twice the size: a real quantizer takes them for a batch of denormals."""
    folder = tmp_path / "raws"
    shutil.copytree(asked.input_list.parent, folder)
    first = next((folder / "input_ids").iterdir())
    first.write_bytes(np.zeros(SEQUENCE, np.int64).tobytes())
    wrong = Quantization(asked.options, folder / "list.txt", asked.encodings)
    with pytest.raises(TensorError, match="needs 192"):
        convert(model, tmp_path / "m.dlc", toolchain=sdk(), quantization=wrong)
    assert not (tmp_path / "m.dlc.log").exists()


def test_a_quantized_model_is_not_quantized_again(
    sdk: Sdks, asked: Quantization, tiny: Callable[[str, str], Tiny], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="already quantized"):
        convert(tiny("bert", "w8a16").source, tmp_path / "m.dlc", toolchain=sdk(), quantization=asked)
    with pytest.raises(UsageError, match="quantizes nothing itself"):
        convert(tiny("bert", "w8a16").source, tmp_path / "m.dlc", quantization=asked)


def test_encodings_reach_the_tools_in_the_format_that_all_of_them_read(
    sdk: Sdks, model: Path, asked: Quantization, encodings: Path, tmp_path: Path
) -> None:
    """The double reads 0.6.1 alone, and fails on 1.0.0."""
    newer = encodings.with_name("m.encodings")
    assert json.loads(newer.read_text())["version"] == "1.0.0"
    again = Quantization(asked.options, asked.input_list, newer)
    made = convert(model, tmp_path / "m.float.dlc", name="m", toolchain=sdk(), quantization=again)
    assert (made.notes["encodings"]["applied"], made.notes["encodings"]["changed"]) == (79, 0)


def test_the_wrapper_of_older_sdks_works_as_well(sdk: Sdks, model: Path, asked: Quantization, tmp_path: Path) -> None:
    toolchain = sdk("SNPE 2.10", wrapper_only=True, yaml=False)
    assert toolchain.sdk.version_from == "snpe-net-run --version"
    made = convert(model, tmp_path / "m.dlc", toolchain=toolchain, quantization=asked)
    assert made.notes["commands"][1][0] == "snpe-dlc-quantize"


def test_a_flag_that_a_version_does_not_know_is_explained(
    sdk: Sdks, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snpe_tools.toolchains import sdk_commands
    from snpe_tools.toolchains.sdk_commands import Option

    unknown = Option("--keep_int64_inputs", (), "of another tool")
    monkeypatch.setattr(sdk_commands, "_layout", lambda _: [unknown])
    with pytest.raises(SnpeToolsError, match=r"does not know a flag(.|\n)*unrecognized arguments: --keep_int64_inputs"):
        convert(model, tmp_path / "m.dlc", toolchain=sdk())


# The whole flow through the command line.


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, checkpoint: Callable[[str], Path]) -> Path:
    folder = tmp_path_factory.mktemp("with sdk")
    (folder / "Models" / "tiny").mkdir(parents=True)
    recipe = f'checkpoint = "{checkpoint("bert")}"\nsequence_length = {SEQUENCE}\ncalibration_windows = 8\n'
    (folder / "Models" / "tiny" / "recipe.toml").write_text(recipe)
    return folder


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
    assert "79 applied, 0 changed, 0 ignored" in built.stderr
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


def test_write_inputs_is_what_the_tools_read(model: Path, tmp_path: Path) -> None:
    """float32 for token ids too: the size that both our check and the double's quantizer ask for."""
    specs = input_specs(load(model))
    arrays = {spec.name: np.ones((1, *spec.shape), np.int32) for spec in specs}
    listed = write_inputs(tmp_path / "raws", arrays, specs)
    assert np.fromfile(listed.parent / "input_ids" / "0.raw", np.float32).tolist() == [1.0] * SEQUENCE

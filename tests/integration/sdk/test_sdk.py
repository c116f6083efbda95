"""The SDK's tools driven: every version of the double, and the real SDK if any.

The double's DLC files are made by the PyPI toolchain, so what is checked, prepared and scored is real.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import snpe_tools.dlc as dlc_format
from snpe_tools import convert, prepare
from snpe_tools.core.raw_files import write_inputs
from snpe_tools.core.soc_names import parse_socs
from snpe_tools.graph.loading import input_specs, load
from snpe_tools.inspection.aimet import load_encodings
from snpe_tools.inspection.audit import audit
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.steps.compare import compare
from snpe_tools.toolchains import Quantization
from snpe_tools.toolchains.sdk.versions import Family
from tests.conftest import REAL_SDK
from tests.integration.conftest import SEQUENCE, Tiny
from tests.integration.sdk.conftest import REAL, W8A16, Sdks
from tests.sdk_double.install import VERSIONS

ALL = [(version, "snpe") for version in VERSIONS] + [(version, "qairt") for version in list(VERSIONS)[2:]]

real = pytest.param(REAL, "snpe", marks=pytest.mark.skipif(not REAL_SDK, reason="no real SDK: SNPE_ROOT is not set"))


@pytest.mark.parametrize(("version", "family"), [*ALL, real])
def test_every_version_makes_a_quantized_dlc_with_our_encodings(
    version: str, family: Family, sdk: Sdks, model: Path, asked: Quantization, encodings: Path, tmp_path: Path
) -> None:
    toolchain = sdk(version, family)
    made = convert(
        model, tmp_path / "out" / "m.w8a16.dlc", name="m", toolchain=toolchain, quantization=asked, check=False
    )
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


@pytest.mark.parametrize("family", ["snpe", "qairt"])
def test_a_mixed_dlc_has_both_widths(
    family: Family, sdk: Sdks, model: Path, mixed: Quantization, tmp_path: Path
) -> None:
    made = convert(model, tmp_path / "m.dlc", name="m", toolchain=sdk(family=family), quantization=mixed)
    bits = made.notes["activation_bits"]
    assert bits["8"] > bits["16"] > 0


def test_blanks_in_folders_and_headers_in_lists(sdk: Sdks, model: Path, asked: Quantization, tmp_path: Path) -> None:
    """A list cannot quote, its paths count from the working folder, and a header would limit the calibration."""
    place = tmp_path / "my raws"
    shutil.copytree(asked.input_list.parent, place)
    listed = place / "list.txt"
    listed.write_text(f"#start_logits\n%start_logits end_logits\n{asked.input_list.read_text()}")
    again = Quantization(asked.options, listed, asked.encodings)
    made = convert(model, tmp_path / "a b" / "m m.dlc", toolchain=sdk(), quantization=again, check=False)
    assert made.notes["encodings"]["applied"] > 50


def test_encodings_reach_the_tools_in_the_format_that_all_of_them_read(
    sdk: Sdks, model: Path, asked: Quantization, encodings: Path, tmp_path: Path
) -> None:
    """The double reads 0.6.1 alone, and fails on 1.0.0."""
    newer = encodings.with_name("m.encodings")
    assert json.loads(newer.read_text())["version"] == "1.0.0"
    again = Quantization(asked.options, asked.input_list, newer)
    made = convert(model, tmp_path / "m.float.dlc", name="m", toolchain=sdk(), quantization=again, check=False)
    assert (made.notes["encodings"]["applied"], made.notes["encodings"]["changed"]) == (82, 0)


def test_the_wrapper_of_older_sdks_works_as_well(sdk: Sdks, model: Path, asked: Quantization, tmp_path: Path) -> None:
    toolchain = sdk("SNPE 2.10", wrapper_only=True, yaml=False)
    assert toolchain.sdk.version_from == "snpe-net-run --version"
    made = convert(model, tmp_path / "m.dlc", toolchain=toolchain, quantization=asked, check=False)
    assert made.notes["commands"][1][0] == "snpe-dlc-quantize"


def test_write_inputs_is_what_the_tools_read(model: Path, tmp_path: Path) -> None:
    """float32 for token ids too: the size that both our check and the double's quantizer ask for."""
    specs = input_specs(load(model))
    arrays = {spec.name: np.ones((1, *spec.shape), np.int32) for spec in specs}
    listed = write_inputs(tmp_path / "raws", arrays, specs)
    assert np.fromfile(listed.parent / "input_ids" / "0.raw", np.float32).tolist() == [1.0] * SEQUENCE

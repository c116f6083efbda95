"""The argument vectors of the SDK's tools, by version and family: the contract of the command lines."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from snpe_tools.core.dtypes import BY_CODE, FLOAT_32
from snpe_tools.core.errors import SetupError, UsageError
from snpe_tools.core.precision import Precision
from snpe_tools.core.soc_names import parse_socs
from snpe_tools.core.socs import DEFAULT
from snpe_tools.core.tensor_spec import TensorSpec
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.toolchains import Conversion, Quantization
from snpe_tools.toolchains.sdk.commands import Command, conversion_commands, environment_script, preparation_command
from snpe_tools.toolchains.sdk.environment import Sdk
from snpe_tools.toolchains.sdk.versions import Family, Version, dialect_of, parse_family
from tests.sdk_double import arguments as double
from tests.sdk_double.install import VERSIONS, install

INT32 = BY_CODE[0x32]
NAMES = ("input_ids", "attention_mask", "token_type_ids")
OLD, NEW = ("SNPE 2.10", "SNPE 2.17"), ("QAIRT 2.2x", "QAIRT 2.3x", "QAIRT 2.4x")


def _sdk(tmp_path: Path, name: str, family: Family, **more: Any) -> Sdk:
    root = install(tmp_path, VERSIONS[name], **more)
    version = Version.find(VERSIONS[name])
    assert version
    return Sdk(root, version, "test", Path("/usr/bin/python3"), family)


def _job(precision: str = "w8a16", *, encodings: bool = True, **options: Any) -> Conversion:
    bits = Precision.parse(precision)
    given = Path("legacy.encodings") if encodings else None
    asked = None if bits.is_float else Quantization(QuantizationOptions(bits, **options), Path("list.txt"), given)
    return Conversion(
        Path("work/bert.onnx"), Path("bert.onnx"), "bert",
        [TensorSpec(name, (1, 384), INT32) for name in NAMES],
        [TensorSpec(name, (1, 384), FLOAT_32) for name in ("start_logits", "end_logits")],
        DEFAULT, Path(f"Models/bert/bert.{precision}.dlc"), asked,
    )  # fmt: skip


SNPE_CONVERT = (
    "snpe-onnx-to-dlc --input_network bert.onnx --input_dim input_ids 1,384 --input_dim attention_mask 1,384 "
    "--input_dim token_type_ids 1,384 --out_node start_logits --out_node end_logits"
)
QAIRT_CONVERT = (
    "qairt-converter --input_network bert.onnx --source_model_input_shape input_ids 1,384 "
    "--source_model_input_shape attention_mask 1,384 --source_model_input_shape token_type_ids 1,384 "
    "--out_tensor_node start_logits --out_tensor_node end_logits"
)
FILES = "--input_dlc bert.w8a16.float.dlc --input_list calibration.txt"
BITS = "--weights_bitwidth 8 --act_bitwidth 16 --bias_bitwidth 32"


def _lines(sdk: Sdk, job: Conversion) -> list[str]:
    return [" ".join(command.arguments) for command in conversion_commands(sdk, job)]


@pytest.mark.parametrize("name", VERSIONS)
def test_our_encodings_are_stored_by_the_converter_and_applied_by_the_quantizer(name: str, tmp_path: Path) -> None:
    assert _lines(_sdk(tmp_path, name, "snpe"), _job()) == [
        f"{SNPE_CONVERT} --quantization_overrides bert.encodings --output_path bert.w8a16.float.dlc",
        f"snpe-dlc-quant {FILES} --output_dlc bert.w8a16.dlc {BITS} --override_params",
    ]


@pytest.mark.parametrize("name", NEW)
def test_the_qairt_family_applies_encodings_at_conversion(name: str, tmp_path: Path) -> None:
    stored = "--quantization_overrides bert.encodings"
    assert _lines(_sdk(tmp_path, name, "qairt"), _job()) == [
        f"{QAIRT_CONVERT} {stored} --float_bitwidth 32 --output_path bert.w8a16.float.dlc",
        f"qairt-quantizer {FILES} --output_dlc bert.w8a16.dlc {BITS}",
    ]


@pytest.mark.parametrize(
    ("name", "method", "flags"),
    [(name, "min-max", "--axis_quant") for name in OLD]
    + [(name, "mse", "--use_enhanced_quantizer --use_adjusted_weights_quantizer --axis_quant") for name in OLD]
    + [(name, "min-max", "--use_per_channel_quantization") for name in NEW]
    + [(name, "mse", "--act_quantizer enhanced --param_quantizer enhanced --use_per_channel_quantization")
       for name in NEW],
)  # fmt: skip
def test_the_sdks_own_calibration_in_the_spelling_of_its_version(
    name: str, method: str, flags: str, tmp_path: Path
) -> None:
    assert _lines(_sdk(tmp_path, name, "snpe"), _job(encodings=False, method=method)) == [
        f"{SNPE_CONVERT} --output_path bert.w8a16.float.dlc",
        f"snpe-dlc-quant {FILES} --output_dlc bert.w8a16.dlc {BITS} {flags}",
    ]


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize("method", ["min-max", "mse", "percentile"])
def test_the_qairt_quantizers_own_calibration(name: str, method: str, tmp_path: Path) -> None:
    share = "--percentile_calibration_value 99.9 " if method == "percentile" else ""
    quantizer = _lines(_sdk(tmp_path, name, "qairt"), _job(encodings=False, method=method, percentile=99.9))[1]
    assert quantizer == (
        f"qairt-quantizer {FILES} --output_dlc bert.w8a16.dlc {BITS} --act_quantizer_calibration {method} "
        f"--act_quantizer_schema asymmetric --param_quantizer_schema symmetric {share}--use_per_channel_quantization"
    )


@pytest.mark.parametrize("name", VERSIONS)
def test_a_float_model_is_converted_and_not_quantized(name: str, tmp_path: Path) -> None:
    assert _lines(_sdk(tmp_path, name, "snpe"), _job("fp16")) == [f"{SNPE_CONVERT} --output_path bert.fp16.dlc"]


@pytest.mark.parametrize("name", NEW)
def test_a_float_model_keeps_its_32_bits_in_the_qairt_family(name: str, tmp_path: Path) -> None:
    lines = _lines(_sdk(tmp_path, name, "qairt"), _job("fp16"))
    assert lines == [f"{QAIRT_CONVERT} --float_bitwidth 32 --output_path bert.fp16.dlc"]


def test_graph_prepare_never_gets_an_input_list() -> None:
    command = preparation_command("b.dlc", "b.two.dlc", parse_socs("sm8550,sm8650"), ["start_logits", "end_logits"])
    assert " ".join(command.arguments) == (
        "snpe-dlc-graph-prepare --input_dlc b.dlc --output_dlc b.two.dlc --htp_socs sm8550,sm8650 "
        "--set_output_tensors end_logits,start_logits"
    )
    assert command.output == "b.two.dlc"


@pytest.mark.parametrize("name", OLD)
@pytest.mark.parametrize("flag", ["--act_quantizer=enhanced", "--use_per_channel_quantization", "--enable_htp"])
def test_the_doubles_older_versions_refuse_what_they_do_not_have(
    name: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that the test below says something: its parsers are not the last version's with another name."""
    with pytest.raises(SystemExit) as ended:
        double.parse(double.snpe_dlc_quant(VERSIONS[name]), ["--input_dlc", "x", flag])
    assert ended.value.code == 1
    assert "Unknown option" in capsys.readouterr().err


@pytest.mark.parametrize("name", VERSIONS)
@pytest.mark.parametrize("encodings", [True, False])
@pytest.mark.parametrize("precision", ["w8a8", "w8a16", "w16a16", "fp16"])
@pytest.mark.parametrize("method", ["min-max", "mse"])
@pytest.mark.parametrize("family", ["snpe", "qairt"])
def test_every_command_parses_with_the_flags_of_its_version(
    name: str, encodings: bool, precision: str, method: str, family: Family, tmp_path: Path
) -> None:
    sdk = _sdk(tmp_path, name, family)
    if family not in sdk.dialect.families:
        assert not sdk.has("qairt-converter")
        return
    for command in conversion_commands(sdk, _job(precision, encodings=encodings, method=method)):
        parser = getattr(double, command.tool.replace("-", "_"))(VERSIONS[name])
        double.parse(parser, command.arguments[1:])
        flags = [word for word in command.arguments if word.startswith("-")]
        assert all(flag.startswith("--") for flag in flags), "a short name means something else in another tool"
        assert "--enable_htp" not in flags
        assert "--keep_int64_inputs" not in flags


def test_wide_weights_are_never_quantized_per_channel(tmp_path: Path) -> None:
    """It made results on devices much worse; the bits are as asked."""
    line = _lines(_sdk(tmp_path, "QAIRT 2.4x", "snpe"), _job("w16a16", encodings=False))[1]
    assert "--use_per_channel_quantization" not in line
    assert "--weights_bitwidth 16 --act_bitwidth 16 --bias_bitwidth 32" in line


def test_the_snpe_quantizer_has_no_percentile(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no percentile calibration"):
        _lines(_sdk(tmp_path, "SNPE 2.17", "snpe"), _job(encodings=False, method="percentile"))


def test_the_wrapper_quantizes_where_the_native_tool_is_missing(tmp_path: Path) -> None:
    sdk = _sdk(tmp_path, "SNPE 2.10", "snpe", wrapper_only=True)
    assert _lines(sdk, _job())[1].startswith("snpe-dlc-quantize --input_dlc")


def test_tensors_of_three_axes_keep_their_layout(tmp_path: Path) -> None:
    image = [TensorSpec("image", (1, 3, 8, 8), FLOAT_32)]
    job = Conversion(
        Path("c.onnx"), Path("c.onnx"), "c", image, [TensorSpec("y", (1, 2), FLOAT_32)], DEFAULT, Path("c.dlc")
    )
    assert "--preserve_io layout --output_path" in _lines(_sdk(tmp_path, "QAIRT 2.3x", "snpe"), job)[0]
    assert "--preserve_io" not in _lines(_sdk(tmp_path / "q", "QAIRT 2.3x", "qairt"), job)[0]


def test_a_pasted_command_is_the_command(tmp_path: Path) -> None:
    """Every word survives the shell, blanks and quotes included; every flag has its reason."""
    sdk = _sdk(tmp_path / "an SDK's folder", "QAIRT 2.3x", "snpe")
    command = conversion_commands(sdk, _job())[0]
    odd = Command(command.tool, command.options, "x y.dlc")
    script = odd.script([Path("/a b/tool")])
    assert shlex.split(script.replace("\\\n", " "), comments=True) == ["/a b/tool", *command.arguments[1:]]
    reasons = [line for line in script.splitlines() if line.startswith("#   ")]
    assert len(reasons) == len(command.options)
    assert all(option.why and option.why in script for option in command.options)
    assert "cd '/with blank'" in environment_script(sdk, Path("/with blank"))


def test_versions_are_read_from_what_sdks_say() -> None:
    found = [
        Version.find(text) for text in ("SNPE v2.17.0.231124161510_65373", "v2.41.0.251128", "snpe-2.10.0.4541", "")
    ]
    assert [(one.major, one.minor) if one else None for one in found] == [(2, 17), (2, 41), (2, 10), None]
    assert str(found[0]) == "2.17.0.231124161510_65373"


@pytest.mark.parametrize(
    ("version", "name", "pythons"),
    [("2.10.0", "SNPE", ("3.6",)), ("2.11.0", "SNPE", ("3.8",)), ("2.22.6", "QAIRT", ("3.8", "3.10")),
     ("2.99.0", "QAIRT", ("3.10", "3.8"))],
)  # fmt: skip
def test_each_version_names_its_python(version: str, name: str, pythons: tuple[str, ...]) -> None:
    known = Version.find(version)
    assert known
    assert (dialect_of(known).name, dialect_of(known).pythons) == (name, pythons)


@pytest.mark.parametrize("text", ["1.68.0", "3.0.1"])
def test_other_generations_are_refused(text: str) -> None:
    version = Version.find(text)
    assert version
    with pytest.raises(SetupError, match=r"generation 2\.x"):
        dialect_of(version)


def test_families_by_name() -> None:
    assert (parse_family(""), parse_family("snpe"), parse_family("qairt")) == (None, "snpe", "qairt")
    with pytest.raises(UsageError, match="Unknown SDK tools"):
        parse_family("qnn")


@pytest.mark.parametrize("family", ["snpe", "qairt"])
def test_a_mixed_precision_needs_encodings(family: Family, tmp_path: Path) -> None:
    sdk = _sdk(tmp_path, "QAIRT 2.3x", family)
    with pytest.raises(UsageError, match="w8a8-mixed has two"):
        conversion_commands(sdk, _job("w8a8-mixed", encodings=False))
    quantizer = conversion_commands(sdk, _job("w8a8-mixed"))[1].arguments
    assert quantizer[quantizer.index("--act_bitwidth") + 1] == "8"

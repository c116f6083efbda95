"""The tools' command lines, by version: a flag that a version does not have is an error, as in the real tools."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

_NAMED_SCHEMES = (2, 18)
"""The quantizer's --act_quantizer and --use_per_channel_quantization were not seen before."""


def number(version: str) -> tuple[int, int]:
    """Major and minor."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


class _Native(argparse.ArgumentParser):
    """A native tool prints its usage and ends with 1."""

    def error(self, message: str) -> NoReturn:
        words = message.replace("unrecognized arguments", "Unknown option")
        sys.stderr.write(f"[ERROR] {words}\n{self.format_usage()}")
        raise SystemExit(1)


def _add(parser: argparse.ArgumentParser, text: str) -> None:
    """Flags that take nothing, or one value where they end in "="."""
    for flag in text.split():
        if flag.endswith("="):
            parser.add_argument(flag.removesuffix("="))
        else:
            parser.add_argument(flag, action="store_true")


def snpe_onnx_to_dlc(version: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("snpe-onnx-to-dlc", allow_abbrev=False)
    parser.add_argument("-i", "--input_network", required=True)
    parser.add_argument("-o", "--output_path")
    parser.add_argument("-d", "--input_dim", nargs=2, action="append", default=[])
    parser.add_argument("--out_node", "--out_name", action="append", default=[])
    parser.add_argument("--preserve_io", nargs="*")
    parser.add_argument("-s", "--define_symbol", nargs=2, action="append")
    parser.add_argument("-n", "--no_simplification", action="store_true")
    _add(parser, "--quantization_overrides= --keep_quant_nodes --float_bitwidth= --debug --model_version=")
    if number(version) >= (2, 39):
        _add(parser, "--preserve_onnx_output_order --enable_framework_trace")
    return parser


def qairt_converter(version: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("qairt-converter", allow_abbrev=False)
    parser.add_argument("-i", "--input_network", required=True)
    parser.add_argument("-o", "--output_path")
    parser.add_argument("-s", "--source_model_input_shape", nargs=2, action="append", default=[])
    parser.add_argument("--out_tensor_node", "--out_tensor_name", action="append", default=[])
    parser.add_argument("-q", "--quantization_overrides")
    _add(parser, "--float_bitwidth= --target_backend= --target_soc_model= --debug --dry_run --onnx_skip_simplification")
    if number(version) >= (2, 45):
        _add(parser, "--remove_unused_inputs")
    return parser


def snpe_dlc_quant(version: str) -> argparse.ArgumentParser:
    parser = _Native("snpe-dlc-quant", allow_abbrev=False)
    parser.add_argument("--input_dlc")
    parser.add_argument("--output_dlc")
    _add(parser, "--version --input_list= --weights_bitwidth= --act_bitwidth= --bias_bitwidth= --override_params")
    _add(parser, "--float_fallback --axis_quant --use_enhanced_quantizer --use_adjusted_weights_quantizer")
    parser.add_argument("--optimizations", "--algorithms", action="append")
    if number(version) >= _NAMED_SCHEMES:
        _add(parser, "--act_quantizer= --param_quantizer= --use_per_channel_quantization --use_per_row_quantization")
    return parser


def qairt_quantizer(_: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("qairt-quantizer", allow_abbrev=False)
    parser.add_argument("-i", "--input_dlc", required=True)
    parser.add_argument("-o", "--output_dlc")
    parser.add_argument("-l", "--input_list")
    kinds = ["min-max", "sqnr", "entropy", "mse", "percentile"]
    for what in ("act", "param"):
        parser.add_argument(f"--{what}_quantizer_calibration", choices=kinds, default="min-max")
        parser.add_argument(f"--{what}_quantizer_schema", choices=["asymmetric", "symmetric", "unsignedsymmetric"])
    _add(parser, "--weights_bitwidth= --act_bitwidth= --bias_bitwidth= --enable_float_fallback --debug")
    _add(parser, "--use_per_channel_quantization --use_per_row_quantization --percentile_calibration_value=")
    return parser


def snpe_dlc_graph_prepare(_: str) -> argparse.ArgumentParser:
    parser = _Native("snpe-dlc-graph-prepare", allow_abbrev=False)
    parser.add_argument("--input_dlc", required=True)
    parser.add_argument("--output_dlc")
    _add(parser, "--input_list= --htp_socs= --htp_archs= --set_output_tensors= --set_output_layers= --vtcm_override=")
    _add(parser, "--optimization_level= --num_hvx_threads= --overwrite_cache_records --use_float_io")
    return parser


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments; ends the process as the tool would when they are wrong."""
    return parser.parse_args(list(arguments))

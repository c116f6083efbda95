"""What the tools do and say."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.sdk_double import arguments as parsers
from tests.sdk_double import work

LIES = {
    "no-file": "the converter says success and writes nothing",
    "empty-file": "the converter says success and writes an empty file",
    "cut-file": "the converter says success and writes half a file",
    "lost-output": "the converter drops an output",
    "segfault": "the quantizer dies in the calibration run",
    "float-int8": "the quantizer says success and copies the float model",
    "wrong-bits": "the quantizer ignores the bit widths, those of the encodings too",
    "ignored-encodings": "the quantizer ignores our encodings",
    "half-socs": "graph-prepare fails for the last SoC, and ends with 0",
    "half-socs-success": "graph-prepare says success for a SoC that it has not prepared",
    "no-caches": "graph-prepare copies the file",
    "old-onnx": "the SDK's Python has an onnx package that is too new",
}
_LEVEL = 235


def _log(text: str, level: str = f"{_LEVEL} - INFO") -> None:
    """A line of a converter: always on stderr."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')},123 - {level} - {text}", file=sys.stderr, flush=True)


def _info(text: str) -> None:
    """A line of a native tool."""
    print(f"[INFO] {text}", file=sys.stderr, flush=True)


def snpe_onnx_to_dlc(words: Sequence[str], version: str, lie: str) -> int:
    asked = parsers.parse(parsers.snpe_onnx_to_dlc(version), words)
    return _convert(
        asked.input_network, asked.output_path, asked.input_dim, asked.out_node, asked.quantization_overrides, lie
    )


def qairt_converter(words: Sequence[str], version: str, lie: str) -> int:
    asked = parsers.parse(parsers.qairt_converter(version), words)
    shapes = asked.source_model_input_shape
    ended = _convert(
        asked.input_network, asked.output_path, shapes, asked.out_tensor_node, asked.quantization_overrides, lie
    )
    if ended == 0 and asked.quantization_overrides and lie not in {"no-file", "empty-file", "cut-file"}:
        work.apply_overrides(Path(asked.output_path))
    return ended


def _convert(
    network: str, output: str | None, shapes: list[list[str]], outputs: list[str], overrides: str | None, lie: str
) -> int:
    if lie == "old-onnx":
        _log("Encountered Error: 'NoneType' object has no attribute 'AttributeProto'", "240 - ERROR")
        return 1
    if open_inputs := work.open_inputs(Path(network), shapes):
        _log(f"Encountered Error: Missing command line inputs for dynamic inputs {open_inputs}", "240 - ERROR")
        return 1
    for _ in range(3):
        _log("WARNING_OP_VERSION_NOT_SUPPORTED: Operation Gelu Not Supported.", "240 - WARNING")
    if overrides:
        _log("Processing user provided quantization encodings:")
    _log("Successfully simplified the onnx model in child process")
    _log("INFO_INITIALIZATION_SUCCESS:")
    target = Path(output or Path(network).with_suffix(".dlc"))
    if lie == "empty-file":
        target.touch()
    elif lie != "no-file":
        kept = outputs[:-1] if lie == "lost-output" else outputs
        work.convert(Path(network), target, kept, Path(overrides) if overrides else None)
    if lie == "cut-file":
        target.write_bytes(target.read_bytes()[: target.stat().st_size // 2])
    _log("INFO_CONVERSION_SUCCESS: Conversion completed successfully")
    _log("INFO_WRITE_SUCCESS:")
    return 0


def snpe_dlc_quant(words: Sequence[str], version: str, lie: str) -> int:
    asked = parsers.parse(parsers.snpe_dlc_quant(version), words)
    if asked.version:
        print(f"SNPE v{version}")
        return 0
    _info("InitializeStderr: DebugLog initialized.")
    _info("Processed command-line arguments")
    source = Path(asked.input_dlc)
    if not asked.input_list or not Path(asked.input_list).is_file():
        print(f"[ERROR] Unable to open input list {asked.input_list}", file=sys.stderr)
        return 1
    target = Path(asked.output_dlc or source.with_name(f"{source.stem}_quantized.dlc"))
    enhanced = asked.use_enhanced_quantizer or getattr(asked, "act_quantizer", None) == "enhanced"
    channels = asked.axis_quant or getattr(asked, "use_per_channel_quantization", False)
    problem = work.list_problem(source, Path(asked.input_list))
    if problem:
        print(f"[ERROR] error_code=1001; error_message={problem}", file=sys.stderr)
        return 1
    _info("Quantized parameters")
    if lie == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    precision = (8, 8) if lie == "wrong-bits" else (int(asked.weights_bitwidth or 8), int(asked.act_bitwidth or 8))
    apply = asked.override_params and lie not in {"ignored-encodings", "wrong-bits"}
    if lie == "float-int8":
        target.write_bytes(source.read_bytes())
    else:
        method = "mse" if enhanced else "min-max"
        work.quantize(source, target, Path(asked.input_list), precision, method, channels, apply)
    _info("Generated activations")
    _info(f"Saved quantized dlc to: {target}")
    _info("DebugLog shutting down.")
    return 0


def qairt_quantizer(words: Sequence[str], version: str, lie: str) -> int:
    asked = parsers.parse(parsers.qairt_quantizer(version), words)
    source = Path(asked.input_dlc)
    target = Path(asked.output_dlc or source.with_name(f"{source.stem}_quantized.dlc"))
    if not asked.input_list:
        _log("Skipping quantization, no input_list provided")
        target.write_bytes(source.read_bytes())
        return 0
    problem = work.list_problem(source, Path(asked.input_list))
    if problem:
        _log(f"Encountered Error: {problem}", "240 - ERROR")
        return 1
    precision = (8, 8) if lie == "wrong-bits" else (int(asked.weights_bitwidth or 8), int(asked.act_bitwidth or 8))
    method = {"sqnr": "mse", "entropy": "mse"}.get(asked.act_quantizer_calibration, asked.act_quantizer_calibration)
    if lie == "float-int8":
        target.write_bytes(source.read_bytes())
    else:
        apply = work.overrides_applied(source) and lie not in {"ignored-encodings", "wrong-bits"}
        work.quantize(
            source, target, Path(asked.input_list), precision, method, asked.use_per_channel_quantization, apply
        )
    _log("Quantization completed successfully")
    return 0


def snpe_dlc_graph_prepare(words: Sequence[str], version: str, lie: str) -> int:
    """An input list is accepted and its paths are never opened: nothing is quantized, nothing is said."""
    asked = parsers.parse(parsers.snpe_dlc_graph_prepare(version), words)
    source = Path(asked.input_dlc)
    target = Path(asked.output_dlc or source.with_name(f"{source.stem}_cached.dlc"))
    default = "sm8550" if parsers.number(version) < (2, 20) else "sm8650"
    socs = (asked.htp_socs or default).split(",")
    failing = set(socs[-1:]) if lie.startswith("half-socs") else set()
    for soc in socs:
        _info(f"SNPE HTP Offline Prepare: Attempting to create cache for {soc.upper()}")
    failed = work.prepare(source, target, socs, skipped=set(socs) if lie == "no-caches" else failing)
    told = failed if lie != "half-socs" else failed | failing
    for soc in socs:
        _info(
            f"Successfully created cache for {soc.upper()}" if soc not in told else f"Failed to prepare {soc.upper()}"
        )
    _info(f"{'Saved cached DLC' if parsers.number(version) < (2, 40) else 'Successfully saved DLC'} to {target}")
    print("======== Run Summary ========", file=sys.stderr)
    for soc in socs:
        _info(f"  {soc.upper()} :  {'Failed' if soc in told else 'Success'}")
    return 0


def snpe_net_run(words: Sequence[str], version: str, _: str) -> int:
    """Only says its version; running a DLC here is `snpe-tools net-run`."""
    if list(words) == ["--version"]:
        print(f"SNPE v{version}")
        return 0
    print("error_code=4000; error_message=No Snapdragon SOC detected", file=sys.stderr)
    return 1

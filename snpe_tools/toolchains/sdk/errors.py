"""What the SDK's tools say when they fail, what it means, and what to do.

Source: Qualcomm's public documentation and public reports of each text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SHOWN = 5


@dataclass(frozen=True)
class Explanation:
    """A known failure: the tool's own line, what it means, and what to do."""

    line: str
    cause: str
    fix: str


@dataclass(frozen=True)
class _Entry:
    pattern: str
    cause: str
    fix: str


_ENTRIES = (
    _Entry(
        r"unrecognized arguments|[Uu]nknown option|[Ii]nvalid option|unrecognised option",
        "this version of the tool does not know a flag that it was given",
        "Report the SDK's version and the line; meanwhile try the other family: --sdk-tools snpe or qairt.",
    ),
    _Entry(
        r"Dynamic input \S+ not supported|[Pp]laceholder dimensions is not supported|"
        r"Missing command line inputs for dynamic inputs",
        "the ONNX model has a dimension that is not fixed",
        "Fix the shapes: snpe-tools simplify MODEL.onnx --shape NAME=1,384.",
    ),
    _Entry(
        r"has no attribute '?onnx'?|qti\.aisw\.converters",
        "the SDK's Python packages do not fit this Python or its onnx package",
        "Give it the Python that the SDK was made for, with its packages: --sdk-python (docs/sdk.md).",
    ),
    _Entry(
        r"'NoneType' object has no attribute .*AttributeProto|onnx\.mapping|AttributeProto",
        "the onnx package of the SDK's Python is outside the range that the SDK reads",
        "Install onnx 1.16.1 there (docs/sdk.md), or name another Python: --sdk-python.",
    ),
    _Entry(
        r"No module named|ModuleNotFoundError|ImportError",
        "the SDK's Python lacks a package, or is another version than the SDK's libraries are built for",
        "Install the packages that docs/sdk.md lists into it, or name another Python: --sdk-python.",
    ),
    _Entry(
        r"OP_NOT_SUPPORTED.*Erf|\bErf\b.*not supported|not supported.*\bErf\b",
        "an Erf is not part of a GELU that the converter knows",
        "Export anew with snpe-tools export: it writes GELU whole.",
    ),
    _Entry(
        r"error_code=311|missing mandatory record: model",
        "the DLC is of another generation than the tool (SNPE 1 and 2 do not read each other's)",
        "Convert the ONNX model again with this SDK.",
    ),
    _Entry(
        r"error_code=7005|QnnGraph_addNode\(\) failed",
        "the HTP does not take an operation in this form; the line names it",
        "Replace it in the model, or try another precision or SoC.",
    ),
    _Entry(
        r"error_code=15001|DeviceCreate INVALID_CONFIG",
        "the libraries of this SDK do not know the SoC or its architecture",
        "Take a newer SDK, or another SoC: --soc.",
    ),
    _Entry(
        r"error_code=1002|No backend could validate Op",
        "no backend takes an operation, or a cache was made by another SDK",
        "Prepare again with this SDK; if that is no help, replace the operation that the line names.",
    ),
    _Entry(
        r"floating-point type not supported",
        "the HTP of this SoC has no float maths",
        "Build a quantized model for it: w8a16 and w8a8 run on every HTP.",
    ),
    _Entry(
        r"No cache record matches|Cannot perform accelerated init",
        "the DLC has no cache for this SoC",
        "Prepare it for the SoC: snpe-tools prepare --soc.",
    ),
    _Entry(
        r"Failed to load skel, error: 1002",
        "ADSP_LIBRARY_PATH is wrong or has colons, or the skel is of another Hexagon version",
        "Separate its folders with semicolons, in quotes, and push lib/hexagon-vXX/unsigned of the SoC's own vXX.",
    ),
    _Entry(
        r"Stub lib id mismatch|Failed to create transport",
        "stub and skel come from different SDK versions",
        "Push all libraries again from one SDK.",
    ),
    _Entry(
        r"qnn_open failed 0x80000416",
        "the device refuses the process a session on its DSP",
        "Try with adb root, or an unsigned process domain (the default of SNPE 2).",
    ),
    _Entry(
        r"No Snapdragon SOC detected",
        "the tool ran on this machine and wants the device",
        "Run it on the device.",
    ),
    _Entry(
        r"testsig|signed.?PD",
        "a signed process domain was asked for, and the device has no test signature",
        "Leave --platform_options unsignedPD:OFF out, or install a test signature.",
    ),
    _Entry(
        r"Graph contains \d+ inputs?, but only found input data for \d+",
        "the converter kept an input that the input list does not name",
        "Name every input in the list, or remove the unused one from the model: snpe-tools simplify.",
    ),
    _Entry(
        r"[Bb]atch.?size.*(raw|input)|(raw|input).*[Bb]atch.?size",
        "a raw file has another size than float32 times the elements of its input",
        "Write float32 raws: snpe-tools inputs. int64 files are twice as large.",
    ),
    _Entry(
        r"datatype 0x508",
        "the HTP does not take a Bool input",
        "Export the mask as int32 or float.",
    ),
    _Entry(
        r"GLIBC_2\.\d+' not found|GLIBC_2\.\d+ not found",
        "this system's C library is older than the SDK's tools need",
        "Use Ubuntu 22.04 (glibc 2.35) or later.",
    ),
    _Entry(
        r"error while loading shared libraries|cannot open shared object file",
        "a system library is missing",
        "snpe-tools doctor lists them; install them as docs/sdk.md says.",
    ),
    _Entry(
        r"Skipping quantization, no input_list provided",
        "the quantizer got no input list, and left the model float",
        "Report it: snpe-tools always passes one.",
    ),
    _Entry(
        r"Failed to generate QNN HTP graph cache",
        "the HTP compiler failed, though the tool may call it a success",
        "See the log; try fewer SoCs, or another precision.",
    ),
    _Entry(
        r"[Nn]o space left on device",
        "the disk is full",
        "Free some space, or set TMPDIR to another folder.",
    ),
    _Entry(
        r"MemoryError|bad_alloc|[Oo]ut of memory",
        "memory was short",
        "Close other programs, or calibrate on fewer windows: WINDOWS (--windows).",
    ),
)


def explain(output: str) -> list[Explanation]:
    """The known failures that a tool's output tells of, each once, in the dictionary's order."""
    return list(_found(output.splitlines()))


def _found(lines: list[str]) -> Iterator[Explanation]:
    for entry in _ENTRIES:
        line = next((line.strip() for line in lines if re.search(entry.pattern, line)), "")
        if line:
            yield Explanation(line, entry.cause, entry.fix)


_COMPLAINT = re.compile(r"\b(?:ERROR|Error|error_code|FATAL|Failed|failed|Traceback)\b")


def complaints(output: str) -> list[str]:
    """The lines in which a tool complains, the last few of them."""
    return [line.strip() for line in output.splitlines() if _COMPLAINT.search(line)][-_SHOWN:]

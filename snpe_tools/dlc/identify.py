"""What a file is when it is not a DLC, told by its content, and what to do with it."""

from __future__ import annotations

import re

import numpy as np

from snpe_tools.dlc import protobuf

_LOOK = 1 << 16
_SMALLEST_SAMPLE = 1 << 12
_RANDOM_BITS, _SAMPLE_NOISE = 7.98, 184
CONTEXT_MAGIC = b"\x00\x00\x00\x02\x00\x00\x00\x03"
ORIGIN = "What it was compiled from is in the DLC or ONNX file it was made of."
_BUILD = re.compile(rb"v\d+\.\d+\.\d+\.\d{6,}")
_MODEL_GRAPH, _GRAPH_NODE, _NODE_TYPE = 7, 1, 4

_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (
        b"\x7fELF",
        "it is an ELF library",
        "A compiled QNN model library runs with qnn-net-run --model; for a DLC convert the model it was made of.",
    ),
    (b"version https://git-lfs", "it is a Git LFS pointer, not the file itself", "Fetch the file: git lfs pull."),
    (b"\x1f\x8b", "it is a gzip archive", "Unpack it first: gunzip, or tar xzf."),
    (b"\xfd7zXZ", "it is an xz archive", "Unpack it first: unxz, or tar xJf."),
    (b"7z\xbc\xaf", "it is a 7z archive", "Unpack it first: 7z x."),
    (b"\x28\xb5\x2f\xfd", "it is a zstd archive", "Unpack it first: unzstd."),
    (b"<!DOCTYPE", "it is a web page", "The download failed or needs a login: fetch it again."),
    (b"<html", "it is a web page", "The download failed or needs a login: fetch it again."),
    (b"\xd5\x0a", "it is one record of a DLC without its container", "A whole DLC is a zip file of several records."),
    (b"{", "it is JSON", "Pass the .dlc that was made with it."),
)


def identify(data: memoryview) -> tuple[str, str]:
    """What a file without a zip directory is, and what to do with it."""
    head = bytes(data[:64]).removeprefix(b"\xef\xbb\xbf")
    for magic, what, advice in _MAGIC:
        if head.startswith(magic):
            return what, advice
    if head[4:8] == b"TFL3":
        return "it is a TensorFlow Lite model", "Convert it with the SDK's converter."
    return _context_binary(data) or _onnx(data) or _unknown(data)


def _context_binary(data: memoryview) -> tuple[str, str] | None:
    if bytes(data[: len(CONTEXT_MAGIC)]) != CONTEXT_MAGIC:
        return None
    build = _BUILD.search(bytes(data[:_LOOK]))
    made = f", built by QAIRT {build[0].decode()}" if build else ""
    return (
        f"it is a QNN context binary, a graph compiled for one HTP{made}",
        f"It runs as it is: qnn-net-run --retrieve_context, or ONNX Runtime with an EPContext model. {ORIGIN}",
    )


def _onnx(data: memoryview) -> tuple[str, str] | None:
    """ONNX is protobuf: a model (field 7: graph) of nodes (field 1), each with a type (field 4)."""
    types = _node_types(data)
    if not types:
        return None
    if "EPContext" in types:
        return (
            "it is an ONNX file with an EPContext node, a wrapper of a compiled context",
            "Run it with ONNX Runtime QNN; the compiled context is inside it or in the .bin file beside it.",
        )
    return (
        f"it is an ONNX model of {len(types)} nodes",
        "Convert it: snpe-tools convert MODEL.onnx -o MODEL.dlc",
    )


def _node_types(data: memoryview) -> list[str]:
    try:
        graphs = list(protobuf.Message(data, "ONNX").messages(_MODEL_GRAPH))
        nodes = [node for graph in graphs[:1] for node in graph.messages(_GRAPH_NODE)]
        return [text for node in nodes for text in node.texts(_NODE_TYPE)]
    except protobuf.WireError:
        return []


def _unknown(data: memoryview) -> tuple[str, str]:
    sample = bytes(data[:_LOOK])
    if len(sample) >= _SMALLEST_SAMPLE and _entropy(sample) > _RANDOM_BITS - _SAMPLE_NOISE / len(sample):
        return "its bytes look random, as in an encrypted file", "Decrypt it, or ask its author for the DLC."
    begins = sample[:8].hex(" ")
    return f"it has no zip directory and begins with {begins}", "A DLC is a zip file: ask for the .dlc itself."


def _entropy(sample: bytes) -> float:
    """Shannon entropy in bits a byte. `size` random bytes have 8 - 255 / (2 ln 2 size)."""
    counts = np.bincount(np.frombuffer(sample, np.uint8))
    shares = counts[counts > 0] / len(sample)
    return float(-(shares * np.log2(shares)).sum())

"""Everything that parses and cannot be right is found, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snpe_tools import dlc
from snpe_tools.inspection.health import Finding, check
from tests.dlc_files import (
    F16,
    F32,
    NODES,
    S8,
    TENSORS,
    U8,
    WEIGHT,
    Fields,
    cache_entry,
    encoding4,
    metadata,
    model4,
    node4,
    params41,
    records3,
    records41,
    tensor4,
    write_zip,
)  # fmt: skip


def _findings(tmp_path: Path, records: Mapping[str, bytes] | None = None, name: str = "m.dlc") -> list[Finding]:
    with dlc.open(write_zip(tmp_path / name, records41(**(records or {})))) as opened:
        return check(opened)


def _with_weight(weight: Fields, data: bytes) -> dict[str, bytes]:
    """Records whose tensor `w` is replaced."""
    params, blob = params41({"w": data})
    tensors = [weight if tensor[6] == "w" else tensor for tensor in TENSORS]
    nodes = [{**NODES[0], 6: "Anything"}, *NODES[1:]]
    return {"model": model4(nodes, tensors), "model.params": params, "model.params.bin": blob}


def test_a_sound_file_has_no_findings(tmp_path: Path) -> None:
    assert _findings(tmp_path) == []


def _named(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.level, finding.check, finding.subject) for finding in findings]


def test_weights_of_zeros_are_flagged_and_vectors_of_zeros_are_not(tmp_path: Path) -> None:
    matrix = tensor4("w", 4, F32, [8, 16])
    assert _named(_findings(tmp_path, _with_weight(matrix, bytes(512)))) == [("warning", "mostly zero", "w")]
    assert _findings(tmp_path, _with_weight(tensor4("w", 4, F32, [128]), bytes(512))) == []
    zeros = bytes([128] * 128)
    quantized = tensor4("w", 4, U8, [8, 16], encoding4([0.5], [-128]))
    assert _named(_findings(tmp_path, _with_weight(quantized, zeros))) == [("warning", "mostly zero", "w")]
    per_channel = tensor4("w", 4, U8, [2, 64], encoding4([0.5, 0.5], [-128, -7], axis=0))
    data = bytes([128] * 64 + [7] * 64)
    assert _named(_findings(tmp_path, _with_weight(per_channel, data))) == [("warning", "mostly zero", "w")]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_single_value_that_is_not_finite_is_found(tmp_path: Path, value: float) -> None:
    values = np.random.default_rng(0).normal(size=(600, 600)).astype(np.float32)
    values[599, 3] = value
    (finding,) = _findings(tmp_path, _with_weight(tensor4("w", 4, F32, [600, 600]), values.tobytes()))
    assert (finding.level, finding.check) == ("error", "not finite")
    assert "holds 1 NaN or infinite values" in finding.what


def test_fp16_weights_read_as_float32_are_found(tmp_path: Path) -> None:
    wrong = np.random.default_rng(0).normal(size=4096).astype(np.float16).view(np.uint16).astype(np.uint32)
    weight = tensor4("w", 4, F32, [64, 64])
    findings = _findings(tmp_path, _with_weight(weight, wrong.tobytes()))
    assert [finding.check for finding in findings] == ["implausible"]


def test_values_beyond_fp16_are_flagged(tmp_path: Path) -> None:
    values = np.full((4, 4), 70000, np.float32)
    findings = _findings(tmp_path, _with_weight(tensor4("w", 4, F32, [4, 4]), values.tobytes()))
    assert _named(findings) == [("warning", "fp16", "w")]


def test_values_outside_their_encoding_are_flagged(tmp_path: Path) -> None:
    four_bits = tensor4("w", 4, S8, [2, 4], encoding4([0.5], [0], bits=4))
    assert _named(_findings(tmp_path, _with_weight(four_bits, bytes([9] * 8)))) == [("error", "outside", "w")]
    stated = tensor4("w", 4, U8, [2, 4], encoding4([0.5], [-128], low=-64, high=10))
    assert _named(_findings(tmp_path, _with_weight(stated, bytes([255] * 8)))) == [("error", "outside", "w")]


def test_a_stated_minimum_must_be_scale_times_offset(tmp_path: Path) -> None:
    wrong = tensor4("x", 0, U8, [1, 4], encoding4([0.25], [-128], low=-30, high=31.75))
    (finding,) = _findings(tmp_path, {"model": model4(tensors=[wrong, *TENSORS[1:]])})
    assert (finding.check, finding.subject) == ("scale x offset", "x")
    assert finding.what == "states the minimum -30, and scale 0.25 x offset -128 is -32"
    signed = tensor4("x", 0, S8, [1, 4], encoding4([0.25], [0], low=-32, high=31.75))
    assert _findings(tmp_path, {"model": model4(tensors=[signed, *TENSORS[1:]])}) == []


@pytest.mark.parametrize("scale", [0.0, -0.5, float("nan"), float("inf")])
def test_scales_must_be_positive_numbers(tmp_path: Path, scale: float) -> None:
    wrong = tensor4("x", 0, U8, [1, 4], encoding4([scale], [-128]))
    assert _named(_findings(tmp_path, {"model": model4(tensors=[wrong, *TENSORS[1:]])})) == [("error", "scale", "x")]


def test_zero_must_lie_in_the_range(tmp_path: Path) -> None:
    wrong = tensor4("x", 0, U8, [1, 4], encoding4([1.0], [3]))
    assert _named(_findings(tmp_path, {"model": model4(tensors=[wrong, *TENSORS[1:]])})) == [("warning", "offset", "x")]


def test_scales_must_fit_the_channels(tmp_path: Path) -> None:
    wrong = tensor4("w", 4, S8, [2, 4], encoding4([1.0, 1.0, 1.0], [0, 0, 0], axis=0))
    findings = _findings(tmp_path, {"model": model4(tensors=[TENSORS[0], wrong, *TENSORS[2:]])})
    assert _named(findings) == [("error", "encoding", "w")]


def test_fixed_point_without_an_encoding_is_flagged(tmp_path: Path) -> None:
    findings = _findings(tmp_path, {"model": model4(tensors=[tensor4("x", 0, U8, [1, 4]), *TENSORS[1:]])})
    assert _named(findings) == [("warning", "encoding", "x")]


def test_outputs_that_no_operation_writes(tmp_path: Path) -> None:
    findings = _findings(tmp_path, {"model": model4(nodes=NODES[:2])})
    assert _named(findings) == [("error", "unwritten", "y")]


def test_names_that_lead_nowhere_and_double_writers(tmp_path: Path) -> None:
    nodes = [*NODES, node4("more", "Relu", ["nothing"], ["y"])]
    findings = _findings(tmp_path, {"model": model4(nodes=nodes)})
    assert _named(findings) == [("error", "undefined", "nothing"), ("error", "written twice", "y")]


def test_weights_that_the_file_does_not_hold(tmp_path: Path) -> None:
    params, blob = params41({})
    findings = _findings(tmp_path, {"model.params": params, "model.params.bin": blob})
    assert _named(findings) == [("error", "data", "w")]


@pytest.mark.parametrize("name", ["net_int8.dlc", "net.w8a16.dlc", "net-quantized.dlc", "net_q.dlc"])
def test_a_float_graph_in_a_file_named_for_integers(tmp_path: Path, name: str) -> None:
    tensors = [tensor4("x", 0, F32, [1]), tensor4("y", 1, F32, [1])]
    model = model4([node4("relu", "Relu", ["x"], ["y"])], tensors)
    with dlc.open(write_zip(tmp_path / name, {"model": model})) as opened:
        assert [(finding.level, finding.check) for finding in check(opened)] == [("error", "name")]
    assert _findings(tmp_path, name=name) == []


def test_a_quantized_graph_in_a_file_named_for_float(tmp_path: Path) -> None:
    assert [finding.check for finding in _findings(tmp_path, name="net.fp16.dlc")] == ["name"]


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (cache_entry("2026-01-02 03:04:04 UTC"), "was compiled 2026-01-02 03:04:04, before the graph was written"),
        (cache_entry(graphName="other"), "holds the graph 'other', which the file does not"),
        (cache_entry(graphInputs=[]), "input 'x' of shape 1x4 is not compiled in"),
        (cache_entry(graphOutputs=[{"name": "y", "dimensions": [2, 2]}]), "output 'y' of shape 2x1 is not compiled in"),
    ],
)
def test_stale_caches_are_flagged(tmp_path: Path, entry: dict[str, Any], what: str) -> None:
    findings = _findings(tmp_path, {"dlc.metadata2.3.0": metadata(entry)})
    assert {finding.check for finding in findings} == {"stale cache"}
    assert what in " ".join(finding.what for finding in findings)


def test_names_that_the_compiler_changes_are_no_stale_caches(tmp_path: Path) -> None:
    inputs = [{"name": "in_x_0", "dimensions": [1, 4]}]
    nodes = [node4("fc", "FullyConnected", ["in/x:0", "w"], ["h"]), *NODES[1:]]
    model = model4(nodes, [{**TENSORS[0], 6: "in/x:0"}, *TENSORS[1:]])
    assert _findings(tmp_path, {"model": model, "dlc.metadata2.3.0": metadata(cache_entry(graphInputs=inputs))}) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"graphInputs": 3},
        {"graphInputs": [3, None]},
        {"graphInputs": [{"name": [], "dimensions": 5}]},
        {"graphInputs": [{"name": "x", "dimensions": [[1], "2"]}]},
        {"graphName": {"a": 1}},
        {"graphBlobInfo": [], "graphBlobInfoV2": "x"},
    ],
)
def test_metadata_of_any_form_is_borne(tmp_path: Path, changes: dict[str, Any]) -> None:
    for entry in (cache_entry(**changes), cache_entry() | {"graphs": changes, "socModel": changes, "timestamp": 5}):
        findings = _findings(tmp_path, {"dlc.metadata2.3.0": metadata(entry)})
        assert {finding.check for finding in findings} <= {"stale cache"}


def test_what_is_not_understood_is_a_finding(tmp_path: Path) -> None:
    odd = tensor4("x", 0, F32, [1, 4], {4: np.uint32(5), 6: np.uint8(1)})
    findings = _findings(tmp_path, {"model": model4(tensors=[odd, *TENSORS[1:]])})
    assert _named(findings) == [("warning", "unread", "test")]


def test_a_flipped_bit_is_found_by_the_checksum(tmp_path: Path) -> None:
    """Files that a zip library wrote state a CRC-32 for each record; QAIRT's own leave it at 0."""
    path = write_zip(tmp_path / "m.dlc", records3())
    content = bytearray(path.read_bytes())
    content[content.index(np.float32(1.5).tobytes())] ^= 1
    path.write_bytes(content)
    with dlc.open(path) as opened:
        findings = check(opened)
    assert _named(findings) == [("error", "checksum", "model.params")]
    assert "the file was changed or damaged" in findings[0].what


def test_layers_without_their_weights_are_named(tmp_path: Path) -> None:
    records = records3()
    del records["model.params"]
    with dlc.open(write_zip(tmp_path / "m.dlc", records)) as opened:
        assert _named(check(opened)) == [("error", "no weights", "fc")]


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    """The record `model.params` of a network whose layers have other names."""
    records, others = records3(), records3()
    others["model.params"] = records["model.params"].replace(b"fc", b"zz")
    with dlc.open(write_zip(tmp_path / "m.dlc", others)) as opened:
        assert _named(check(opened)) == [
            ("error", "no weights", "fc"),
            ("error", "other weights", "zz/bias"),
            ("error", "other weights", "zz/weights_0"),
        ]


@pytest.mark.parametrize(
    ("kind", "weight", "bias", "subjects"),
    [
        ("Conv2d", [3, 3, 4, 8], [8], []),
        ("Conv2d", [3, 3, 5, 8], [8], ["w"]),
        ("Conv2d", [3, 3, 4, 8], [7], ["b"]),
        ("DepthWiseConv2d", [3, 3, 1, 8], [8], []),
        ("DepthWiseConv2d", [3, 3, 1, 6], [8], ["w"]),
        ("FullyConnected", [128, 64], [128], []),
        ("FullyConnected", [128, 65], [128], ["w"]),
        ("FullyConnected", [128, 64], [127], ["b"]),
    ],
)
def test_weights_must_fit_their_operation(
    tmp_path: Path, kind: str, weight: list[int], bias: list[int], subjects: list[str]
) -> None:
    tensors = [tensor4("x", 0, F32, [1, 4, 4, 4]), tensor4("w", 4, F32, weight), tensor4("b", 4, F32, bias),
               tensor4("y", 1, F32, [1, 4, 4, 8] if "Conv" in kind else [1, 128])]  # fmt: skip
    values = {name: np.ones(shape, np.float32).tobytes() for name, shape in (("w", weight), ("b", bias))}
    params, blob = params41(values, None)
    records = {"model": model4([node4("op", kind, ["x", "w", "b"], ["y"])], tensors), "model.params": params,
               "model.params.bin": blob}  # fmt: skip
    with dlc.open(write_zip(tmp_path / "m.dlc", records)) as opened:
        assert _named(check(opened)) == [("error", "other weights", name) for name in subjects]


def test_weights_that_nothing_has_are_named(tmp_path: Path) -> None:
    params, blob = params41({"w": WEIGHT, "from_elsewhere": b"1234"})
    findings = _findings(tmp_path, {"model.params": params, "model.params.bin": blob})
    assert _named(findings) == [("error", "other weights", "from_elsewhere")]
    params, blob = params41({"w": WEIGHT}, name="another")
    findings = _findings(tmp_path, {"model.params": params, "model.params.bin": blob})
    assert {(item.check, item.subject) for item in findings} >= {("data", "w"), ("other weights", "graph 'another'")}


def test_fp16_buffers_of_twice_their_size_are_named(tmp_path: Path) -> None:
    weight = tensor4("w", 4, F16, [64])
    values = np.linspace(-1, 1, 64)
    (doubled,) = _findings(tmp_path, _with_weight(weight, values.astype(np.float16).tobytes() + bytes(128)))
    assert (doubled.level, doubled.check) == ("warning", "surplus")
    assert doubled.what == "needs 128 bytes, and the file has 256, 2 times as many (the others are zero)"
    wide = _findings(
        tmp_path, _with_weight(weight, np.random.default_rng(0).normal(size=64).astype(np.float32).tobytes())
    )
    assert "its 256 bytes are float32 numbers" in wide[0].what


def test_fp16_weights_that_were_destroyed_are_named(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    noise = np.random.default_rng(1).integers(0, 256, 8192, dtype=np.uint8)
    findings = _findings(tmp_path, _with_weight(tensor4("w", 4, F16, [64, 64]), noise.tobytes()))
    assert [item.check for item in findings] == ["not finite", "implausible"]
    assert not list(recwarn)


def test_the_most_serious_findings_come_first(tmp_path: Path) -> None:
    params, blob = params41({})
    odd = tensor4("p", 3, F32, [2, 1], {4: np.uint32(5), 6: np.uint8(1)})
    tensors = [tensor4("x", 0, U8, [1, 4], encoding4([0.0], [0])), *TENSORS[1:3], odd, TENSORS[4]]
    findings = _findings(tmp_path, {"model": model4(NODES, tensors), "model.params": params, "model.params.bin": blob})
    assert [item.check for item in findings] == ["data", "scale", "unread"]

"""AIMET files from a DLC, and what became of the encodings that were asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snpe_tools import dlc
from snpe_tools.core.errors import DataError
from snpe_tools.inspection.aimet import (
    VERSIONS,
    AimetEncoding,
    as_0_6_1,
    encodings_of,
    load_encodings,
    plain_name,
    to_document,
)
from snpe_tools.inspection.audit import audit
from snpe_tools.inspection.extract import extract
from tests.dlc_files import (
    F32,
    S8,
    TENSORS,
    U8,
    encoding4,
    model4,
    node4,
    records41,
    tensor4,
    write_zip,
)  # fmt: skip


@pytest.mark.parametrize("version", ["1.0.0", "0.6.1"])
def test_extracted_encodings_read_back_as_they_are(opened: dlc.Dlc, tmp_path: Path, version: str) -> None:
    target = tmp_path / "m.encodings"
    target.write_text(json.dumps(to_document(encodings_of(opened), version)))  # type: ignore[arg-type]
    key = {row.name: row for row in load_encodings(target)}
    assert key["x"] == AimetEncoding("x", 8, (0.25,), (-128,), symmetric=False)
    weight = AimetEncoding("w", 8, (0.5, 0.25), (-128, -128), symmetric=True, is_parameter=True)
    assert key["w"] == weight
    assert audit(opened, list(key.values())).counts() == {"applied": 4, "changed": 0, "ignored": 0}


def test_the_older_format_states_both_ends(opened: dlc.Dlc) -> None:
    found = to_document(encodings_of(opened), "0.6.1")
    assert found["activation_encodings"]["x"] == [
        {
            "min": -32.0,
            "max": 31.75,
            "scale": 0.25,
            "offset": -128.0,
            "bitwidth": 8,
            "dtype": "int",
            "is_symmetric": "False",
        }
    ]
    assert [entry["min"] for entry in found["param_encodings"]["w"]] == [-64.0, -32.0]


def test_a_newer_file_is_rewritten_and_an_older_one_is_kept(opened: dlc.Dlc, tmp_path: Path) -> None:
    older, newer = (to_document(encodings_of(opened), version) for version in VERSIONS[::-1])
    newer["activation_encodings"].append({"name": "f", "enc_type": "PER_TENSOR", "dtype": "FLOAT", "bw": 16})
    older["activation_encodings"]["f"] = [{"bitwidth": 16, "dtype": "float"}]
    for name, content in (("old", older), ("new", newer)):
        (tmp_path / name).write_text(json.dumps(content))
        assert as_0_6_1(tmp_path / name) == older


def test_a_float_model_has_no_encodings(tmp_path: Path) -> None:
    model = model4([node4("n", "Relu", ["x"], ["y"])], [tensor4("x", 0, F32, [1]), tensor4("y", 1, F32, [1])])
    with pytest.raises(DataError, match="holds no encodings"):
        extract(write_zip(tmp_path / "f.dlc", {"model": model}), None, "1.0.0")


def test_the_audit_tells_applied_changed_and_ignored(opened: dlc.Dlc) -> None:
    asked = [
        AimetEncoding("x", 8, (0.25,), (-128,), symmetric=False),
        AimetEncoding("h", 16, (0.5,), (-12,), symmetric=False),
        AimetEncoding("w", 8, (0.5,), (-128,), symmetric=True),
        AimetEncoding("y", 8, (1.0,), (0,), symmetric=False),
        AimetEncoding("gone", 8, (1.0,), (0,), symmetric=False),
    ]
    found = audit(opened, asked)
    verdicts = {row.name: (row.verdict, row.why) for row in found.rows}
    assert verdicts == {
        "x": ("applied", ""),
        "h": ("changed", "16 → 8 bits; scale 0.5 → 1; offset -12 → -10"),
        "w": ("changed", "1 → 2 scales"),
        "y": ("ignored", "the tensor has no encoding"),
        "gone": ("ignored", "the DLC has no such tensor"),
    }
    assert found.unasked == ("p",)


def test_the_audit_knows_the_names_that_quantization_gives(tmp_path: Path) -> None:
    tensors = [{**TENSORS[0], 6: "x_q"}, *TENSORS[1:]]
    with dlc.open(write_zip(tmp_path / "m.dlc", records41(model=model4(tensors=tensors)))) as opened:
        (row,) = audit(opened, [AimetEncoding("x", 8, (0.25,), (-128,), symmetric=False)]).rows
        assert (row.verdict, row.tensor) == ("applied", "x_q")
    assert [plain_name(name) for name in ("x_q", "QcQuantizeOp_x_q", "x")] == ["x", "x", "x"]


@pytest.mark.parametrize("name", ["w_q_transpose", "w_transpose", "w_permute", "w_q_transpose_1"])
def test_the_audit_knows_a_transposed_weight(tmp_path: Path, name: str) -> None:
    """MatMul by a weight becomes FullyConnected by its transpose, whose name is another."""
    tensors = [tensor4("x", 0, U8, [1, 4], encoding4([0.25], [-128])),
               tensor4(name, 4, S8, [2, 4], encoding4([0.5, 0.25], [0, 0], axis=0))]  # fmt: skip
    with dlc.open(write_zip(tmp_path / "m.dlc", {"model": model4([], tensors)})) as opened:
        asked = [AimetEncoding("x", 8, (0.25,), (-128,), symmetric=False),
                 AimetEncoding("w", 8, (0.5, 0.25), (-128, -128), symmetric=True, is_parameter=True)]  # fmt: skip
        found = audit(opened, asked)
        assert (found.counts()["applied"], found.unasked) == (2, ())
        assert next(row.tensor for row in found.rows if row.name == "w") == name
    names = {entry["name"] for section in ("activation_encodings", "param_encodings")
             for entry in extract(tmp_path / "m.dlc", None, "1.0.0", onnx_names=True).document[section]}  # fmt: skip
    assert names == {"x", "w"}


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"activation_encodings": [{}], "param_encodings": []}', '{"activation_encodings": 3}',
                '{"activation_encodings": {"x": [{"bitwidth": 8}]}, "param_encodings": {}}', "[" * 100_000]
)  # fmt: skip
def test_other_files_are_no_encodings(tmp_path: Path, content: str) -> None:
    path = tmp_path / "e.json"
    path.write_text(content or " ")
    with pytest.raises(DataError, match=r"e\.json is not an AIMET encodings file"):
        load_encodings(path)

"""How two files differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snpe_tools import dlc
from snpe_tools.inspection.difference import Difference, difference
from snpe_tools.inspection.health import check
from tests.dlc_files import (
    F16,
    F32,
    NODES,
    S8,
    TENSORS,
    U8,
    Fields,
    cache_entry,
    encoding4,
    layer2,
    message,
    metadata,
    model2,
    model4,
    node4,
    params41,
    records41,
    tensor4,
    write_zip,
)  # fmt: skip


def _with_weight(weight: Fields, data: bytes) -> dict[str, bytes]:
    """Records whose tensor `w` is replaced."""
    params, blob = params41({"w": data})
    tensors = [weight if tensor[6] == "w" else tensor for tensor in TENSORS]
    return {"model": model4(tensors=tensors), "model.params": params, "model.params.bin": blob}


def _diff(tmp_path: Path, **changes: bytes) -> Difference:
    first = write_zip(tmp_path / "a.dlc", records41())
    second = write_zip(tmp_path / "b.dlc", records41(**changes))
    with dlc.open(first) as before, dlc.open(second) as after:
        return difference(before, after)


def test_a_file_is_the_same_as_itself(tmp_path: Path) -> None:
    found = _diff(tmp_path)
    assert (found.same, found.weights_equal) == (True, 1)


def test_dates_alone_are_no_difference(tmp_path: Path) -> None:
    found = _diff(tmp_path, **{"dlc.metadata2.3.0": metadata(cache_entry()).replace(b"03:04:05", b"03:04:06")})
    assert found.same
    assert [(item.name, item.what) for item in found.provenance] == [("converter", "date")]


def test_operations_added_removed_and_retyped(tmp_path: Path) -> None:
    nodes = [NODES[0], node4("t", "Reshape", ["h"], ["p"]), node4("gelu", "Neuron", ["p"], ["y"], operation=1)]
    found = _diff(tmp_path, model=model4(nodes=nodes))
    assert (found.ops_removed, found.ops_added) == (["Neuron relu"], ["Neuron gelu"])
    assert [(item.name, item.what) for item in found.ops] == [("t", "type"), ("t", "perm")]
    assert (found.ops[0].before, found.ops[0].after) == ("Transpose", "Reshape")
    assert not found.same


def test_tensors_and_encodings_largest_scale_change_first(tmp_path: Path) -> None:
    tensors = [
        tensor4("x", 0, U8, [1, 4], encoding4([0.5], [-128])),
        tensor4("w", 4, S8, [2, 4], encoding4([0.5, 2.0], [0, 0], axis=0)),
        *TENSORS[2:4],
        tensor4("y", 1, F32, [1, 2]),
        tensor4("z", 3, F32, [1]),
    ]
    found = _diff(tmp_path, model=model4(tensors=tensors))
    assert [(item.name, item.factor) for item in found.encodings] == [("w", 8.0), ("x", 2.0)]
    assert [(item.name, item.what, item.before, item.after) for item in found.tensors] == [
        ("y", "shape", "[2, 1]", "[1, 2]")
    ]
    assert found.tensors_added == ["z"]


def test_weights_are_compared_by_content(tmp_path: Path) -> None:
    data = np.array([[1, 2, 3, -4], [5, -6, 7, 123]], np.int8)
    params, blob = params41({"w": data.tobytes()})
    found = _diff(tmp_path, **{"model.params": params, "model.params.bin": blob})
    (change,) = found.weights
    assert (change.name, change.elements, change.changed, change.largest) == ("w", 8, 1, 1.0)


def test_quantized_and_float_weights_are_compared_by_real_values(tmp_path: Path) -> None:
    """The name may carry the `_q` of quantization."""
    values = np.array([[0.5, 1, 1.5, -2], [1.25, -1.5, 1.75, 31.5]], np.float32)
    first = write_zip(tmp_path / "a.dlc", records41(**_with_weight({**TENSORS[1], 6: "w_q"}, b"")))
    params, blob = params41({"w": values.tobytes()})
    plain = model4(tensors=[TENSORS[0], tensor4("w", 4, F32, [2, 4]), *TENSORS[2:]])
    second = write_zip(tmp_path / "b.dlc", records41(model=plain, **{"model.params": params, "model.params.bin": blob}))
    quantized, quantized_blob = params41({"w_q": bytes(np.array([[1, 2, 3, -4], [5, -6, 7, 127]], np.int8))})
    write_zip(first, records41(model=model4(tensors=[TENSORS[0], {**TENSORS[1], 6: "w_q"}, *TENSORS[2:]]),
                               **{"model.params": quantized, "model.params.bin": quantized_blob}))  # fmt: skip
    with dlc.open(first) as before, dlc.open(second) as after:
        found = difference(before, after)
    assert (found.tensors_added, found.tensors_removed) == ([], [])
    assert [(item.name, item.changed, item.largest) for item in found.weights] == [("w_q", 1, 0.25)]


def test_caches_are_compared(tmp_path: Path) -> None:
    found = _diff(tmp_path, **{"htp.cache.sm8550.0": b"x"})
    assert [(item.name, item.before, item.after) for item in found.caches] == [
        ("htp.cache.sm8550.0", "missing", "1 bytes, built by unknown")
    ]
    assert not found.same


def test_a_record_of_unknown_content_is_compared_as_bytes(tmp_path: Path) -> None:
    found = _diff(tmp_path, **{"extra.bin": b"more"})
    assert [(item.name, item.before, item.after) for item in found.records] == [("extra.bin", "missing", "4 bytes")]
    assert not found.same


def test_a_cache_of_the_same_size_with_other_bytes_differs(tmp_path: Path) -> None:
    found = _diff(tmp_path, **{"htp.cache.sm8650.0": b"compiled c0ntext"})
    (change,) = found.caches
    assert (change.name, change.after) == ("htp.cache.sm8650.0", "16 bytes; 1 bytes differ, the first at offset 10")
    assert not found.same


def test_bytes_that_mean_nothing_to_the_reader_are_named(tmp_path: Path) -> None:
    """A field that the reader does not know has another value: nothing that was read differs."""
    tensors = [[{**TENSORS[0], 30: np.uint32(value)}, *TENSORS[1:]] for value in (7, 8)]
    files = [write_zip(tmp_path / f"{index}.dlc", records41(model=model4(tensors=part)))
             for index, part in enumerate(tensors)]  # fmt: skip
    with dlc.open(files[0]) as before, dlc.open(files[1]) as after:
        found = difference(before, after)
    assert [(item.name, item.what, item.before) for item in found.unread] == [
        ("record model", "bytes", "all that was read is equal")
    ]
    assert "1 bytes differ, the first at offset" in found.unread[0].after
    assert not found.same


def test_what_is_not_understood_is_named_when_bytes_differ(tmp_path: Path) -> None:
    odd = tensor4("x", 0, F32, [1, 4], {4: np.uint32(5), 6: np.uint8(1)})
    found = _diff(tmp_path, model=model4(tensors=[odd, *TENSORS[1:]]))
    assert ("tensor 'x': an encoding of kind 5", "absent", "present") in [
        (item.name, item.before, item.after) for item in found.unread
    ]


def test_bytes_beyond_a_shape_are_compared(tmp_path: Path) -> None:
    files = []
    for index, rest in enumerate((b"1234", b"1235")):
        records = records41(**_with_weight(tensor4("w", 4, S8, [4]), b"abcd" + rest))
        files.append(write_zip(tmp_path / f"{index}.dlc", records))
    with dlc.open(files[0]) as before, dlc.open(files[1]) as after:
        found = difference(before, after)
    assert [(item.name, item.what) for item in found.unread] == [("w", "bytes beyond its shape")]


def test_two_models_of_container_25_differ(tmp_path: Path) -> None:
    """All that differs is one parameter whose name no file tells."""
    files = []
    for index in (0, 1):
        layers = [layer2("x", 60, [4], ["x"], ["x"]), layer2("p", 130, [4], ["x"], ["y"], (110, message((1, index))))]
        files.append(write_zip(tmp_path / f"{index}.dlc", {"model": model2(layers)}))
    with dlc.open(files[0]) as before, dlc.open(files[1]) as after:
        found = difference(before, after)
    assert [(item.name, item.what, item.before, item.after) for item in found.ops] == [("p", "field_1", "0", "1")]


def test_weights_that_are_not_finite_differ_without_a_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    values = np.linspace(-1, 1, 128, dtype=np.float16)
    broken = values.copy()
    broken.view(np.uint16)[5] = 0x7D01  # a signalling NaN
    files = []
    for index, part in enumerate((values, broken)):
        weight = tensor4("w", 4, F16, [128])
        files.append(write_zip(tmp_path / f"{index}.dlc", records41(**_with_weight(weight, part.tobytes()))))
    with dlc.open(files[0]) as before, dlc.open(files[1]) as after:
        (change,) = difference(before, after).weights
        assert [item.check for item in check(after) if item.level == "error"] == ["not finite"]
    assert (change.changed, change.largest) == (1, float("inf"))
    assert not list(recwarn)

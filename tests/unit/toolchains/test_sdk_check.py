"""What is checked in a DLC that a tool of the SDK wrote, on graphs made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snpe_tools.core.dtypes import BY_CODE, FLOAT_32, DataType
from snpe_tools.core.errors import ConversionError
from snpe_tools.core.files import write_json
from snpe_tools.core.precision import Precision
from snpe_tools.core.soc_names import parse_socs
from snpe_tools.core.tensor_spec import Encoding, TensorSpec
from snpe_tools.dlc.container import Record
from snpe_tools.dlc.model import Cache, Dlc, Graph, Role, Tensor
from snpe_tools.inspection.aimet import AimetEncoding, to_document
from snpe_tools.toolchains.sdk.check import check_boundary, check_caches, check_quantized

A8, A16, W8 = BY_CODE[0x408], BY_CODE[0x416], BY_CODE[0x308]
TOOL = "snpe-tool"
BOTH = parse_socs("sm8550,sm8650")


def _tensor(name: str, dtype: DataType, role: Role) -> Tensor:
    encoding = Encoding(dtype.bits, (0.5,), (0,)) if dtype.is_fixed_point else None
    return Tensor(name, (1, 4), dtype, role, encoding)


def _dlc(*tensors: Tensor, caches: tuple[str, ...] = ()) -> Dlc:
    container: Any = None
    graph = Graph("g", (), {tensor.name: tensor for tensor in (*tensors, _tensor("y", FLOAT_32, "output"))})
    records = tuple(Cache(soc, Record(f"htp.cache.{soc}.0", 0, 8)) for soc in caches)
    return Dlc(container, (4, 1), (graph,), {}, records)


def test_the_bits_must_be_those_asked_for() -> None:
    inner = [_tensor(f"a{index}", A16, "native") for index in range(3)]
    good = _dlc(*inner, _tensor("w", W8, "static"))
    assert check_quantized(good, TOOL, Precision.parse("w8a16")) == {"16": 3, "float": 1}
    with pytest.raises(ConversionError, match="activations have 16 bits; w8a8 was asked for"):
        check_quantized(good, TOOL, Precision.parse("w8a8"))
    with pytest.raises(ConversionError, match="weights have 8 bits; w16a16 was asked for"):
        check_quantized(good, TOOL, Precision.parse("w16a16"))


@pytest.mark.parametrize("wide", [1, 2, 4])
def test_a_mixed_precision_has_both_widths_in_any_proportion(wide: int) -> None:
    mixed, weights = Precision.parse("w8a8-mixed"), _tensor("w", W8, "static")
    inner = [_tensor(f"a{index}", A16 if index < wide else A8, "native") for index in range(5)]
    found = check_quantized(_dlc(*inner, weights), TOOL, mixed)
    assert found == {"8": 5 - wide, "16": wide, "float": 1}
    for dtype in (A8, A16):
        plain = [_tensor(f"a{index}", dtype, "native") for index in range(5)]
        with pytest.raises(ConversionError, match=f"have one width, {dtype.bits} bits; w8a8-mixed was asked for"):
            check_quantized(_dlc(*plain, weights), TOOL, mixed)
    floats = [_tensor(f"f{index}", FLOAT_32, "native") for index in range(5)]
    with pytest.raises(ConversionError, match="have float bits"):
        check_quantized(_dlc(*inner, *floats, weights), TOOL, mixed)


def test_encodings_say_whether_a_mixed_precision_has_16_bits(tmp_path: Path) -> None:
    file, mixed = tmp_path / "e.encodings", Precision.parse("w8a8-mixed")
    narrow = _dlc(*(_tensor(f"a{index}", A8, "native") for index in range(3)), _tensor("w", W8, "static"))
    for bits in ([8], [8, 16]):
        rows = [AimetEncoding(f"a{width}", width, (0.5,), (0,), symmetric=False) for width in bits]
        write_json(file, to_document(rows, "0.6.1"))
        if bits == [8]:
            assert check_quantized(narrow, TOOL, mixed, file)["8"] == 3
            continue
        with pytest.raises(ConversionError, match="one width, 8 bits"):
            check_quantized(narrow, TOOL, mixed, file)


def test_float_is_float_whatever_the_weights_are() -> None:
    with pytest.raises(ConversionError, match="the DLC is float"):
        check_quantized(
            _dlc(_tensor("a", FLOAT_32, "native"), _tensor("w", W8, "static")), TOOL, Precision.parse("w8a8")
        )
    mostly = [_tensor(f"f{index}", FLOAT_32, "native") for index in range(3)]
    with pytest.raises(ConversionError, match="activations have float bits"):
        check_quantized(_dlc(_tensor("a", A8, "native"), *mostly), TOOL, Precision.parse("w8a8"))


def test_names_and_shapes_of_the_boundary() -> None:
    dlc = _dlc(_tensor("x", BY_CODE[0x32], "input"))
    x, y = TensorSpec("x", (1, 4), BY_CODE[0x32]), TensorSpec("y", (1, 4), FLOAT_32)
    check_boundary(dlc, TOOL, [x], [y])
    with pytest.raises(ConversionError, match="with the inputs"):
        check_boundary(dlc, TOOL, [TensorSpec("x", (4, 1), x.dtype)], [y])
    with pytest.raises(ConversionError, match="with the outputs"):
        check_boundary(dlc, TOOL, [x], [y, TensorSpec("z", (1, 4), FLOAT_32)])


def test_a_cache_for_each_soc_by_its_record() -> None:
    assert check_caches(_dlc(caches=("sm8550", "sm8650")), TOOL, BOTH, ["y"], "") == {"sm8550": 8, "sm8650": 8}
    summary = "======== Run Summary ========\n[INFO]   SM8550 :  Success\n[INFO]   SM8650 :  Success\n"
    with pytest.raises(ConversionError, match=r"no cache for sm8650; it has sm8550\.\n.*SM8550 :  Success"):
        check_caches(_dlc(caches=("sm8550",)), TOOL, BOTH, ["y"], summary)
    with pytest.raises(ConversionError, match="changed the outputs"):
        check_caches(_dlc(caches=("sm8550", "sm8650")), TOOL, BOTH, ["y", "z"], summary)


def test_caches_of_older_sdks_name_no_soc() -> None:
    summary = "======== Run Summary ========\n[INFO]   SM8550 :  Success\n[INFO]   SM8650 :  Failed\n"
    check_caches(_dlc(caches=("backend",)), TOOL, BOTH[:1], ["y"], summary)
    with pytest.raises(ConversionError, match="no cache for sm8650"):
        check_caches(_dlc(caches=("backend",)), TOOL, BOTH, ["y"], summary)

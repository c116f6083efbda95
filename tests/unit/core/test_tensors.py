from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snpe_tools.core.dtypes import BY_CODE
from snpe_tools.core.errors import InputError, TensorError
from snpe_tools.core.raw_files import check_list, file_name, named, read_inputs, read_list, write_inputs
from snpe_tools.core.tensor_spec import Array, TensorSpec

SPECS = [TensorSpec("input_ids", (1, 4), BY_CODE[0x032]), TensorSpec("a/b:0", (1, 4), BY_CODE[0x232])]
ARRAYS: dict[str, Array] = {
    "input_ids": np.arange(12).reshape(3, 4),
    "a/b:0": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
}


@pytest.mark.parametrize("native", [False, True])
def test_what_is_written_reads_back(tmp_path: Path, native: bool) -> None:
    listed = write_inputs(tmp_path / "raws", ARRAYS, SPECS, ["start", "end"], native=native)
    parsed = read_list(listed)
    assert (parsed.outputs, len(parsed.lines)) == (("start", "end"), 3)
    check_list(parsed, SPECS, native=native)
    for row, line in enumerate(parsed.lines):
        arrays = read_inputs(named(line, SPECS, listed, row), SPECS, native=native)
        assert arrays["input_ids"].dtype == np.int32
        for name, array in arrays.items():
            assert np.array_equal(array, ARRAYS[name][row : row + 1])


def test_raw_files_are_float32_by_default(tmp_path: Path) -> None:
    listed = write_inputs(tmp_path / "raws", ARRAYS, SPECS)
    assert np.fromfile(listed.parent / "input_ids" / "1.raw", np.float32).tolist() == [4, 5, 6, 7]
    assert listed.read_bytes().splitlines()[0] == b"input_ids:=input_ids/0.raw a/b:0:=a_b:0/0.raw"


def test_an_input_that_is_missing_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(TensorError, match="Every input needs the same number"):
        write_inputs(tmp_path / "raws", {"input_ids": ARRAYS["input_ids"]}, SPECS)
    assert list(tmp_path.iterdir()) == []


def _list(folder: Path, text: str) -> Path:
    file = folder / "list.txt"
    file.write_bytes(text.encode())
    return file


def test_the_grammar_of_the_sdk_is_understood(tmp_path: Path) -> None:
    parsed = read_list(_list(tmp_path, "#layer1 layer2\r\n%out:0 out_1:0\r\n\r\nin:0:=x.raw  b:=y.raw\r\n"))
    assert (parsed.layers, parsed.outputs) == (("layer1", "layer2"), ("out:0", "out_1:0"))
    assert parsed.lines == ({"in:0": tmp_path / "x.raw", "b": tmp_path / "y.raw"},)


@pytest.mark.parametrize("text", ["a.raw b.raw\n", "x:=a.raw x:=b.raw\n", "x:=a.raw b.raw\n"])
def test_lines_without_distinct_names_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(TensorError, match="line 1"):
        read_list(_list(tmp_path, text))


def test_a_list_without_inferences_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TensorError, match="names no inputs"):
        read_list(_list(tmp_path, "%out\n\n"))
    (tmp_path / "list.txt").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        read_list(tmp_path / "list.txt")


def test_relative_paths_count_from_the_list_then_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lists").mkdir()
    listed = _list(tmp_path / "lists", "x.raw\n")
    (tmp_path / "x.raw").touch()
    monkeypatch.chdir(tmp_path)
    assert read_list(listed).lines[0][""] == Path("x.raw")
    (tmp_path / "lists" / "x.raw").touch()
    assert read_list(listed).lines[0][""] == tmp_path / "lists" / "x.raw"


def test_a_raw_of_the_wrong_size_is_named_with_the_right_one(tmp_path: Path) -> None:
    np.zeros(4, np.int64).tofile(tmp_path / "x.raw")
    with pytest.raises(TensorError, match=r"has 32 bytes; input 'input_ids' \(1, 4\) needs 16(.|\n)*int64"):
        check_list(read_list(_list(tmp_path, "x.raw\n")), SPECS[:1])


def test_a_raw_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(TensorError, match=r"gone\.raw .*cannot be read"):
        check_list(read_list(_list(tmp_path, "gone.raw\n")), SPECS[:1])


def test_other_names_than_the_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TensorError, match=r"names \['ids'\], and the model takes \['input_ids'\]"):
        check_list(read_list(_list(tmp_path, "ids:=x.raw\n")), SPECS[:1])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300))
def test_any_bytes_give_a_list_or_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "any.txt").write_bytes(data)
    try:
        parsed = read_list(tmp_path / "any.txt")
    except InputError:
        return
    assert parsed.lines


@given(st.text(min_size=1))
def test_file_names_are_safe(name: str) -> None:
    safe = file_name(name)
    assert safe
    assert not set(safe) & set("/\\\0 \n'\"$;&|")
    assert not safe.startswith(".")


def test_a_list_with_a_byte_order_mark_and_files_that_are_no_raws(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(np.zeros(2, np.float32).tobytes())
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf%y\nx:=x.raw unread:=x.raw\n")
    found = read_list(tmp_path / "list.txt")
    assert found.outputs == ("y",)
    spec = TensorSpec("x", (2,), BY_CODE[0x232])
    check_list(found, [spec])
    assert list(named(found.lines[0], [spec], found.path, 0)) == ["x"], "what the model does not have is left out"
    (tmp_path / "two.txt").write_text("%y\n%z\nx.raw\n")
    with pytest.raises(TensorError, match=r"line 2: a second line of outputs"):
        read_list(tmp_path / "two.txt")
    np.save(tmp_path / "x.npy", np.zeros(2, np.float32))
    (tmp_path / "image.raw").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    for name, words in (("x.npy", "is a NumPy array"), ("image.raw", "is a PNG image")):
        (tmp_path / "other.txt").write_text(f"x:={name}\n")
        with pytest.raises(TensorError, match=words):
            check_list(read_list(tmp_path / "other.txt"), [spec])

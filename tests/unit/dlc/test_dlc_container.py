"""The outer layer: zip directories whole, cut, encrypted and hostile; and files that are something else."""

from __future__ import annotations

import random
import struct
import zipfile
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from snpe_tools import dlc
from snpe_tools.core.errors import DlcError
from tests.conftest import make_model
from tests.dlc_files import records41, write_zip


def _refusal(path: Path) -> str:
    with pytest.raises(DlcError) as caught:
        dlc.open(path)
    assert str(path) in caught.value.message
    assert caught.value.hint
    return str(caught.value)


def _onnx(kind: str, domain: str = "") -> bytes:
    node = helper.make_node(kind, ["x"], ["y"], domain=domain)
    model = make_model([node], {"x": (TensorProto.FLOAT, (1,))}, {"y": (1,)})
    return bytes(model.SerializeToString())


ARCHIVE = b"7z\xbc\xaf\x27\x1c"
CONTEXT = bytes.fromhex("0000000200000003") + bytes(100) + b"v2.51.0.260929181845" + bytes(1000)


@pytest.mark.parametrize(
    ("content", "what", "advice"),
    [
        (
            CONTEXT,
            "QNN context binary, a graph compiled for one HTP, built by QAIRT v2.51.0.260929181845",
            "retrieve_context",
        ),
        (_onnx("EPContext", "com.microsoft"), "an ONNX file with an EPContext node", "ONNX Runtime QNN"),
        (_onnx("Relu"), "an ONNX model of 1 nodes", "snpe-tools convert"),
        (b"\x7fELF" + bytes(60), "an ELF library", "qnn-net-run --model"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer", "git lfs pull"),
        (b"\x1f\x8b" + bytes(30), "a gzip archive", "Unpack it"),
        (ARCHIVE, "a 7z archive", "Unpack it"),
        (b"<!DOCTYPE html><html>", "a web page", "fetch it again"),
        (bytes(4) + b"TFL3", "a TensorFlow Lite model", "converter"),
        (b"\xd5\x0a\x04\x00", "one record of a DLC", "zip file of several records"),
        (b'{"version": "1.0.0"}', "it is JSON", "Pass the .dlc"),
        (random.Random(1).randbytes(1 << 15), "bytes look random", "Decrypt it"),  # noqa: S311
        (b"hello, world", "begins with 68 65 6c 6c", "zip file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_files_are_recognised_by_content(tmp_path: Path, content: bytes, what: str, advice: str) -> None:
    path = tmp_path / "model.dlc"
    path.write_bytes(content)
    message, _, hint = _refusal(path).partition("→")
    assert what in message
    assert advice in hint


def test_a_real_onnx_file_is_not_called_encrypted(tmp_path: Path) -> None:
    onnx.save(make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": (1, (1,))}, {"y": (1,)}), tmp_path / "m.dlc")
    assert "ONNX model" in _refusal(tmp_path / "m.dlc")


def test_a_container_of_compiled_contexts_names_its_socs(tmp_path: Path) -> None:
    records = {"htp.cache.sm8550.0": b"a", "htp.cache.sm8650.0": b"b", "htp.shared.weights.<x>": bytes(99)}
    message = _refusal(write_zip(tmp_path / "multi.bin", records))
    assert "compiled contexts for sm8550, sm8650 with 99 bytes of shared weights" in message


def test_other_zip_files_are_told_apart(tmp_path: Path) -> None:
    assert "Android package" in _refusal(write_zip(tmp_path / "app.dlc", {"AndroidManifest.xml": b""}))
    assert "has no record 'model' (it has: 'hello')" in _refusal(write_zip(tmp_path / "z.dlc", {"hello": b"x"}))


def test_a_cut_file_says_where_it_ends(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.dlc", records41(**{"model.params.bin": bytes(5000)}))
    place = path.read_bytes().index(b"model.params.bin") + len("model.params.bin")
    path.write_bytes(path.read_bytes()[: place + 1234])
    assert "it ends inside the record 'model.params.bin', after 1234 of 5000 bytes" in _refusal(path)


def test_an_encrypted_record_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.dlc", records41())
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 8] |= 1
    path.write_bytes(data)
    assert "its record 'dlc.metadata2.3.0' is encrypted" in _refusal(path)


def test_a_zip_bomb_is_never_inflated(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.dlc", {"model": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    assert "its record 'model' is compressed" in _refusal(path)


def test_two_records_of_one_name_are_an_error(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.dlc", {"model": b"a", "modem": b"b"})
    path.write_bytes(path.read_bytes().replace(b"modem", b"model"))
    assert "record 'model' stands in the file twice" in _refusal(path)


@pytest.mark.parametrize(
    ("offset", "value", "what"),
    [
        (42, 0xFFFFFF, "has no header at offset 16777215"),
        (24, 0x7FFFFFFF, "needs 2147483647 bytes at offset"),
    ],
)
def test_records_outside_the_file_are_errors(tmp_path: Path, offset: int, value: int, what: str) -> None:
    path = write_zip(tmp_path / "m.dlc", {"model": b"abc"})
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + offset, value)
    path.write_bytes(data)
    assert what in _refusal(path)


def test_a_huge_count_of_records_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.dlc", {"model": b"abc"})
    data = bytearray(path.read_bytes())
    struct.pack_into("<HH", data, data.index(b"PK\x05\x06") + 8, 0xFFFF, 0xFFFF)
    path.write_bytes(data)
    assert "it lists 65535 records" in _refusal(path)


def test_zip64_sizes_are_read(tmp_path: Path) -> None:
    """Qualcomm's writer uses 64-bit sizes for small files too."""
    path = tmp_path / "m.dlc"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records41().items():
            with archive.open(name, "w", force_zip64=True) as stream:
                stream.write(content)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    name, extra = struct.unpack_from("<HH", data, entry + 28)
    size = struct.unpack_from("<I", data, entry + 24)[0]
    struct.pack_into("<I", data, entry + 24, 0xFFFFFFFF)
    struct.pack_into("<H", data, entry + 30, extra + 12)
    data[entry + 46 + name + extra : entry + 46 + name + extra] = struct.pack("<HHQ", 1, 8, size)
    end = data.index(b"PK\x05\x06")
    struct.pack_into("<I", data, end + 12, struct.unpack_from("<I", data, end + 12)[0] + 12)
    path.write_bytes(data)
    with dlc.open(path) as opened:
        assert opened.container.records["dlc.metadata2.3.0"].size == size
        assert opened.graph.nodes

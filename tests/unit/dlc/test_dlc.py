"""The DLC reader on files built here, whole and damaged."""

from __future__ import annotations

import random
import struct
import zipfile
from pathlib import Path

import pytest

from snpe_tools import dlc
from snpe_tools.core.errors import DlcError, InputError, SnpeToolsError
from snpe_tools.dlc.edit.rename import graph_identifier, rename_graph
from tests.dlc_files import F32, U8, Shared, encoding4, model4, node4, params41, tensor4, write_zip

GRAPH = "QNNExecutionProvider_42_0_0"


def _records(name: str = GRAPH) -> dict[str, bytes]:
    """x -> Relu -> y beside a static weight with an encoding."""
    weight = tensor4("w", 4, U8, [2, 2], encoding4([0.5], [-128]))
    tensors = [tensor4("x", 0, F32, [1, 4]), tensor4("y", 1, F32, [1, 4]), weight]
    params, blob = params41({"w": bytes([0, 128, 130, 255])}, None, name)
    return {
        "dlc.metadata2.3.0": b'{"header": {}}',
        "model": model4([node4("relu", "Relu", ["x"], ["y"])], tensors, name),
        "model.params": params,
        "model.params.bin": blob,
        "htp.cache.sm8650.0": b"compiled",
    }


def write_dlc(path: Path, **records: bytes) -> Path:
    return write_zip(path, _records() | records)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_dlc(tmp_path / "m.dlc")


def test_graph_tensors_and_caches_are_read(file: Path) -> None:
    with dlc.open(file) as opened:
        graph = opened.graph
        assert (opened.version, graph.name) == ((4, 1), "QNNExecutionProvider_42_0_0")
        assert [(node.type, node.inputs, node.outputs) for node in graph.nodes] == [("Relu", ("x",), ("y",))]
        assert [tensor.name for tensor in (*graph.inputs, *graph.outputs)] == ["x", "y"]
        assert [(cache.soc, cache.record.size) for cache in opened.caches] == [("sm8650", 8)]
        assert opened.metadata == {"dlc.metadata2.3.0": {"header": {}}}


def test_weights_are_views_of_the_file_dequantized_on_request(file: Path) -> None:
    with dlc.open(file) as opened:
        weight = opened.graph.tensors["w"]
        assert weight.values().tolist() == [[0, 128], [130, 255]]
        assert weight.real_values().tolist() == [[-64, 0], [1, 63.5]]
        assert not weight.values().flags.owndata
        with pytest.raises(DlcError, match=r"'x'.*has no data"):
            opened.graph.tensors["x"].values()


def test_the_crc_that_the_writer_leaves_out_does_not_matter(file: Path) -> None:
    data = bytearray(file.read_bytes())
    for entry in zipfile.ZipFile(file).infolist():
        struct.pack_into("<I", data, entry.header_offset + 14, 0)
    place = data.find(b"PK\x01\x02")
    while place >= 0:
        struct.pack_into("<I", data, place + 16, 0)
        place = data.find(b"PK\x01\x02", place + 4)
    file.write_bytes(data)
    with dlc.open(file) as opened:
        assert opened.graph.nodes


def test_graphs_get_another_name_everywhere(file: Path) -> None:
    rename_graph(file, "minilm_qa")
    assert b"QNNExecutionProvider" not in file.read_bytes()
    with dlc.open(file) as opened:
        assert opened.graph.name == "minilm_qa"
        assert opened.graph.tensors["w"].values().tolist() == [[0, 128], [130, 255]]


def test_a_longer_name_is_cut(file: Path) -> None:
    rename_graph(file, "x" * 99)
    with dlc.open(file) as opened:
        assert opened.graph.name == "x" * 27


@pytest.mark.parametrize(
    ("text", "name"), [("minilm-qa", "minilm_qa"), ("8bit", "model_8bit"), ("é", "model"), ("a b/c", "a_b_c")]
)
def test_graph_names_are_identifiers(text: str, name: str) -> None:
    assert graph_identifier(text) == name


def test_other_files_are_told_apart(tmp_path: Path) -> None:
    text = tmp_path / "text.dlc"
    text.write_text("hello")
    with pytest.raises(DlcError, match="is not a readable DLC: it has no zip directory"):
        dlc.open(text)
    with pytest.raises(DlcError, match=r"has no record 'model'"):
        with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
            archive.writestr("hello", "x")
        dlc.open(tmp_path / "other.zip")
    with pytest.raises(InputError, match="does not exist"):
        dlc.open(tmp_path / "none.dlc")


def test_an_unknown_version_is_an_error_never_an_empty_graph(tmp_path: Path) -> None:
    other = write_dlc(tmp_path / "m.dlc", model=b"\xd5\x0a\x09\x00\x02\x00\x00\x00" + bytes(64))
    with pytest.raises(DlcError, match=r"version 9\.2 is unknown"):
        dlc.open(other)


def test_a_record_without_the_signature_is_named(tmp_path: Path) -> None:
    with pytest.raises(DlcError, match="record 'model' does not begin with the DLC signature"):
        dlc.open(write_dlc(tmp_path / "m.dlc", model=b"\x00" * 32))


def test_compressed_records_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.dlc"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model", bytes(1000))
    with pytest.raises(DlcError, match="is compressed"):
        dlc.open(path)


def _read_everything(path: Path) -> None:
    with dlc.open(path) as opened:
        for graph in opened.graphs:
            for tensor in graph.tensors.values():
                if tensor.role == "static":
                    tensor.real_values()


@pytest.mark.parametrize("seed", range(300))
def test_damaged_files_give_errors_never_crashes(file: Path, seed: int) -> None:
    """Flipped bytes, runs of 0xff, and cut ends, anywhere in the file."""
    numbers = random.Random(seed)  # noqa: S311
    data = bytearray(file.read_bytes())
    for _ in range(numbers.randint(1, 4)):
        place = numbers.randrange(len(data))
        run = numbers.choice([1, 1, 2, 4])
        data[place : place + run] = bytes(numbers.choice([0, 255, numbers.randrange(256)]) for _ in range(run))
    if seed % 3 == 0:
        del data[numbers.randrange(len(data)) :]
    file.write_bytes(data)
    try:
        _read_everything(file)
    except SnpeToolsError as problem:
        assert str(file) in str(problem) or "Tensor" in str(problem) or "record" in str(problem)  # noqa: PT017


def test_vectors_that_share_storage_cannot_expand_without_end(tmp_path: Path) -> None:
    """4,000 nodes that all point at one vector of 4,000 names would be 16 million strings."""
    shared = Shared(["a"] * 4000)
    nodes = [{4: "n", 8: shared} for _ in range(4000)]
    bomb = write_dlc(tmp_path / "bomb.dlc", model=model4(nodes, []))
    with pytest.raises(DlcError, match="more than the record can hold"):
        dlc.open(bomb)

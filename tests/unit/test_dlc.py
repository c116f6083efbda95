"""The DLC reader on files built here, whole and damaged."""

from __future__ import annotations

import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from flatbuffers import Builder

from snpe_tools import dlc
from snpe_tools.dlc.rename import graph_identifier, rename_graph
from snpe_tools.errors import DlcError, InputError, SnpeToolsError

MAGIC = b"\xd5\x0a\x04\x00\x01\x00\x00\x00"
F32, U8 = 0x232, 0x408


def _table(builder: Builder, slots: dict[int, tuple[str, object]]) -> int:
    """A table; keys are slot numbers, values (kind, value) with kind "offset" or a scalar's name."""
    builder.StartObject(max(slots) + 1 if slots else 0)
    for slot, (kind, value) in slots.items():
        if kind == "offset":
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        else:
            getattr(builder, f"Prepend{kind}Slot")(slot, value, 0 if value else 1)
    return int(builder.EndObject())


def _vector(builder: Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _strings(builder: Builder, texts: list[str]) -> int:
    return _vector(builder, [builder.CreateString(text) for text in texts])


def _tensor(
    builder: Builder, name: str, role: int, dtype: int, shape: list[int], scale: float = 0, offset: int = 0
) -> int:
    info = 0
    if scale:
        encoding = _table(builder, {0: ("Int32", 8), 3: ("Float32", scale), 4: ("Int32", offset)})
        info = _table(builder, {1: ("Bool", True), 2: ("offset", encoding)})
    shaped = builder.CreateNumpyVector(np.array(shape, np.int32))
    named = builder.CreateString(name)
    slots: dict[int, tuple[str, object]] = {1: ("offset", named), 3: ("offset", shaped), 6: ("Uint32", dtype)}
    if role:
        slots[2] = ("Uint8", role)
    if info:
        slots[5] = ("offset", info)
    return _table(builder, slots)


def _model(name: str = "QNNExecutionProvider_42_0_0") -> bytes:
    """x -> Relu -> y beside a static weight with an encoding."""
    builder = Builder(1024)
    tensors = [_tensor(builder, "x", 0, F32, [1, 4]), _tensor(builder, "y", 1, F32, [1, 4])]
    tensors.append(_tensor(builder, "w", 4, U8, [2, 2], 0.5, -128))
    all_tensors = _vector(builder, tensors)
    texts = [builder.CreateString("relu"), builder.CreateString("Relu")]
    ends = _strings(builder, ["x"]), _strings(builder, ["y"])
    node = _table(builder, dict(enumerate([("offset", part) for part in (*texts, *ends)])))
    nodes = _vector(builder, [node])
    copies = builder.CreateString(name), builder.CreateString(name)
    graph = _table(
        builder, {0: ("offset", copies[0]), 1: ("offset", nodes), 2: ("offset", all_tensors), 4: ("offset", copies[1])}
    )
    graphs = _vector(builder, [graph])
    builder.Finish(_table(builder, {0: ("offset", graphs)}), file_identifier=b"NETD")
    return MAGIC + bytes(builder.Output())


def _params(name: str = "QNNExecutionProvider_42_0_0") -> bytes:
    builder = Builder(256)
    place = _table(builder, {0: ("Uint64", 8), 1: ("Uint64", 4)})
    weight = _table(builder, {0: ("offset", builder.CreateString("w")), 3: ("offset", place)})
    weights = _vector(builder, [weight])
    graph = _table(builder, {0: ("offset", builder.CreateString(name)), 1: ("offset", weights)})
    builder.Finish(_table(builder, {0: ("offset", _vector(builder, [graph]))}), file_identifier=b"NETP")
    return MAGIC + bytes(builder.Output())


def write_dlc(path: Path, **records: bytes) -> Path:
    content = {
        "dlc.metadata2.3.0": b'{"header": {}}',
        "model": _model(),
        "model.params": _params(),
        "model.params.bin": bytes(8) + bytes([0, 128, 130, 255]),
        "htp.cache.sm8650.0": b"compiled",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (content | records).items():
            archive.writestr(name, data)
    return path


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
    builder = Builder(1 << 20)
    names = _vector(builder, [builder.CreateString("a")] * 4000)
    text = builder.CreateString("n")
    nodes = _vector(builder, [_table(builder, {0: ("offset", text), 2: ("offset", names)}) for _ in range(4000)])
    graph = _table(builder, {0: ("offset", builder.CreateString("g")), 1: ("offset", nodes)})
    builder.Finish(_table(builder, {0: ("offset", _vector(builder, [graph]))}), file_identifier=b"NETD")
    bomb = write_dlc(tmp_path / "bomb.dlc", model=MAGIC + bytes(builder.Output()))
    with pytest.raises(DlcError, match="more than the record can hold"):
        dlc.open(bomb)

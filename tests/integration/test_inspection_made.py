"""A DLC is described completely: against the vendor's own reader, and against the ONNX graph that it was made of."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from snpe_tools import convert, dlc, inputs, prepare, quantize
from snpe_tools.core.errors import DlcError, QnnError
from snpe_tools.core.precision import Precision
from snpe_tools.core.process import run as run_process
from snpe_tools.core.soc_names import parse_socs
from snpe_tools.core.socs import BY_NAME, DEFAULT
from snpe_tools.dlc import Graph, Node, Tensor
from snpe_tools.graph.loading import load
from snpe_tools.inspection.aimet import encodings_of, load_encodings
from snpe_tools.inspection.audit import audit
from snpe_tools.inspection.describe import describe, document
from snpe_tools.inspection.difference import difference
from snpe_tools.inspection.extract import extract
from snpe_tools.inspection.health import check
from snpe_tools.inspection.targets import need_of
from snpe_tools.qnn.isolation import isolated
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.quantization.writing import float_path
from snpe_tools.tasks.question_answering.squad import SHIPPED_CALIBRATION, load_questions
from snpe_tools.toolchains.pypi import _add_cache
from tests.conftest import make_model
from tests.dlc_files import write_zip
from tests.integration.composed import Composed, ComposedTensor, composed

FAMILIES = ("bert", "mobilebert")
PRECISIONS = ("fp16", "w8a8", "w8a16")
_RENAMED = {"Eltwise_Binary": "ElementWiseBinary", "Eltwise_Unary": "ElementWiseUnary", "Neuron": "ElementWiseNeuron"}
"""Types in the file, and what the runtime makes of them."""
_KINDS = {"input": 0, "output": 1, "native": 3, "static": 4}


class Made:
    """A DLC, the float model that was quantized, and the QDQ model it was made of (the float model itself for fp16)."""

    def __init__(self, model: Path, source: Path, file: Path) -> None:
        self.model, self.source, self.file = model, source, file

    @property
    def encodings(self) -> Path:
        return self.source.with_name(self.source.name.replace(".qdq.onnx", ".encodings"))


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, exported: Callable[[str], Path]) -> Callable[[str, str], Made]:
    """The DLC of a family at a precision; each is made once."""
    done: dict[tuple[str, str], Made] = {}

    def build(family: str, precision: str) -> Made:
        key = (family, precision)
        if key not in done:
            done[key] = _build(exported(family), precision, tmp_path_factory.mktemp(f"{family}-{precision}"))
        return done[key]

    return build


def _build(model: Path, precision: str, folder: Path) -> Made:
    bits, source = Precision.parse(precision), model
    if not bits.is_float:
        questions = load_questions(SHIPPED_CALIBRATION)[:2]
        listed = inputs(model, questions, model.with_suffix(".tokenizer.json"), folder / "raws", limit=2).list_file
        source = quantize(model, listed, folder / "m.qdq.onnx", QuantizationOptions(bits)).qdq
    changed = float_path(source)
    return Made(changed if changed.is_file() else model, source, convert(source, folder / f"m.{precision}.dlc").dlc)


def plain(name: str) -> str:
    """A tensor's name as the runtime changes it."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def _as_composed(tensor: Tensor) -> ComposedTensor:
    encoding = tensor.encoding
    numbers = (encoding.axis, encoding.scales, encoding.offsets) if encoding else None
    data = None if tensor.data is None else bytes(tensor.data)
    return ComposedTensor(plain(tensor.name), tensor.shape, tensor.dtype.code, _KINDS[tensor.role], numbers, data)


def _same_node(seen: Composed, index: int, node: Node) -> None:
    found = seen.nodes[index]
    assert (found.name, found.kind) == (node.name, _RENAMED.get(node.type, node.type))
    assert found.inputs == tuple(map(plain, node.inputs))
    assert found.outputs == tuple(map(plain, node.outputs))
    scalars = {name: value for name, value in node.attributes.items() if not isinstance(value, Tensor)}
    assert scalars.pop("packageName") == "qti.aisw"
    assert set(found.scalars) == set(scalars)
    for name, value in found.scalars.items():
        assert value == pytest.approx(scalars[name], rel=1e-6, abs=0)
    tensors = {name: value for name, value in node.attributes.items() if isinstance(value, Tensor)}
    assert found.tensors == {name: _as_composed(value) for name, value in tensors.items()}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_runtimes_own_reader_finds_the_same(
    family: str, precision: str, make: Callable[[str, str], Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every operation with its parameters, and every tensor with shape, type, encoding and each byte of its data."""
    file = make(family, precision).file
    with composed(file, DEFAULT, monkeypatch) as (seen, session), dlc.open(file) as opened:
        graph = opened.graph
        assert len(seen.nodes) == len(graph.nodes) > 60
        for index, node in enumerate(graph.nodes):
            _same_node(seen, index, node)
        everything = [*graph.tensors.values(), *(tensor for node in graph.nodes for tensor in node.tensors())]
        assert seen.tensors == {plain(tensor.name): _as_composed(tensor) for tensor in everything}
        assert len(seen.tensors) == len(everything)
        assert session.graph_name == graph.name
        for ours, theirs in ((graph.inputs, session.inputs), (graph.outputs, session.outputs)):
            assert {plain(tensor.name): (tensor.shape, tensor.dtype, tensor.encoding) for tensor in ours} == {
                spec.name: (spec.shape, spec.dtype, spec.encoding) for spec in theirs
            }


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_of_the_source_graph_is_missing(family: str, precision: str, make: Callable[[str, str], Made]) -> None:
    made = make(family, precision)
    source = onnx.shape_inference.infer_shapes(load(made.model))
    kinds = Counter(node.op_type for node in source.graph.node)
    with dlc.open(made.file) as opened:
        graph, found = opened.graph, describe(opened).graphs[0]
        products = kinds["MatMul"] + kinds["Gemm"]
        assert found.operations["MatMul"] + found.operations["FullyConnected"] == products > 10
        for theirs, ours in (("Softmax", "Softmax"), ("LayerNormalization", "LayerNorm"), ("Split", "Split")):
            assert found.operations.get(ours, 0) == kinds[theirs]
        assert found.macs.uncounted == {}
        assert found.macs.total == _onnx_macs(source)
        assert _missing_weights(source, graph) == []
        assert check(opened) == []


def _onnx_macs(model: onnx.ModelProto) -> int:
    """Multiply-accumulates of the ONNX graph's matrix products."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        shapes[value.name] = tuple(size.dim_value for size in value.type.tensor_type.shape.dim)
    total = 0
    for node in model.graph.node:
        if node.op_type in {"MatMul", "Gemm"}:
            transposed = any(item.name == "transA" and item.i for item in node.attribute)
            depth = shapes[node.input[0]][-2 if transposed else -1]
            total += int(np.prod(shapes[node.output[0]])) * depth
    return total


def _missing_weights(model: onnx.ModelProto, graph: Graph) -> list[str]:
    """Float constants with more than one element that the DLC does not hold, to the accuracy of its encodings."""
    held: dict[int, list[tuple[np.ndarray, float]]] = {}
    for tensor in graph.with_role("static"):
        step = max(tensor.encoding.scales) if tensor.encoding else 0.0
        held.setdefault(tensor.spec.elements, []).append((np.sort(tensor.real_values().ravel()), step))
    missing = []
    for constant in model.graph.initializer:
        values = onnx.numpy_helper.to_array(constant)
        if values.dtype == np.float32 and values.size > 1:
            wanted = np.sort(values.ravel())
            near = (np.abs(other - wanted).max() <= step + 1e-6 for other, step in held.get(values.size, []))
            missing += [] if any(near) else [constant.name]
    return missing


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_encoding_that_was_applied_comes_back(
    family: str, precision: str, make: Callable[[str, str], Made], tmp_path: Path
) -> None:
    made = make(family, precision)
    asked = load_encodings(made.encodings)
    older = load_encodings(made.encodings.with_name("m.legacy.encodings"))
    with dlc.open(made.file) as opened:
        for rows in (asked, older):
            found = audit(opened, rows)
            assert found.counts()["changed"] == 0
            folded = [row for row in found.rows if row.verdict == "ignored"]
            assert all("Constant" in row.name for row in folded), "only folded constants may be missing"
        assert len({row.name for row in asked}) == len(asked)
        quantized = sum(tensor.dtype.is_fixed_point for tensor in opened.graph.tensors.values())
        assert len(encodings_of(opened)) == quantized == describe(opened).graphs[0].encodings
    for version, source in (("1.0.0", asked), ("0.6.1", older)):
        target = tmp_path / f"{version}.encodings"
        extract(made.file, target, version, onnx_names=True)  # type: ignore[arg-type]
        extracted = {row.name: row for row in load_encodings(target)}
        for row in source:
            if row.name in extracted:
                _same_encoding(row.name, extracted[row.name], row)


def _same_encoding(name: str, found: object, asked: object) -> None:
    for key in ("bits", "offsets"):
        assert getattr(found, key) == getattr(asked, key), name
    assert getattr(found, "scales") == pytest.approx(getattr(asked, "scales"), rel=1e-6), name  # noqa: B009


def test_a_file_prepared_for_three_socs_is_described_completely(
    make: Callable[[str, str], Made], tmp_path: Path
) -> None:
    file = make("bert", "w8a16").file
    prepare(file, tmp_path / "p.w8a16.dlc", parse_socs("sm8550,sm8650,sm8750"))
    with dlc.open(file) as before, dlc.open(tmp_path / "p.w8a16.dlc") as after:
        found = describe(after)
        assert [(cache.soc, cache.arch) for cache in found.caches] == [("sm8550", 73), ("sm8650", 75), ("sm8750", 79)]
        assert all(cache.vtcm_mb and cache.built_by and cache.date and cache.graphs for cache in found.caches)
        assert sum(found.records.values()) < found.bytes
        caches = {name for name in found.records if name.startswith("htp.cache")}
        assert {cache.record for cache in found.caches} == caches
        assert check(after) == []
        assert found.targets[-2].where == "HTP of sm8550, sm8650, sm8750, at once"
        changes = difference(before, after)
        assert {item.name for item in changes.caches} == caches
        assert [changes.ops, changes.tensors, changes.encodings, changes.weights] == [[], [], [], []]


@pytest.mark.parametrize(
    ("precision", "soc"),
    [
        ("w8a8", "sm8350"),
        ("w8a16", "sm8635"),
        ("w16a16", "sm8450"),
        ("w16a16", "sm8550"),
        ("fp16", "sm8450"),
        ("fp16", "sm8635"),
    ],
)
def test_where_a_file_runs_is_what_the_compiler_says(
    precision: str, soc: str, make: Callable[[str, str], Made], tmp_path: Path
) -> None:
    """The emulator's compiler does not refuse float maths for v68, which has none; that one is not asked."""
    file = make("bert", precision).file
    with dlc.open(file) as opened:
        expected = need_of(opened).fits(BY_NAME[soc])
    try:
        isolated(_add_cache, file, tmp_path / "p.dlc", BY_NAME[soc])
        compiled = True
    except QnnError:
        compiled = False
    assert compiled == expected


def test_the_document_lists_every_operation_tensor_encoding_and_record(make: Callable[[str, str], Made]) -> None:
    with dlc.open(make("mobilebert", "w8a16").file) as opened:
        graph = opened.graph
        found = json.loads(json.dumps(document(opened), default=str))
        (listed,) = found["graphs"]
        assert [op["name"] for op in listed["ops"]] == [node.name for node in graph.nodes]
        assert [tensor["name"] for tensor in listed["tensors"]] == list(graph.tensors)
        scales = sum(len(tensor["encoding"]["scales"]) for tensor in listed["tensors"] if tensor["encoding"])
        assert scales == sum(len(tensor.encoding.scales) for tensor in graph.tensors.values() if tensor.encoding)
        assert [record["name"] for record in found["records"]] == list(opened.container.records)


def test_names_that_the_compiler_changes_are_no_stale_cache(tmp_path: Path) -> None:
    weights = {"w:0": np.ones((4, 3), np.float32)}
    node = onnx.helper.make_node("MatMul", ["in/x:0", "w:0"], ["out/y:0"], name="n/1")
    onnx.save(make_model([node], {"in/x:0": (1, (2, 4))}, {"out/y:0": (2, 3)}, weights), tmp_path / "m.onnx")
    file = convert(tmp_path / "m.onnx", tmp_path / "m.dlc").dlc
    prepare(file, tmp_path / "p.dlc", [DEFAULT])
    with dlc.open(tmp_path / "p.dlc") as prepared:
        assert [tensor.name for tensor in prepared.graph.inputs] == ["in/x:0"]
        assert check(prepared) == []


def test_a_cache_of_another_graph_is_found(make: Callable[[str, str], Made], tmp_path: Path) -> None:
    """The graph of one DLC beside the compiled context and metadata of another."""
    made = make("bert", "w8a16")
    prepare(made.file, tmp_path / "p.dlc", [DEFAULT])
    other = convert(make("mobilebert", "w8a16").source, tmp_path / "o.dlc", name="other").dlc
    with dlc.open(tmp_path / "p.dlc") as prepared, dlc.open(other) as replaced:
        records = {name: bytes(prepared.container.data(name)) for name in prepared.container.records}
        for name in ("model", "model.params", "model.params.bin"):
            records[name] = bytes(replaced.container.data(name))
    with dlc.open(write_zip(tmp_path / "mixed.dlc", records)) as mixed:
        assert [finding.check for finding in check(mixed)] == ["stale cache"]


@pytest.mark.parametrize(
    ("socs", "what"),
    [("57", "is a QNN context binary"), ("43,57,69", "compiled contexts for sm8550, sm8650, sm8750")],
)
def test_compiled_contexts_of_onnx_runtime_are_recognised(
    make: Callable[[str, str], Made], tmp_path: Path, socs: str, what: str
) -> None:
    program = Path(__file__).parent / "compile_context.py"
    finished = run_process([sys.executable, program, make("bert", "w8a16").source, tmp_path / "c.onnx", socs])
    assert finished.status == 0, finished.output
    with pytest.raises(DlcError, match=r"an ONNX file with an EPContext node"):
        dlc.open(tmp_path / "c.onnx")
    with pytest.raises(DlcError, match=what):
        dlc.open(tmp_path / "c_qnn.bin")

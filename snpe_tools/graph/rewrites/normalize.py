"""One form for every model: functions inlined, constants as initializers, a recent opset, float32, known output shapes.

None of it changes what the model computes; float16 and double are computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.core.errors import OnnxError
from snpe_tools.graph.rewrites.editing import Change, describe, drop, drop_unread, readers_by_name, subgraphs

if TYPE_CHECKING:
    import onnx

LOWEST_OPSET = 17
"""What is older is raised: below 13, ReduceSum and others have their axes elsewhere; 17 has LayerNormalization."""

_OWN_INITIALIZERS = 4
"""IR version from which initializers need not be listed among the graph's inputs."""
_MOVES = {"Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
_VALUES = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}


def inline_functions(model: onnx.ModelProto) -> list[Change]:
    """Put the nodes of local functions in place of their calls."""
    if not model.functions:
        return []
    from onnx import inliner

    names = sorted({function.name for function in model.functions})
    calls = [describe(node) for node in model.graph.node if node.op_type in names]
    model.CopyFrom(inliner.inline_local_functions(model))
    used = {node.domain for node in model.graph.node}
    drop(model.opset_import, lambda entry: entry.domain not in {"", "ai.onnx"} and entry.domain not in used)
    return [
        Change("inline-function", call, "the quantizer and the converter read no local functions") for call in calls
    ]


def constants_as_initializers(model: onnx.ModelProto) -> list[Change]:
    """Make initializers of Constant nodes, and take initializers out of the graph's inputs.

    Initializers that are inputs (opset 8 and older demanded it) are defaults that a caller may replace; none does.
    """
    from onnx import numpy_helper

    for node in model.graph.node:
        tensor = _constant_value(node) if node.op_type == "Constant" else None
        if tensor is not None:
            model.graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(tensor), node.output[0]))
    made = {tensor.name for tensor in model.graph.initializer}
    drop(model.graph.node, lambda node: node.op_type == "Constant" and node.output[0] in made)
    drop(model.graph.input, lambda value: value.name in made)
    return []


def _constant_value(node: onnx.NodeProto) -> onnx.TensorProto | None:
    from onnx import helper, numpy_helper

    for one in node.attribute:
        if one.name == "value":
            return one.t
        if one.name in _VALUES:
            return numpy_helper.from_array(np.array(helper.get_attribute_value(one), _VALUES[one.name]))
    return None


def fold_constants(model: onnx.ModelProto) -> list[Change]:
    """Compute what only moves, casts or reshapes constants: a weight behind a Transpose is a weight."""
    from onnx import numpy_helper, reference

    held = {tensor.name: tensor for tensor in model.graph.initializer}
    folded = set[str]()
    for node in model.graph.node:
        if (
            node.op_type in _MOVES
            and node.domain in {"", "ai.onnx"}
            and all(name in held for name in node.input if name)
        ):
            arrays = {name: numpy_helper.to_array(held[name]) for name in node.input if name}
            (result,) = reference.ReferenceEvaluator(_alone(model, node)).run(None, arrays)
            tensor = numpy_helper.from_array(np.ascontiguousarray(result).reshape(result.shape), node.output[0])
            held[node.output[0]] = tensor
            folded.add(node.output[0])
    outputs = {value.name for value in model.graph.output}
    model.graph.initializer.extend(held[name] for name in folded - outputs)
    drop(model.graph.node, lambda node: node.output[0] in folded - outputs)
    drop_unread(model)
    return []


def _alone(model: onnx.ModelProto, node: onnx.NodeProto) -> onnx.ModelProto:
    from onnx import ValueInfoProto, helper

    inputs = [ValueInfoProto(name=name) for name in node.input if name]
    outputs = [ValueInfoProto(name=node.output[0])]
    return helper.make_model(helper.make_graph([node], "one", inputs, outputs), opset_imports=model.opset_import)


def drop_empty_roi(model: onnx.ModelProto) -> list[Change]:
    """Leave out the empty `roi` of Resize: it has no smallest value, and quantizers take that for infinity."""
    empty = {tensor.name for tensor in model.graph.initializer if 0 in tensor.dims}
    changes = []
    for node in model.graph.node:
        if node.op_type == "Resize":
            for index in (1, 2):
                if len(node.input) > index and node.input[index] in empty:
                    node.input[index] = ""
                    changes.append(Change("empty-roi", describe(node), "an empty constant has no range"))
    drop_unread(model)
    return changes[:1] if len({change.node for change in changes}) == 1 else changes


def raise_opset(
    model: onnx.ModelProto, target: int = LOWEST_OPSET, reason: str = "older ones are not quantized"
) -> list[Change]:
    """Convert the model to opset `target` where it is older.

    Raises:
        OnnxError: onnx has no conversion for one of its operations.
    """
    from onnx import version_converter

    entry = next((one for one in model.opset_import if one.domain in {"", "ai.onnx"}), None)
    if entry is None or entry.version >= target:
        return []
    before = entry.version
    try:
        model.ir_version = max(model.ir_version, _OWN_INITIALIZERS)
        model.CopyFrom(version_converter.convert_version(model, target))
        constants_as_initializers(model)
    except Exception as problem:  # what the C++ core throws
        words = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        raise OnnxError(
            f"The model has opset {before}, and onnx cannot convert it to {target}: {words}",
            f"Export it again with opset {target} or later.",
        ) from problem
    return [Change("raise-opset", f"opset {before}", f"raised to {target}: {reason}")]


def use_float32(model: onnx.ModelProto) -> list[Change]:
    """Make float16, bfloat16 and double tensors float32, in place, and drop the Casts between them.

    The HTP computes float operations in fp16 in any case; ranges are observed in float32.
    """
    other = _other_floats()
    if not any(_has_type(graph, other) for graph in _graphs(model.graph)):
        return []
    for graph in _graphs(model.graph):
        _float32_graph(graph, other)
    _drop_same_casts(model)
    return [Change("float32", "the model", "float16 and double are computed in float32, and stored so")]


def _other_floats() -> set[int]:
    from onnx import TensorProto

    return {TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for inner in subgraphs(node):
            yield from _graphs(inner)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        yield from (one.t for one in node.attribute if one.HasField("t"))


def _has_type(graph: onnx.GraphProto, kinds: set[int]) -> bool:
    values = (*graph.input, *graph.output)
    casts = (one.i for node in graph.node for one in node.attribute if one.name in {"to", "dtype"})
    found = {*(tensor.data_type for tensor in _tensors(graph)), *(v.type.tensor_type.elem_type for v in values), *casts}
    return bool(found & kinds)


def _float32_graph(graph: onnx.GraphProto, other: set[int]) -> None:
    from onnx import TensorProto, numpy_helper

    for tensor in _tensors(graph):
        if tensor.data_type in other:
            array = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type in other:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for one in node.attribute:
            if one.name in {"to", "dtype", "stash_type"} and one.i in other:
                one.i = TensorProto.FLOAT


def _drop_same_casts(model: onnx.ModelProto) -> None:
    """Remove Casts that change nothing any more."""
    from onnx import TensorProto

    from snpe_tools.graph.rewrites.editing import Graph, attribute

    graph = Graph(model)
    for node in list(model.graph.node):
        same = node.op_type == "Cast" and attribute(node, "to") == TensorProto.FLOAT
        if same and graph.element_type(node.input[0]) == TensorProto.FLOAT:
            bypass(model, node)


def bypass(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    """Let all that reads a node's output read its input instead; where that is an output of the graph, it stays."""
    name, source = node.output[0], node.input[0]
    if any(value.name == name for value in model.graph.output):
        node.op_type = "Identity"
        del node.attribute[:]
        return
    for reader in readers_by_name(model.graph.node).get(name, []):
        rename_reads(reader, name, source)
    drop(model.graph.node, lambda one: one.output[:1] == [name])


def rename_reads(node: onnx.NodeProto, name: str, other: str) -> None:
    """Let a node, and its subgraphs, read another tensor."""
    for index, used in enumerate(node.input):
        if used == name:
            node.input[index] = other
    for graph in subgraphs(node):
        for inner in graph.node:
            rename_reads(inner, name, other)
        for value in graph.output:
            if value.name == name:
                value.name = other


def infer_outputs(model: onnx.ModelProto) -> list[Change]:
    """Give outputs whose dimensions are not fixed (-1, a name) the shapes that follow from the inputs."""
    from snpe_tools.graph.loading import infer_types

    open_ones = [value for value in model.graph.output if not _fixed(value)]
    if not open_ones:
        return []
    skeleton = type(model)()
    skeleton.CopyFrom(model)
    for value in skeleton.graph.output:
        if not _fixed(value):
            value.type.tensor_type.ClearField("shape")
    found = {value.name: value for value in infer_types(skeleton).graph.output}
    changes = []
    for value in open_ones:
        if _fixed(found[value.name]):
            value.CopyFrom(found[value.name])
            changes.append(Change("infer-output", f"output {value.name!r}", "its shape follows from the inputs"))
    return changes


def _fixed(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    return tensor.HasField("shape") and all(dim.HasField("dim_value") and dim.dim_value > 0 for dim in tensor.shape.dim)


Step = Callable[["onnx.ModelProto"], list[Change]]
STEPS: tuple[Step, ...] = (
    inline_functions,
    constants_as_initializers,
    raise_opset,
    use_float32,
    fold_constants,
    drop_empty_roi,
    infer_outputs,
)


def normalize(model: onnx.ModelProto) -> list[Change]:
    """Bring a model, in place, into the form that rewrites and the quantizer read.

    Raises:
        OnnxError: its opset is too old to be converted.
    """
    return [change for step in STEPS for change in step(model)]

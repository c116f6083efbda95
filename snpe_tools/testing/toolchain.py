"""What every toolchain has to do: make a DLC that computes what the ONNX model computes, and compile caches into it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import snpe_tools.dlc as dlc_format
from snpe_tools.core.errors import UsageError
from snpe_tools.core.precision import Precision
from snpe_tools.core.raw_files import write_inputs
from snpe_tools.core.socs import BY_NAME, DEFAULT
from snpe_tools.graph.loading import input_specs, load, output_specs, save
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.testing.refusal import refuses
from snpe_tools.toolchains import Conversion, Preparation, Quantization, Toolchain

_SOCS = (DEFAULT, BY_NAME["sm8550"])


class ToolchainSuite:
    """Inherit this, and define the fixture `toolchain`. The tests convert a model of two layers: some seconds."""

    def test_it_names_itself(self, toolchain: Toolchain) -> None:
        """Another label makes another DLC, so it may not change by itself."""
        assert toolchain.label.strip() == toolchain.label != ""
        assert toolchain.label == toolchain.label

    def test_a_dlc_has_the_models_inputs_and_outputs(self, toolchain: Toolchain, tmp_path: Path) -> None:
        """By the same names, in the same order, with the same shapes; and the graph has its name."""
        job = self.job(tmp_path)
        before = job.onnx.read_bytes()
        with dlc_format.open(self._converted(toolchain, job)) as dlc:
            assert [(one.name, tuple(one.shape)) for one in dlc.graph.inputs] == [("x", (4, 8))]
            assert [(one.name, tuple(one.shape)) for one in dlc.graph.outputs] == [("y", (4, 8))]
            assert dlc.graph.name == "tiny"
        assert job.onnx.read_bytes() == before, "the model was changed"

    def test_caches_are_added_for_each_soc(self, toolchain: Toolchain, tmp_path: Path) -> None:
        """And the DLC that was given stays as it is."""
        source = self._converted(toolchain, self.job(tmp_path))
        before = source.read_bytes()
        (tmp_path / "prepared").mkdir()
        told: list[int] = []
        made = toolchain.prepare(
            Preparation(source, _SOCS, tmp_path / "m.prepared.dlc"),
            tmp_path / "prepared",
            lambda count=1, note="": told.append(count + 0 * len(note)),
        )
        with dlc_format.open(made.dlc) as dlc:
            assert {cache.soc for cache in dlc.caches} == {soc.name for soc in _SOCS}
            assert [one.name for one in dlc.graph.outputs] == ["y"]
        assert source.read_bytes() == before, "the DLC was changed"
        assert sum(told) == len(_SOCS), "progress counts SoCs"

    def test_it_quantizes_or_says_that_it_does_not(self, toolchain: Toolchain, tmp_path: Path) -> None:
        """A toolchain reads QDQ models or quantizes float ones; what it does not do it refuses."""
        job = self.job(tmp_path)
        values = np.random.default_rng(0).normal(size=(4, 4, 8)).astype(np.float32)
        listed = write_inputs(tmp_path / "raws", {"x": values}, job.inputs, ["y"])
        options = QuantizationOptions(Precision.parse("w8a16"))
        asked = Conversion(
            job.onnx, job.source, job.graph, job.inputs, job.outputs, job.soc, job.target, Quantization(options, listed)
        )
        if toolchain.reads_qdq:
            with refuses(UsageError):
                self._converted(toolchain, asked)
            return
        with dlc_format.open(self._converted(toolchain, asked)) as dlc:
            assert dlc.is_quantized

    def job(self, folder: Path) -> Conversion:
        """The conversion of a float model, two products with a ReLU between; its ONNX lies in the scratch folder."""
        file = folder / "scratch" / "tiny.onnx"
        file.parent.mkdir()
        save(_model(), file)
        model = load(file)
        source, target = folder / "it's mine.onnx", folder / "tiny.dlc"
        return Conversion(file, source, "tiny", input_specs(model), output_specs(model), DEFAULT, target)

    def _converted(self, toolchain: Toolchain, job: Conversion) -> Path:
        made = toolchain.convert(job, job.onnx.parent)
        assert made.dlc.is_relative_to(job.onnx.parent), "a DLC is made in the scratch folder, and moved when checked"
        return made.dlc


def _model() -> onnx.ModelProto:
    generator = np.random.default_rng(0)
    weights = [numpy_helper.from_array(generator.normal(size=(8, 8)).astype(np.float32), name) for name in ("w", "v")]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="h"),
        helper.make_node("Relu", ["h"], ["r"], name="r"),
        helper.make_node("MatMul", ["r", "v"], ["y"], name="y"),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (4, 8)) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "tiny", values[:1], values[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)

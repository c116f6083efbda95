"""AIMET's quantization simulator, driven by ranges we collect or by its own calibration pass."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from snpe_tools.core.calibration_methods import METHODS, Method
from snpe_tools.core.errors import OnnxError, SetupError, UsageError
from snpe_tools.core.precision import Precision
from snpe_tools.core.tensor_spec import Array
from snpe_tools.graph.ranges import Ranges
from snpe_tools.quantization.converts import insert_converts
from snpe_tools.quantization.operations import Operation, find_operations, moved_from
from snpe_tools.quantization.plan import Plan

if TYPE_CHECKING:
    import onnx

_SCHEMES: dict[Method, str] = {"min-max": "min_max", "mse": "tf_enhanced", "percentile": "percentile"}
"""Each method by AIMET's name."""
"""AIMET's names. Its tf_enhanced scheme minimizes the squared error of rounding plus clipping."""


_SEPARATE = {"LeakyRelu", "PRelu", "HardSwish"}
"""Activations that the HTP computes by themselves."""
_PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "BatchNormalization", "Transpose"}
"""Operations whose result AIMET's rules may not quantize, since an activation reads it."""
_WIDE_BITS = 16
_RULES = "htp_v73"
"""AIMET's rules of Hexagon v73, the same as those of v75, v79 and v81. The DLCs run on v68 and v69 as well, which the
integration tests check; under AIMET's own rules for those the converter refuses int32 biases.
"""


@dataclass(frozen=True)
class QuantizationOptions:
    """How to quantize.

    Attributes:
        precision: bits of weights and activations.
        method: how activation ranges become encodings.
        per_channel: one weight encoding per output channel instead of one per tensor.
        percentile: share of values that stay inside the range, in percent, for the percentile method.
        plan: which activations get 16 bits, of a mixed precision.
    """

    precision: Precision
    method: Method = "min-max"
    per_channel: bool = True
    percentile: float = 99.99
    plan: Plan | None = None


@dataclass(frozen=True)
class QuantizerSpec:
    """How one tensor is quantized: bits, symmetric or not, and the axis of per-channel weights (None: per tensor)."""

    bits: int
    symmetric: bool
    axis: int | None


def parse_method(text: str) -> Method:
    """The calibration method that `text` names.

    Raises:
        UsageError: it names none.
    """
    for method in METHODS:
        if method == text:
            return method
    raise UsageError(f"Unknown calibration method {text!r}.", f"Known methods: {', '.join(METHODS)}.")


class Simulator:
    """A model with a quantizer at every point where the HTP stores integers.

    Args:
        model: float ONNX, fixed shapes; it is copied.
        options: how to quantize.

    Raises:
        SetupError: `aimet-onnx` is not installed.
        OnnxError: AIMET does not accept the model.
    """

    def __init__(self, model: onnx.ModelProto, options: QuantizationOptions) -> None:
        self.options, self._model = options, model
        self._narrow: dict[str, tuple[float, float]] = {}
        quantsim = _aimet()
        copy = type(model)()
        copy.CopyFrom(model)
        try:
            with _quiet():
                self.sim = quantsim.QuantizationSimModel(
                    copy,
                    param_type=f"int{options.precision.weights}",
                    activation_type=f"int{options.precision.activations}",
                    quant_scheme=_scheme(options.method),
                    config_file=_RULES,
                )
        except (RuntimeError, ValueError, AssertionError) as problem:
            raise OnnxError(f"AIMET does not accept the model: {problem}") from problem
        self._settle_quantizers()
        for name, quantizer in self.sim.qc_quantize_op_dict.items():
            if name in self.sim.param_names and not options.per_channel:
                quantizer.enable_per_channel_quantization(enable=False)
            if options.method == "percentile":
                quantizer._tensor_quantizer.setPercentileValue(options.percentile)

    def _settle_quantizers(self) -> None:
        """What AIMET's rules leave out gets a quantizer where it must be stored.

        The rules take a product and the activation behind it for one operation. It is two where the HTP computes the
        activation by itself.
        """
        nodes = self._model.graph.node
        alone = {node.input[0] for node in nodes if node.op_type in _SEPARATE}
        produced = {name for node in nodes if node.op_type in _PRODUCTS for name in node.output}
        for name in produced & alone & set(self.sim.qc_quantize_op_dict):
            self.sim.qc_quantize_op_dict[name].enabled = True

    @property
    def activations(self) -> list[str]:
        """Names of the activation tensors that get an encoding."""
        quantizers = self.sim.qc_quantize_op_dict
        return [name for name in self.sim.activation_names if name in quantizers and quantizers[name].enabled]

    def quantizers(self) -> dict[str, QuantizerSpec]:
        """Every tensor that is quantized to at most 16 bits, by name; int32 biases are as good as float."""
        return {
            name: QuantizerSpec(
                quantizer.bitwidth,
                quantizer.use_symmetric_encodings,
                quantizer.quant_info.channelAxis if quantizer.quant_info.usePerChannelMode else None,
            )
            for name, quantizer in self.sim.qc_quantize_op_dict.items()
            if quantizer.enabled
        }

    @cached_property
    def operations(self) -> list[Operation]:
        """The operations that get an activation encoding, in order of execution."""
        return find_operations(self._model, self.activations)

    def steps(self, bits: int) -> dict[str, float]:
        """The step between two values of each activation of so many bits, by tensor, once they are calibrated."""
        quantizers = self.sim.qc_quantize_op_dict
        narrow = {name: quantizers[name] for name in self.activations if quantizers[name].bitwidth == bits}
        return {name: quantizer.get_encodings()[0].delta for name, quantizer in narrow.items()}

    def widen(self, tensors: Collection[str], narrow: Mapping[str, tuple[float, float]] | None = None) -> None:
        """Give these activations 16 bits, and all others those of the precision; calibrate again afterwards.

        Args:
            narrow: the ranges that their readers of 8 bits see; their own where nothing is told.
        """
        self._narrow = dict(narrow or {})
        for name in self.sim.activation_names:
            if name in self.sim.qc_quantize_op_dict:
                bits = _WIDE_BITS if name in tensors else self.options.precision.activations
                self.sim.qc_quantize_op_dict[name].set_bitwidth(bits)

    def calibrate_from_ranges(self, ranges: Ranges, constants: Mapping[str, Array]) -> None:
        """Set min-max encodings from observed ranges, with no further inference."""
        observed = ranges.as_dict()
        with self._computing():
            for name, quantizer in self.sim.qc_quantize_op_dict.items():
                if quantizer.enabled:
                    quantizer.update_encoding_stats(_limited(quantizer, _statistics(name, observed, constants)))

    def calibrate(self, windows: Iterable[Mapping[str, Array]], advance: Callable[[], None]) -> None:
        """AIMET's own pass: it keeps a histogram of every activation, whatever the number of windows."""
        with self._computing():
            for inputs in windows:
                _require_finite(self.sim.session.run(None, dict(inputs)))
                advance()

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        with _quiet(), _aimet().compute_encodings(self.sim):
            yield

    def qdq_model(self) -> onnx.ModelProto:
        """The QDQ model: integer weights, unsigned activations, int32 biases.

        The biases matter: with a float bias the converter leaves LayerNormalization in float, with a conversion on
        either side. On a BERT of 6 layers int32 biases removed 26 Dequantize and 13 Quantize operations from the DLC.
        """
        with _quiet():
            model = self.sim.to_onnx_qdq(export_int32_bias=True, prequantize_constants=True)
        if self.options.precision.mixed:
            source = moved_from(self._model, self.activations)
            insert_converts(model, {name: self._narrow[of] for name, of in source.items() if of in self._narrow})
        return model

    def encodings(self, version: Literal["0.6.1", "1.0.0"]) -> dict[str, Any]:
        """The encodings file's content, in the AIMET format `version`."""
        sim = self.sim
        with _quiet(), sim._concretize_int32_bias_quantizers():
            parameters = sim._get_encodings(sim.param_names, version)
            activations = sim._get_encodings(sim.activation_names, version)
        return {
            "version": version,
            "activation_encodings": activations,
            "param_encodings": parameters,
            "quantizer_args": sim.quant_args,
        }


def _require_finite(outputs: Iterable[Array]) -> None:
    bad = sum(int(np.count_nonzero(~np.isfinite(output))) for output in outputs)
    if bad:
        raise OnnxError(
            f"{bad} numbers of the outputs are NaN or infinite.",
            "Such a model cannot be quantized: check the checkpoint and the inputs.",
        )


def _statistics(name: str, observed: Mapping[str, tuple[float, float]], constants: Mapping[str, Array]) -> Array:
    if name in constants:
        return np.ascontiguousarray(constants[name], np.float32)
    if name not in observed:
        raise OnnxError(
            f"No range was observed for the tensor {name!r}.",
            "This is a defect of snpe-tools; please report the model.",
        )
    return np.array(observed[name], np.float32)


def _limited(quantizer: Any, statistics: Array) -> Array:  # noqa: ANN401 - AIMET's
    """Statistics within the ends that a quantizer is bound to, such as 0 below a Relu.

    AIMET finds the step first and applies the bound afterwards: of -2000 to 3, bound to 0, nothing would be left.
    """
    low = (quantizer._encoding_min_max_fixed_vals or (None, None))[0]
    return statistics if low is None else np.maximum(statistics, np.float32(low))


def _scheme(method: Method) -> Any:  # noqa: ANN401 - an enum of a heavy package
    from aimet_onnx.common.defs import QuantScheme

    return QuantScheme.from_str(_SCHEMES[method])


def _aimet() -> Any:  # noqa: ANN401 - a heavy package, imported late
    try:
        from aimet_onnx import quantsim
    except ImportError as problem:
        raise SetupError(f"aimet-onnx cannot be imported: {problem}.", "make venv, or: snpe-tools doctor") from problem
    return quantsim


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """AIMET logs each adjusted weight and warns about deprecations of its own: keep errors only."""
    names = ("Quant", "Utils", "ConnectedGraph", "Default")
    levels = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)

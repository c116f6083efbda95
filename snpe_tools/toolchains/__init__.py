"""Who makes a DLC from an ONNX model, and compiles caches into it.

`pypi` (ONNX Runtime QNN) needs nothing but `pip install`; `sdk` calls the tools of the user's SNPE or QAIRT SDK.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from snpe_tools.core.progress import Advance
from snpe_tools.core.socs import Soc
from snpe_tools.core.tensor_spec import TensorSpec
from snpe_tools.quantization.simulator import QuantizationOptions


@dataclass(frozen=True)
class Quantization:
    """How a toolchain is to quantize a float model.

    Attributes:
        input_list: calibration inputs, float32 raws.
        encodings: AIMET encodings to apply, format 1.0.0 or 0.6.1; None lets the toolchain find its own.
    """

    options: QuantizationOptions
    input_list: Path
    encodings: Path | None = None


@dataclass(frozen=True)
class Conversion:
    """A model to convert.

    Attributes:
        onnx: what is converted, in the scratch folder: fixed shapes, int32 inputs, float or QDQ.
        source: the user's own file, to name in errors.
        graph: name of the graph inside the DLC.
        inputs, outputs: the model's, in its order.
        soc: the SoC whose HTP decides which operations are supported.
        target: the DLC that the user gets; the toolchain's log goes beside it.
        quantization: what to quantize with; None where `onnx` is QDQ or stays float.
    """

    onnx: Path
    source: Path
    graph: str
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    soc: Soc
    target: Path
    quantization: Quantization | None = None


@dataclass(frozen=True)
class Preparation:
    """A DLC to compile for SoCs; `target` is the DLC that the user gets."""

    dlc: Path
    socs: Sequence[Soc]
    target: Path


@dataclass(frozen=True)
class NewDlc:
    """A DLC in the scratch folder, and what its provenance should say of how it was made."""

    dlc: Path
    notes: dict[str, Any] = field(default_factory=dict)


class Toolchain(Protocol):
    """Makes a DLC, and compiles caches into it."""

    @property
    def label(self) -> str:
        """Name and version: another label makes another DLC."""

    @property
    def reads_qdq(self) -> bool:
        """Whether a quantized model reaches it as QDQ ONNX, instead of float ONNX and a `Quantization`."""

    def convert(self, job: Conversion, folder: Path) -> NewDlc:
        """Write the DLC of a model into a scratch folder.

        Raises:
            ConversionError: the model is refused, or what was written is not what was asked for.
            SetupError: a part of the toolchain is missing.
        """

    def prepare(self, job: Preparation, folder: Path, advance: Advance) -> NewDlc:
        """Write a copy of a DLC with a compiled cache for each SoC into a scratch folder.

        Raises:
            ConversionError: there is no cache for a SoC.
            SetupError: a part of the toolchain is missing.
        """

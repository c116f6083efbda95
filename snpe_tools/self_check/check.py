"""One inference of a DLC on the emulator, beside its ONNX model on ONNX Runtime, and what to make of the difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snpe_tools.core.errors import DivergenceError, DlcError, ExecutionError, SetupError, SnpeToolsError
from snpe_tools.core.raw_files import InputList, check_list, named, read_inputs
from snpe_tools.core.socs import Soc
from snpe_tools.core.tensor_spec import Array, TensorSpec
from snpe_tools.graph.loading import constant_tensors
from snpe_tools.graph.quantized_io import real_inputs, real_outputs
from snpe_tools.graph.session import explained, plain_session
from snpe_tools.qnn.isolation import isolated
from snpe_tools.qnn.session import Session
from snpe_tools.self_check.feeds import fits, random_feeds
from snpe_tools.self_check.listed import CalibrationList
from snpe_tools.self_check.verdict import Bounds, Output, bounds_for, compare_outputs

if TYPE_CHECKING:
    import onnx

Feed = dict[str, Array]
Explain = Callable[[Mapping[str, Array]], str]
"""Which operation is at fault, in words, given the inputs; "" where none can be named."""


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        figure: of the worst output, in words: "38.1 dB", "equal"; "" where nothing was compared.
        sqnr_db: of the worst output; None where it is equal, or counted otherwise.
        inputs: where the inputs came from.
        outputs: figures of each output.
        skipped: why nothing was compared, "" where it was.
        warnings: what is doubtful.
    """

    figure: str = ""
    sqnr_db: float | None = None
    inputs: str = ""
    outputs: tuple[Output, ...] = ()
    skipped: str = ""
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"NOT checked: {self.skipped}" if self.skipped else f"checked on the emulator: {self.figure}"

    def notes(self) -> dict[str, object]:
        """For provenance."""
        outputs = {one.name: str(one) for one in self.outputs}
        return {"result": str(self), "inputs": self.inputs, "outputs": outputs}


@dataclass(frozen=True)
class Subject:
    """What is checked.

    Attributes:
        model: the ONNX model that the toolchain was given: fixed shapes, int32 inputs.
        source: the user's own file, for messages.
        dlc: what was made of it.
        bits: of the narrowest activations, where the toolchain quantized; else the model says it.
    """

    model: onnx.ModelProto
    source: Path
    dlc: Path
    soc: Soc
    bits: int = 0

    @property
    def bounds(self) -> Bounds:
        """How far the DLC may be from the model."""
        return bounds_for(self.bits or activation_bits(self.model), against_float=bool(self.bits))


def check(subject: Subject, given: CalibrationList | None, explain: Explain) -> Checked:
    """Run one inference on both sides.

    Args:
        given: a list, whose first inference is taken; seeded random numbers without one.
        explain: asked about what is far off.

    Raises:
        DivergenceError: the DLC is far off, gives NaN or infinite numbers, or cannot be executed.
        OnnxError: ONNX Runtime cannot run the model.
        TensorError: the list does not fit the model.
    """
    found = _reference(subject, given)
    if found is None:
        return Checked(skipped="the ONNX model gives NaN or infinite numbers itself; pass inputs with -i list.txt")
    feed, wanted, inputs = found
    try:
        specs, got = isolated(_executed, subject.dlc, subject.soc, feed)
    except (SetupError, DlcError) as problem:
        return Checked(skipped=problem.message.splitlines()[0])
    except ExecutionError as problem:
        raise _does_not_run(subject, problem) from problem
    outputs = compare_outputs(wanted, got, specs)
    return _judged(subject, outputs, inputs, lambda: explain(feed))


def _reference(subject: Subject, given: CalibrationList | None) -> tuple[Feed, Mapping[str, Array], str] | None:
    """Inputs, the model's outputs, and where the inputs came from; None where no inputs give finite numbers."""
    outputs = real_outputs(subject.model)
    names = [spec.name for spec in outputs]
    with explained(subject.source):
        session = plain_session(subject.model)
        for kind, feed in _feeds(subject.model, given):
            arrays = zip(outputs, session.run(names, feed), strict=True)
            wanted = {spec.name: spec.to_real(array) if spec.encoding else array for spec, array in arrays}
            if fits(wanted):
                return feed, wanted, kind
    return None


def _feeds(model: onnx.ModelProto, given: CalibrationList | None) -> Iterator[tuple[str, Feed]]:
    """Inputs to try, and where they come from."""
    if given is None:
        yield from zip(("seeded random numbers", "seeded positive numbers"), random_feeds(model), strict=True)
        return
    specs, listed = real_inputs(model), given.inputs
    first = InputList(listed.path, listed.outputs, listed.layers, listed.lines[:1])
    check_list(first, specs, native=given.native)
    line = named(first.lines[0], specs, first.path, 0)
    yield f"{listed.path}, inference 0", read_inputs(line, specs, native=given.native)


def _executed(dlc: Path, soc: Soc, feed: Feed) -> tuple[list[TensorSpec], dict[str, Array]]:
    """Outputs of a DLC as real numbers; in a child process."""
    with Session(dlc, soc) as session:
        stored = session.execute({spec.name: feed[spec.name] for spec in session.inputs})
        return session.outputs, {spec.name: spec.to_real(stored[spec.name]) for spec in session.outputs}


def _judged(subject: Subject, outputs: list[Output], inputs: str, explain: Callable[[], str]) -> Checked:
    judged = {one.name: one.judged(subject.bounds) for one in outputs}
    worst = min(outputs, key=lambda one: ("wrong", "doubtful", "right").index(judged[one.name]) * 1e6 + _rank(one))
    bad = [one for one in outputs if judged[one.name] == "wrong"]
    if bad:
        raise _far_off(subject, bad, inputs, explain())
    warnings = [f"output {one.name!r} is doubtful: {one}" for one in outputs if judged[one.name] == "doubtful"]
    found = None if worst.sqnr_db is None or not np.isfinite(worst.sqnr_db) else worst.sqnr_db
    return Checked(str(worst), found, inputs, tuple(outputs), warnings=tuple(warnings))


def _rank(one: Output) -> float:
    if one.sqnr_db is None:
        return 1e5
    return one.equal if np.isnan(one.sqnr_db) else max(one.sqnr_db, -1e4)


_REMEDY = (
    "Try `snpe-tools simplify` first, another precision (fp16, w8a16, w8a8), or another form of that operation; "
    "`--no-check` (CHECK=0) writes the DLC all the same, so that `compare --layers` can look into it."
)


def _far_off(subject: Subject, bad: list[Output], inputs: str, fault: str) -> DivergenceError:
    listed = "".join(f"\n    output {one.name!r}: {one}" for one in bad)
    expected = f"at least {subject.bounds.wrong:g} dB were expected"
    where = f"\n  {fault}" if fault else ""
    return DivergenceError(
        f"{subject.source}: the DLC does not compute what the model computes ({expected}; inputs: {inputs})."
        f"{listed}{where}",
        _REMEDY,
    )


def _does_not_run(subject: Subject, problem: SnpeToolsError) -> DivergenceError:
    words = problem.message.replace(str(subject.dlc), "its DLC")
    return DivergenceError(
        f"{subject.source} was converted, and its DLC does not run on the emulator of {subject.soc}.\n    {words}",
        _REMEDY,
    )


def activation_bits(model: onnx.ModelProto) -> int:
    """Bits of the narrowest quantized activations of a QDQ model; 0 of a float model."""
    from onnx import numpy_helper

    constants = dict(constant_tensors(model))
    found = [
        8 * numpy_helper.to_array(constants[node.input[2]]).dtype.itemsize
        for node in model.graph.node
        if node.op_type == "QuantizeLinear" and len(node.input) > 2 and node.input[2] in constants  # noqa: PLR2004
    ]
    return min(found, default=0)

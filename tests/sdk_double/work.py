"""The double's work, done by the PyPI toolchain.

A DLC of the real converter carries what the quantizer needs. Here the quantizer finds the ONNX model of a DLC by the
DLC's hash, in a folder of the SDK.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from snpe_tools.core.files import sha256
from snpe_tools.core.precision import Precision
from snpe_tools.quantization.simulator import QuantizationOptions, Simulator, _quiet, parse_method


def _state(dlc: Path) -> Path:
    """What is known of a DLC that this converter wrote."""
    folder = Path(os.environ["SNPE_ROOT"]) / "state" / sha256(dlc)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def open_inputs(network: Path, shapes: Sequence[Sequence[str]]) -> list[str]:
    """Inputs whose shape is not fixed by the model, and not given."""
    import onnx

    given = {name for name, _ in shapes}
    graph = onnx.load(str(network)).graph
    fixed = {value.name for value in graph.input if all(dim.dim_value for dim in value.type.tensor_type.shape.dim)}
    return sorted({value.name for value in graph.input} - fixed - given)


def convert(network: Path, target: Path, outputs: Sequence[str], overrides: Path | None) -> None:
    """The float DLC of a model."""
    import onnx

    from snpe_tools.graph.loading import load, save
    from snpe_tools.steps.convert import convert as run

    model = load(network)
    if outputs:
        kept = [value for value in model.graph.output if value.name in outputs]
        del model.graph.output[:]
        model.graph.output.extend(kept)
        model = onnx.utils.Extractor(model).extract_model([value.name for value in model.graph.input], list(outputs))
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "model.onnx"
        save(model, ready)
        run(ready, Path(folder) / "m.dlc", name=target.stem.split(".")[0], check=False)
        shutil.copyfile(Path(folder) / "m.dlc", target)
        shutil.copyfile(ready, _state(target) / "model.onnx")
    if overrides:
        shutil.copyfile(overrides, _state(target) / "overrides.json")


def apply_overrides(dlc: Path) -> None:
    """The newer converter applies encodings at once; the double's quantizer then does the work."""
    (_state(dlc) / "applied").touch()


def overrides_applied(dlc: Path) -> bool:
    """Whether the newer converter was given encodings."""
    return (_state(dlc) / "applied").exists()


def list_problem(dlc: Path, listed: Path) -> str:
    """What the quantizer says of an input list: paths count from the working folder, raws are float32."""
    from snpe_tools.graph.loading import input_specs, load

    specs = {spec.name: spec for spec in input_specs(load(_state(dlc) / "model.onnx"))}
    for line in listed.read_text(encoding="utf-8").splitlines():
        if line.startswith(("#", "%")):
            return "the double calibrates with lists that name no outputs"
        files = dict(word.split(":=", 1) for word in line.split())
        if set(files) != set(specs):
            return f"Graph contains {len(specs)} inputs, but only found input data for {len(files)} inputs from user"
        for name, file in files.items():
            if not Path(file).is_file():
                return f"Unable to open raw file {file}"
            if Path(file).stat().st_size != specs[name].nbytes(native=False):
                return f"batch size of the raw file {file} does not fit the input {name}"
    return ""


def quantize(
    source: Path, target: Path, listed: Path, bits: tuple[int, int], method: str, per_channel: bool, apply: bool
) -> None:
    """The quantized DLC: ranges of the input list, then the encodings that were given, where they are applied."""
    from snpe_tools.core.raw_files import read_list
    from snpe_tools.graph.loading import load, save
    from snpe_tools.quantization.calibration import Calibration, calibrator
    from snpe_tools.steps.convert import convert as run

    known = _state(source)
    mixed = "-mixed" if apply and bits == (8, 8) else ""  # encodings may ask for 16 bits here and there
    options = QuantizationOptions(
        Precision.parse(f"w{bits[0]}a{bits[1]}{mixed}"), parse_method(method), per_channel or apply
    )
    model = load(known / "model.onnx")
    simulator = Simulator(model, options)
    calibration = Calibration(model, read_list(listed, beside=False), native=False)
    calibrator(options, calibration, None)(simulator, model)
    if apply:
        _load(simulator, known / "overrides.json")
    with tempfile.TemporaryDirectory() as folder:
        save(simulator.qdq_model(), Path(folder) / "model.onnx")
        run(Path(folder) / "model.onnx", Path(folder) / "m.dlc", name=target.stem.split(".")[0], check=False)
        shutil.copyfile(Path(folder) / "m.dlc", target)


def _load(simulator: Simulator, file: Path) -> None:
    """Format 0.6.1 alone, as every SDK reads; what it does not name keeps the range of the calibration."""
    from aimet_onnx.quantsim import load_encodings_to_sim

    content = json.loads(file.read_text(encoding="utf-8"))
    assert isinstance(content["activation_encodings"], dict), "the double reads AIMET 0.6.1"
    with _quiet():
        load_encodings_to_sim(simulator.sim, content, strict=False, disable_missing_quantizers=False)


def prepare(source: Path, target: Path, socs: Sequence[str], *, skipped: set[str]) -> set[str]:
    """Compile for each SoC that the compiler knows; returns those that failed."""
    from snpe_tools.core.errors import SnpeToolsError
    from snpe_tools.core.soc_names import parse_socs
    from snpe_tools.toolchains import Preparation
    from snpe_tools.toolchains.pypi import PyPI

    failed = set()
    with tempfile.TemporaryDirectory() as folder:
        current = source
        for soc in socs:
            if soc in skipped:
                continue
            place = Path(folder) / soc
            place.mkdir()
            try:
                current = PyPI().prepare(Preparation(current, parse_socs(soc), target), place, _ignore).dlc
            except SnpeToolsError as problem:
                print(f"[ERROR] {problem.message}")
                failed.add(soc)
        shutil.copyfile(current, f"{target}.new")
        Path(f"{target}.new").replace(target)
    return failed


def _ignore(count: int = 1, note: str = "") -> None:
    """Progress that nobody watches."""

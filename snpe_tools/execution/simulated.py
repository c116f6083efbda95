"""DLC + input list → Result_<i>/<tensor>.raw, by the integer rules of `snpe_tools.arithmetic`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from snpe_tools.arithmetic.agreement import DEFAULT_BOUND_DB, Agreement, agree
from snpe_tools.arithmetic.network import Network
from snpe_tools.core.errors import UsageError
from snpe_tools.core.files import require_file, require_replaceable, whole_folder, write_json
from snpe_tools.core.progress import progress, say
from snpe_tools.core.raw_files import InputList, check_list, named, read_inputs, read_list, result_names
from snpe_tools.core.socs import DEFAULT, Soc
from snpe_tools.core.tensor_spec import Array

RECORD = "simulated.json"
"""Stands beside the results and says that rules computed them, and how true they are."""
DEFAULT_CHECKED = 2


@dataclass(frozen=True)
class SimulatedRun:
    """What a run by rules wrote.

    Attributes:
        folder: holds `Result_<i>` folders.
        outputs: tensors written for each inference.
        inferences: how many.
        seconds: median time of one inference on this machine.
        agreement: with the emulator, on a few of these inferences.
    """

    folder: Path
    outputs: tuple[str, ...]
    inferences: int
    seconds: float
    agreement: Agreement


def run_simulated(  # noqa: PLR0913 - the options of one command
    dlc: Path,
    input_list: Path,
    folder: Path,
    *,
    soc: Soc = DEFAULT,
    outputs: Sequence[str] = (),
    native_inputs: bool = False,
    native_outputs: bool = False,
    checked: int = DEFAULT_CHECKED,
    bound_db: float = DEFAULT_BOUND_DB,
) -> SimulatedRun:
    """Compute every line of an input list, once a few of them are known to agree with the emulator.

    Args:
        folder: where `Result_<i>` folders go; it appears whole, and replaces only an older one of this function.
        soc: the SoC whose HTP is meant.
        outputs: tensors to write; those of the list's `%` line by default, else all.
        native_inputs, native_outputs: raw files in the model's own types instead of float32.
        checked: inferences to compare with the emulator, spread evenly.
        bound_db: SQNR below which the rules are refused.

    Raises:
        UsageError: an operation has no rule, or the folder holds something else.
        DivergenceError: the rules are too far from the emulator.
        TensorError: the list does not fit the model.
        StorageError: no space.
    """
    require_replaceable(folder, RECORD)
    parsed = read_list(input_list)
    network = Network(require_file(dlc, "a DLC"), soc)
    files = _files(network, parsed, outputs, dlc)
    check_list(parsed, network.inputs, native=native_inputs)

    def feed(index: int) -> dict[str, Array]:
        line = named(parsed.lines[index], network.inputs, parsed.path, index)
        return read_inputs(line, network.inputs, native=native_inputs)

    count = len(parsed.lines)
    sample = sorted({int(place) for place in np.linspace(0, count - 1, min(checked, count))})
    agreement = agree(network, dlc, soc, [feed(index) for index in sample])
    say(f"{dlc}: {agreement}.")
    agreement.require(bound_db, dlc)
    seconds = []
    specs = {spec.name: spec for spec in network.outputs}
    with whole_folder(folder, known_by=RECORD) as target, progress("computing by integer rules", count) as advance:
        for index in range(count):
            started = time.perf_counter()
            results = network.execute(feed(index))
            seconds.append(time.perf_counter() - started)
            values = {name: results[name] if native_outputs else specs[name].to_real(results[name]) for name in files}
            _write(target / f"Result_{index}", files, values)
            advance()
        write_json(target / RECORD, {"dlc": str(dlc), "soc": str(soc), "agreement": asdict(agreement)})
    return SimulatedRun(folder, tuple(files), count, float(np.median(seconds)), agreement)


def _files(network: Network, parsed: InputList, outputs: Sequence[str], dlc: Path) -> dict[str, str]:
    known = [spec.name for spec in network.outputs]
    asked = list(dict.fromkeys(tuple(outputs) or parsed.outputs or known))
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise UsageError(f"{dlc} has no output {unknown[0]!r}.", f"It has: {', '.join(known)}.")
    return result_names(asked)


def _write(folder: Path, files: dict[str, str], values: dict[str, Array]) -> None:
    folder.mkdir()
    for name, file in files.items():
        (folder / file).write_bytes(values[name].tobytes())

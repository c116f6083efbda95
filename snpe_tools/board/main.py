"""Runs a job: raw files → the DLC on the HTP → raw files, and how long each inference took."""

from __future__ import annotations

import ctypes as c
import json
import mmap
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from snpe_tools.board.job import BoardJob, Tensor, read_job
from snpe_tools.core.errors import DlcError, QnnError, SnpeToolsError, TensorError
from snpe_tools.core.socs import BY_ID
from snpe_tools.qnn import abi
from snpe_tools.qnn.graph import Buffer, Graph, OpenContext, compose, load_cache
from snpe_tools.qnn.handles import Handles
from snpe_tools.qnn.library import use_folder
from snpe_tools.qnn.power import Power, set_power

RECORD = "timings.json"
START = "graph: "
"""Begins the line that says how the graph came to be; no error, whatever words it has."""
_USAGE = 2


def main(arguments: Sequence[str]) -> int:
    """Run `job.json` with the libraries of a folder; the exit code is that of the error, as in `core.errors`."""
    if len(arguments) != 2:  # noqa: PLR2004 - the two that the message names
        print("usage: runner job.json library-folder", file=sys.stderr)  # noqa: T201
        return _USAGE
    use_folder(Path(arguments[1]))
    try:
        run(read_job(Path(arguments[0])))
    except SnpeToolsError as problem:
        print(f"error: {problem}", file=sys.stderr)  # noqa: T201
        return problem.exit_code
    print("Successfully executed!")  # noqa: T201
    return 0


def run(job: BoardJob) -> None:
    """Run a job and write its record.

    Raises:
        SnpeToolsError: a library is missing, the DLC is refused, a raw file does not fit, or an inference failed.
    """
    started = time.perf_counter()
    with ExitStack() as stack:
        handles = Handles(job.dlc, None if job.soc is None else BY_ID[job.soc])
        stack.callback(handles.stack.close)
        if job.power:
            set_power(handles, Power(*job.power), job.profile)
        opened, start = _open(job, handles, stack)
        graph = Graph(handles, opened)
        seconds = {"init": time.perf_counter() - started}
        print(f"{START}{start}", flush=True)  # noqa: T201
        times = list(_run_all(job, graph))
    record = {"token": job.token, "start": start, **seconds, "seconds": times[job.warm_up :]}
    (Path(job.folder) / RECORD).write_text(json.dumps(record), encoding="utf-8")


def _open(job: BoardJob, handles: Handles, source: ExitStack) -> tuple[OpenContext, str]:
    """From the compiled cache; where there is none or the device refuses it, from the graph, and said so."""
    if job.cache is None:
        return compose(handles, job.graphs, source), "compiled"
    try:
        return load_cache(handles, _mapped(Path(job.dlc), *job.cache, handles)), "cache"
    except QnnError as problem:
        return compose(handles, job.graphs, source), f"compiled, since its cache cannot be used: {problem.message}"


def _mapped(file: Path, offset: int, size: int, handles: Handles) -> Buffer:
    """A part of a file in memory, valid as long as the handles."""
    with file.open("rb") as stream:
        view = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    if offset < 0 or size <= 0 or offset + size > len(view):
        raise DlcError(f"{file} ends before its cache does.", "It was cut off on the way: push it again.")
    memory = (c.c_char * size).from_buffer(view, offset)
    handles.keep(view, memory)
    return Buffer(c.addressof(memory), size)


def _run_all(job: BoardJob, graph: Graph) -> Iterator[float]:
    """Every inference; yields the seconds of each."""
    results = [bytearray(size) for _, size in job.outputs]
    places = _places([name for name, _ in job.inputs], graph.inputs, job.dlc)
    wanted = _places([name for name, _ in job.outputs], graph.outputs, job.dlc, all_of_graph=False)
    outputs = _output_buffers(graph.outputs, wanted, results)
    for _ in range(job.warm_up):
        yield _timed(graph, _read(job, 0, places), outputs)
    for turn in range(job.repeat):
        for index in range(len(job.lines)):
            yield _timed(graph, _read(job, index, places), outputs)
            if turn == 0:
                _write(Path(job.folder) / f"Result_{index}", results)
            print(f"done {index}", flush=True)  # noqa: T201 - the host counts these lines


def _timed(graph: Graph, inputs: Sequence[bytearray], outputs: Sequence[bytearray]) -> float:
    given, taken = [*map(_buffer, inputs)], [*map(_buffer, outputs)]
    started = time.perf_counter()
    graph.execute(given, taken)
    return time.perf_counter() - started


def _buffer(memory: bytearray) -> Buffer:
    return Buffer(c.addressof(c.c_char.from_buffer(memory)), len(memory))


def _places(
    names: Sequence[str], tensors: Sequence[abi.Tensor], dlc: str, *, all_of_graph: bool = True
) -> list[int | None]:
    """For each tensor of the library, which of `names` it is; where two have one name, in order."""
    waiting = [*enumerate(names)]
    places: list[int | None] = []
    for tensor in tensors:
        name = tensor.name.decode(errors="replace")
        found = next((pair for pair in waiting if pair[1] == name), None)
        if found:
            waiting.remove(found)
        elif all_of_graph:
            raise TensorError(f"{dlc}: its graph takes an input {name!r} that the job does not name.")
        places.append(found[0] if found else None)
    if waiting:
        raise TensorError(f"{dlc}: its graph has no tensor {waiting[0][1]!r}.")
    return places


def _output_buffers(
    tensors: Sequence[abi.Tensor], places: Sequence[int | None], results: Sequence[bytearray]
) -> list[bytearray]:
    """A buffer for every output of the graph; those that nobody asked for get one that is not written."""
    pairs = zip(tensors, places, strict=True)
    return [bytearray(_bound(tensor)) if place is None else results[place] for tensor, place in pairs]


def _bound(tensor: abi.Tensor) -> int:
    """Bytes that a tensor has at most: no type is wider than eight."""
    size = 8
    for axis in range(tensor.rank):
        size *= tensor.dimensions[axis]
    return size


def _read(job: BoardJob, index: int, places: Sequence[int | None]) -> list[bytearray]:
    files = job.lines[index]
    return [_raw(Path(files[place]), job.inputs[place]) for place in places if place is not None]


def _raw(file: Path, tensor: Tensor) -> bytearray:
    name, size = tensor
    try:
        data = bytearray(file.read_bytes())
    except OSError as problem:
        raise TensorError(f"{file} (input {name!r}) cannot be read: {problem.strerror}.") from problem
    if len(data) != size:
        raise TensorError(f"{file} has {len(data)} bytes; input {name!r} needs {size}.", "Push it again.")
    return data


def _write(folder: Path, results: Sequence[bytearray]) -> None:
    folder.mkdir(parents=True)
    for number, data in enumerate(results):
        (folder / f"{number}.raw").write_bytes(data)

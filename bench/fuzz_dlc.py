"""Fuzzes the DLC reader and everything `info`, `diff`, `encodings` and `audit` make of a file.

    pip install atheris numpy rich typer flatbuffers        # in an environment of its own
    python bench/fuzz_dlc.py FOLDER -atheris_runs=1000000   # FOLDER keeps the corpus; seeds are made by the test suite

The first byte of a case says what the rest is: 0 a whole file, anything else the content of one record of one container
version in an otherwise whole file, so that mutations reach the records and not only the zip directory.

A case fails when anything but one of our own errors is raised, when it takes over 2 s of processor time, when it makes
the process grow by over 500 MB, or when a character reaches the terminal that is not printable.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import atheris

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["snpe_tools"]):
    from snpe_tools import dlc
    from snpe_tools.cli import inspect_text as text
    from snpe_tools.cli.output import comma_separated, printable
    from snpe_tools.core.errors import SnpeToolsError
    from snpe_tools.core.files import plain
    from snpe_tools.inspection.aimet import VERSIONS, encodings_of, to_document
    from snpe_tools.inspection.audit import audit
    from snpe_tools.inspection.describe import describe, document
    from snpe_tools.inspection.difference import difference
    from snpe_tools.inspection.health import check
    from snpe_tools.inspection.sdk_csv import rows

from tests.dlc_files import all_versions, write_zip  # noqa: E402 - after the path is set

VERSIONS_SEEN = all_versions()
PLACES = [(version, record) for version, records in VERSIONS_SEEN.items() for record in records]
MOST_SECONDS, MOST_MEGABYTES = 2.0, 500
FILE = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)) / "case.dlc"  # noqa: S108
SLOWEST = [0.0]
COUNTS = {"cases": 0, "read": 0, "refused": 0}


def most_megabytes() -> float:
    """The largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def as_file(case: bytes) -> bytes:
    """The bytes of the DLC that a case means."""
    kind, content = (case[0], case[1:]) if case else (0, b"")
    if kind == 0:
        return content or b"\0"
    version, record = PLACES[kind % len(PLACES)]
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in VERSIONS_SEEN[version].items():
            archive.writestr(name, content if name == record else data)
    return target.getvalue()


def one_case(case: bytes) -> None:
    """Everything that a user can do with this file."""
    FILE.write_bytes(as_file(case))
    shown = io.StringIO()
    started = time.process_time()
    COUNTS["cases"] += 1
    before = most_megabytes()  # of the whole run: atheris itself grows by about 2 kB a case
    refusal = ""
    with contextlib.redirect_stdout(shown):
        try:
            inspect(FILE)
            COUNTS["read"] += 1
        except SnpeToolsError as problem:
            COUNTS["refused"] += 1
            refusal = str(problem)
            shown.write(printable(refusal.replace("\n", " ")))
    assert not refusal or str(FILE) in refusal, f"does not name the file: {refusal}"
    took = time.process_time() - started
    SLOWEST[0] = max(SLOWEST[0], took)
    assert took < MOST_SECONDS, f"took {took:.1f} s"
    assert most_megabytes() - before < MOST_MEGABYTES, "too much memory"
    assert all(line.isprintable() for line in shown.getvalue().split("\n")), "control characters"


def inspect(path: Path) -> None:
    with dlc.open(path) as opened, dlc.open(path) as again:
        text.show_description(describe(opened), check(opened))
        text.show_lists(opened, ops=True, tensors=True, encodings=True)
        text.show_difference(difference(opened, again), 0)
        comma_separated(rows(opened))
        plain(document(opened))
        encodings = encodings_of(opened)
        for version in VERSIONS:
            to_document(encodings, version)
        text.show_audit(audit(opened, encodings), 0)
        for graph in opened.graphs:
            read_weights(graph)


def read_weights(graph: dlc.Graph) -> None:
    for tensor in graph.with_role("static"):
        if tensor.is_complete and not tensor.encoding_problem():
            tensor.real_values()


def write_seeds(folder: Path) -> None:
    """One file of every container version, whole and record by record."""
    folder.mkdir(parents=True, exist_ok=True)
    for version, records in VERSIONS_SEEN.items():
        whole = write_zip(folder / f"{version}.seed", records)
        whole.write_bytes(b"\0" + whole.read_bytes())
    for index, (version, record) in enumerate(PLACES):
        kind = index or len(PLACES)
        (folder / f"{version}.{record}.seed").write_bytes(bytes([kind]) + VERSIONS_SEEN[version][record])


def report() -> None:
    print(f"fuzz: {COUNTS}, slowest {SLOWEST[0]:.2f} s, {most_megabytes():.0f} MB at most", file=sys.stderr)


def main() -> None:
    write_seeds(Path(sys.argv[1]))
    started = time.monotonic()

    def counted(data: bytes) -> None:
        one_case(data)
        if COUNTS["cases"] % 50_000 == 0:
            print(f"{time.monotonic() - started:.0f} s ", end="", file=sys.stderr)
            report()

    atheris.Setup(sys.argv, counted)
    try:
        atheris.Fuzz()
    finally:
        report()
        os.sync()


if __name__ == "__main__":
    main()

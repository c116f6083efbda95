"""Damaged files of every container version: always one of our errors, whatever a user asks of them."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from snpe_tools import dlc
from snpe_tools.cli import inspect_text as text
from snpe_tools.cli.output import comma_separated
from snpe_tools.core.errors import SnpeToolsError
from snpe_tools.core.files import plain
from snpe_tools.inspection.aimet import encodings_of, to_document
from snpe_tools.inspection.audit import audit
from snpe_tools.inspection.describe import describe, document
from snpe_tools.inspection.difference import difference
from snpe_tools.inspection.health import check
from snpe_tools.inspection.sdk_csv import rows
from tests.dlc_files import all_versions, write_zip

INTERESTING = [b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\x01", b"\x1b[2J"]
VERSIONS = all_versions()
PATCHES = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True), st.one_of(st.sampled_from(INTERESTING), st.binary(min_size=1, max_size=8))
    ),
    min_size=1,
    max_size=4,
)


def inspect(path: Path) -> None:
    """Everything that the commands do with a file."""
    with dlc.open(path) as opened:
        text.show_description(describe(opened), check(opened))
        text.show_lists(opened, ops=True, tensors=True, encodings=True)
        text.show_difference(difference(opened, opened), 0)
        comma_separated(rows(opened))
        plain(document(opened))
        to_document(encodings_of(opened), "0.6.1")
        text.show_audit(audit(opened, encodings_of(opened)), 0)


def _patched(data: bytes, patches: list[tuple[float, bytes]]) -> bytes:
    changed = bytearray(data)
    for place, patch in patches:
        start = int(place * len(changed))
        changed[start : start + len(patch)] = patch
    return bytes(changed[: len(data)])


def _inspected(path: Path) -> tuple[str, str]:
    """What was shown, and the message of our error, which names the file; any other error is a failure."""
    shown, message = io.StringIO(), str(path)
    with contextlib.redirect_stdout(shown):
        try:
            inspect(path)
        except SnpeToolsError as problem:
            message = str(problem)
    return shown.getvalue(), message


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(record=st.integers(0, 4), patches=PATCHES)
@example(record=1, patches=[(0.46875, b"\xff\xff\xff\xff")])  # an encoding of 2^24 bits, in container 4.1
def test_damaged_records(tmp_path: Path, version: str, record: int, patches: list[tuple[float, bytes]]) -> None:
    records = VERSIONS[version]
    name = list(records)[record % len(records)]
    path = write_zip(tmp_path / "m.dlc", records | {name: _patched(records[name], patches)})
    shown, message = _inspected(path)
    assert str(path) in message
    assert all(line.isprintable() for line in shown.split("\n"))


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.floats(0, 1, exclude_min=True), patches=PATCHES)
def test_damaged_and_cut_files(tmp_path: Path, version: str, kept: float, patches: list[tuple[float, bytes]]) -> None:
    path = write_zip(tmp_path / "m.dlc", VERSIONS[version])
    data = _patched(path.read_bytes(), patches)
    path.write_bytes(data[: max(1, int(kept * len(data)))])
    shown, message = _inspected(path)
    assert str(path) in message
    assert all(line.isprintable() for line in shown.split("\n"))

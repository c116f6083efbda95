"""Archives that would harm: names, links, sizes, overlaps, and bytes changed at random."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snpe_tools.core.errors import SetupError
from snpe_tools.core.progress import unwatched
from snpe_tools.toolchains.sdk_store.archive import Archive, extract, matches, open_archive
from tests.sdk_server import make_archive, sdk_files

SMALL = {"sdk.yaml": b"version: 2.51.0\n", "bin/tool": b"#!/bin/sh\n", "lib/a.so": bytes(2000)}


def opened(data: bytes, look: Callable[[Archive], object] = lambda archive: archive.members) -> object:
    with open_archive(_Raw(data), "sdk.zip", len(data)) as archive:
        return look(archive)


class _Raw(io.RawIOBase):
    """Bytes as the raw stream that a file or a server's answer is."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.inner.seek(offset, whence)

    def tell(self) -> int:
        return self.inner.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self.inner.readinto(buffer)


def with_member(name: str, data: bytes = b"x", mode: int = 0o100644) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("qairt/1/sdk.yaml", b"version: 2.51.0\n")
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        info.external_attr = mode << 16
        archive.writestr(info, data)
    return made.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "../outside", "qairt/../../outside", "/etc/passwd", "qairt\\..\\x", "C:/x", "qairt//x", "./x", "qairt/./x",
        "qairt/\x1b[2J", "x" * 501, "qairt/a\nb",
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(SetupError, match="would be written elsewhere"):
        opened(with_member(name))


@pytest.mark.parametrize("mode", [0o120777, 0o060644, 0o010644])
def test_links_and_special_files(mode: int) -> None:
    with pytest.raises(SetupError, match="is a link or a special file"):
        opened(with_member("qairt/1/lib/a.so", b"/etc/passwd", mode))


def test_two_members_of_one_name() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("sdk.yaml", b"version: 2.51.0\n")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("sdk.yaml", b"version: 2.51.1\n")
    with pytest.raises(SetupError, match=r"two members sdk\.yaml"):
        opened(made.getvalue())


def test_a_file_that_is_a_folder_too() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in ("sdk.yaml", "lib", "lib/a.so"):
            archive.writestr(name, b"x")
    with pytest.raises(SetupError, match="lib is a file and a folder"):
        opened(made.getvalue())


def test_a_bomb() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sdk.yaml", b"version: 2.51.0\n")
        archive.writestr("lib/zeros", bytes(10_000_000))
    with pytest.raises(SetupError, match="more than 40 times its size"):
        opened(made.getvalue())


def _patched(data: bytes, name: bytes, offset: int, value: int) -> bytes:
    """The archive with a 32-bit field of a member's directory entry changed (APPNOTE 4.3.12)."""
    entry = data.rindex(name) - 46
    return data[: entry + offset] + struct.pack("<I", value) + data[entry + offset + 4 :]


def test_members_that_overlap(tmp_path: Path) -> None:
    data = make_archive(tmp_path / "a.zip", SMALL, root="")
    with pytest.raises(SetupError, match="overlaps the member behind it"):
        opened(_patched(data, b"sdk.yaml", 20, 200))


def test_sizes_and_checksums_that_are_lies(tmp_path: Path) -> None:
    data = make_archive(tmp_path / "a.zip", SMALL, root="")

    def take(archive: Archive) -> None:
        extract(archive, "lib/a.so", tmp_path / "out" / "a.so", unwatched)

    for offset, value in ((16, 1), (24, 1999), (24, 2100)):
        with pytest.raises(SetupError, match=r"lib/a\.so (is damaged|has 2000 bytes; the directory says 2100)"):
            opened(_patched(data, b"lib/a.so", offset, value), take)
        assert not (tmp_path / "out" / "a.so").exists()


def test_a_file_is_known_by_size_and_checksum(tmp_path: Path) -> None:
    data = make_archive(tmp_path / "a.zip", SMALL, root="")
    file = tmp_path / "file"

    def look(archive: Archive) -> bool:
        return matches(file, archive.members["bin/tool"])

    assert not opened(data, look)
    for content, same in ((b"#!/bin/sh\n", True), (b"#!/bin/sH\n", False), (b"", False)):
        file.write_bytes(content)
        assert opened(data, look) == same


def test_an_archive_without_a_folder_of_its_own(tmp_path: Path) -> None:
    for root in ("", "qairt/2.51.0.260929/", "a/b/c/"):
        members = opened(make_archive(tmp_path / "a.zip", root=root))
        assert isinstance(members, dict)
        assert members.keys() == sdk_files().keys()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(changes=st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 255)), max_size=8), cut=st.integers(0, 50))
def test_damage_is_refused_or_harmless(tmp_path: Path, changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(make_archive(tmp_path / "a.zip", SMALL, root="qairt/1/"))
    for place, value in changes:
        data[place % len(data)] = value
    target = tmp_path / "out"

    def take(archive: Archive) -> None:
        for path in archive.members:
            extract(archive, path, target / path, unwatched)

    with contextlib.suppress(SetupError):
        opened(bytes(data[: len(data) - cut]), take)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"a.zip", "out"}

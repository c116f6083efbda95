"""Properties of what travels: marks in any output, archives of any names, listings of any bytes."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from snpe_tools.core.errors import InputError
from snpe_tools.devices.conversation import _Reader
from snpe_tools.devices.shell import Frame
from snpe_tools.devices.storage.manifest import MANIFEST, make_manifest, name_problem, parse_listing
from snpe_tools.devices.storage.tar_stream import pack

FRAME = Frame("0123456789abcdef" * 2)
TOKEN = FRAME.token.encode()
LONGEST_MARK = len(TOKEN + b" 1234567890\r\n")
PIECES = st.binary(max_size=20) | st.sampled_from([TOKEN, TOKEN[:9], TOKEN + b" ", TOKEN + b" x\n", b"\n", TOKEN[-3:]])
NAMES = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=30)


@given(noise=st.binary(max_size=30), pieces=st.lists(PIECES), status=st.integers(0, 255), size=st.integers(1, 50))
def test_output_arrives_as_it_was_however_it_is_cut(noise: bytes, pieces: list[bytes], status: int, size: int) -> None:
    content = b"".join(pieces)
    assume(not FRAME.mark.search(content))  # which takes the token, and that nobody can guess
    stream = noise + TOKEN + b" 42\n" + content + TOKEN + b" %d\n" % status
    seen = bytearray()
    reader = _Reader(FRAME, seen.extend)
    for start in range(0, len(stream), size):
        assert reader.status is None
        reader.take(stream[start : start + size])
    assert (bytes(seen), reader.status, reader.group) == (content, status, 42)


@given(pieces=st.lists(PIECES), more=st.lists(PIECES | st.sampled_from([b" 7\n", b"7\n", b"\n", b"\r\n"])))
def test_nothing_is_held_back_but_what_may_be_a_mark(pieces: list[bytes], more: list[bytes]) -> None:
    content = b"".join(pieces)
    safe = FRAME.safe(content)
    assert len(content) - LONGEST_MARK < safe <= len(content)
    found = FRAME.mark.search(content + b"".join(more))
    assert FRAME.mark.search(content) or not found or found.start() >= safe
    assert FRAME.safe(b"a line\n") == len(b"a line\n")


@pytest.mark.parametrize("text", [b"", b" ", b" 7", b" 1234567890", b" 7\r"])
def test_what_may_be_a_mark_is_held_back(text: bytes) -> None:
    for size in range(1, len(TOKEN) + 1):
        assert FRAME.safe(b"before" + TOKEN[:size]) == len(b"before")
    assert FRAME.safe(b"before" + TOKEN + text) == len(b"before")


@pytest.mark.parametrize("text", [b"x", b"  ", b" 99999999999", b" 7 ", b" 7\rx", b"\n", b" \n"])
def test_a_token_that_is_no_mark_is_passed_on(text: bytes) -> None:
    """A command may print its own script, as `ps` does, and then a gigabyte."""
    seen = bytearray()
    reader = _Reader(FRAME, seen.extend)
    reader.take(TOKEN + b" 42\n" + TOKEN + text)
    assert seen == TOKEN + text
    for _ in range(3):
        reader.take(bytes(1000))
    assert seen == TOKEN + text + bytes(3000)


@given(NAMES)
def test_a_name_that_is_taken_stays_below_its_folder(name: str) -> None:
    if not name_problem(name):
        folder = Path("/a/b")
        assert (folder / name).is_relative_to(folder)
        assert ".." not in (folder / name).parts
        assert not set(name) & set("\0\n\r\\")


@given(names=st.sets(NAMES | st.just("x" * 150 + "/y"), max_size=8), content=st.binary(max_size=2000))
def test_tar_reads_what_is_packed(tmp_path_factory: pytest.TempPathFactory, names: set[str], content: bytes) -> None:
    source = tmp_path_factory.getbasetemp() / "content"
    source.write_bytes(content)
    manifest = make_manifest({name: source for name in names if not name_problem(name)})
    packed = b"".join(pack(manifest.entries, {MANIFEST: manifest.text}))
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        members = {member.name: archive.extractfile(member) for member in archive}
        read = {name: stream.read() for name, stream in members.items() if stream}
    assert read == {MANIFEST: manifest.text.encode(), **{entry.name: content for entry in manifest.entries}}


def test_the_real_tar_and_sha256sum_agree(tmp_path: Path) -> None:
    names = ["a b", "it's", "$(x)", ";", "ü", "-n", "*", "deep/" + "x" * 200, "two  spaces", ' "quoted" ']
    (tmp_path / "source").write_bytes(b"content")
    manifest = make_manifest(dict.fromkeys(names, tmp_path / "source"))
    (tmp_path / "out").mkdir()
    packed = b"".join(pack(manifest.entries, {MANIFEST: manifest.text}))
    subprocess.run(["tar", "xf", "-"], input=packed, cwd=tmp_path / "out", check=True)
    found = {file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert found == {*names, MANIFEST}
    checked = subprocess.run(
        ["sha256sum", "-c", MANIFEST], cwd=tmp_path / "out", check=True, capture_output=True, text=True
    )
    assert checked.stdout.count(": OK\n") == len(names)


def test_a_file_that_changes_while_it_is_sent_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"before")
    manifest = make_manifest({"a": tmp_path / "a"})
    (tmp_path / "a").write_bytes(b"longer than before")
    with pytest.raises(InputError, match="changed while it was sent"):
        list(pack(manifest.entries, {}))


@given(st.lists(st.text()))
def test_a_listing_gives_only_names_that_may_be_written(lines: list[str]) -> None:
    digest = "0" * 64
    listed = parse_listing([*lines, *(f"{digest}  ./{line}" for line in lines), f"{digest}  ./good"])
    assert listed["good"] == digest
    assert not any(name_problem(name) for name in listed)


def test_equal_contents_have_equal_keys_and_others_have_not(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    key = make_manifest({"x": tmp_path / "a"}).key
    assert make_manifest({"x": tmp_path / "b"}).key == key
    (tmp_path / "b").chmod(0o755)
    others = [
        {"x": tmp_path / "c"},
        {"y": tmp_path / "a"},
        {"x": tmp_path / "b"},
        {"x": tmp_path / "a", "y": tmp_path / "a"},
    ]
    assert len({key, *(make_manifest(files).key for files in others)}) == 5

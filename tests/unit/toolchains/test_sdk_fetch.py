"""Fetching the SDK from a web server that behaves, and from ones that do not."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner

from snpe_tools.cli.main import app
from snpe_tools.core.errors import SetupError, StorageError, UsageError
from snpe_tools.steps import doctor
from snpe_tools.toolchains.sdk_store import parts, store
from snpe_tools.toolchains.sdk_store.fetching import fetch
from snpe_tools.toolchains.sdk_store.releases import Release, address, cache_warning, choose
from snpe_tools.toolchains.sdk_store.remote import MissingFileError, Patience, RangeFile, probe
from tests.device_double import ANDROID
from tests.sdk_server import VERSION, Behaviour, make_archive, sdk_files, serving

QUICK = Patience(seconds=0.5, attempts=3, pause=0.01)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.HOME_VARIABLE, str(tmp_path / "home"))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Behaviour]:
    told = Behaviour(make_archive(tmp_path / "sdk.zip"))
    with serving(told) as url:
        monkeypatch.setenv("SNPE_SDK_URL", url)
        yield told


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != store.MANIFEST
    }


def wanted(*targets: str, archs: tuple[int, ...] = ()) -> dict[str, bytes]:
    every = sdk_files()
    return {path: every[path] for path in sorted(parts.select(every, targets, archs))}


def test_only_what_a_phone_needs_is_fetched(server: Behaviour) -> None:
    made = fetch(patience=QUICK)
    assert (str(made.release), made.targets, made.folder) == (VERSION, ("android",), store.home() / VERSION)
    found = files_of(made.folder)
    assert found == wanted("android")
    assert f"lib/{ANDROID}/libQnnGpu.so" not in found
    assert "lib/hexagon-v81/unsigned/libSnpeHtpV81Skel.so" in found
    assert server.sent < len(server.data)
    assert all(server.requests)
    assert (made.folder / "bin" / ANDROID / "snpe-net-run").stat().st_mode & 0o111
    assert {entry.name for entry in store.home().iterdir()} == {VERSION, "seen.json", f".{VERSION}.lock"}


def test_one_phone_needs_one_pair_of_libraries(server: Behaviour) -> None:
    made = fetch(archs={75}, patience=QUICK)
    assert files_of(made.folder) == wanted("android", archs=(75,))
    assert not [path for path in files_of(made.folder) if "81" in path]
    assert store.find(["android"], [75]) == made
    assert store.find(["android"], [81]) is None
    assert store.find(["android"]) is None
    asked = len(server.requests)
    assert fetch(archs={75}, patience=QUICK) == made
    assert len(server.requests) == asked
    assert files_of(fetch(archs={81}, patience=QUICK).folder) == wanted("android", archs=(75, 81))


def test_what_was_fetched_before_is_not_fetched_again(server: Behaviour) -> None:
    fetch(patience=QUICK)
    before = server.sent
    made = fetch(targets=["converters"], patience=QUICK)
    assert files_of(made.folder) == wanted("android", "converters")
    assert made.targets == ("android", "converters")
    (made.folder / "LICENSE.pdf").write_bytes(b"changed")
    assert files_of(fetch(targets=["all"], patience=QUICK).folder) == dict(sorted(sdk_files().items()))
    assert server.sent < 3 * before


def test_a_server_without_ranges_sends_all_of_it(server: Behaviour) -> None:
    server.ranges = False
    made = fetch(patience=QUICK)
    assert files_of(made.folder) == wanted("android")
    assert made.archive_sha256 == hashlib.sha256(server.data).hexdigest()
    assert not list((store.home() / ".downloads").iterdir())


def test_the_length_may_be_unknown(server: Behaviour) -> None:
    server.ranges = server.length = False
    assert files_of(fetch(patience=QUICK).folder) == wanted("android")


@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_is_cut_is_taken_up_again(server: Behaviour, ranges: bool) -> None:
    server.ranges, server.cut = ranges, [100, 100]
    assert files_of(fetch(patience=QUICK).folder) == wanted("android")
    assert not server.cut


@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_that_falls_silent(server: Behaviour, ranges: bool) -> None:
    server.ranges, server.stall = ranges, 1.5
    assert files_of(fetch(patience=QUICK).folder) == wanted("android")


def test_a_server_that_is_busy_for_a_moment(server: Behaviour) -> None:
    server.errors = [503, 429]
    assert files_of(fetch(patience=QUICK).folder) == wanted("android")


def test_a_server_that_never_has_time(server: Behaviour) -> None:
    server.errors = [500] * 9
    with pytest.raises(SetupError, match="HTTP 500; 3 attempts in a row brought nothing"):
        fetch(patience=QUICK)
    assert not store.installed()


def test_files_that_arrived_are_there_after_a_break(server: Behaviour) -> None:
    server.cut = [100_000_000]  # no answer is so long: nothing is cut yet
    first = fetch(archs={75}, patience=QUICK)
    shutil.rmtree(first.folder)
    total, server.sent = server.sent, 0
    server.cut = [len(server.data) // 8, *([0] * 99)]
    with pytest.raises(SetupError, match="attempts in a row"):
        fetch(archs={75}, patience=QUICK)
    assert not (store.home() / VERSION).exists()
    waiting = [file for file in store.staging(Release.parse(VERSION)).rglob("*") if file.is_file()]
    assert waiting
    server.cut, server.sent = [], 0
    assert files_of(fetch(archs={75}, patience=QUICK).folder) == wanted("android", archs=(75,))
    assert server.sent < total


def test_an_interrupted_download_goes_on_where_it_stopped(tmp_path: Path) -> None:
    from snpe_tools.toolchains.sdk_store.download import download

    data = bytes(range(256)) * 4000
    told = Behaviour(data, cut=[600_000, 0, 0, 0])
    target, advanced = tmp_path / "v.zip", []
    with serving(told) as url, requests.Session() as session:
        remote = probe(f"{url}/v{VERSION}.zip", session, QUICK)
        with pytest.raises(SetupError, match="the same command goes on from there"):
            download(remote, target, lambda count=1, _note="": advanced.append(count))
        download(remote, target, lambda count=1, _note="": advanced.append(count))
    assert target.read_bytes() == data
    assert told.requests[-1] == "bytes=600000-"
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.zip"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_length_that_is_a_lie(server: Behaviour, ranges: bool) -> None:
    server.ranges, server.announce = ranges, 7
    with pytest.raises(SetupError, match="attempts in a row brought nothing"):
        fetch(patience=QUICK)
    assert not store.installed()


def test_a_place_that_is_a_lie(server: Behaviour) -> None:
    server.shift = 1
    with pytest.raises(SetupError, match="Content-Range 'bytes 1-1/"):
        fetch(patience=QUICK)


def test_an_archive_that_changes_while_it_is_fetched(server: Behaviour) -> None:
    server.changes_after = 3
    with pytest.raises(SetupError, match="changed while it was fetched: etag was"):
        fetch(patience=QUICK)
    assert not store.installed()


def test_an_archive_that_changes_between_two_calls(server: Behaviour, tmp_path: Path) -> None:
    fetch(patience=QUICK)
    store.remove(Release.parse(VERSION))
    server.data = make_archive(tmp_path / "other.zip", {**sdk_files(), "lib/python/new.py": b"x"})
    for server.ranges in (True, False):
        with pytest.raises(SetupError, match=f"directory_sha256 is .* when QAIRT {VERSION} was first fetched"):
            fetch(patience=QUICK)
    assert not store.installed()


def test_content_that_does_not_match_its_checksum(server: Behaviour) -> None:
    place = server.data.index(b"double of lib/hexagon-v75/unsigned/libSnpeHtpV75Skel.so")
    server.data = server.data[:place] + b"D" + server.data[place + 1 :]
    for server.ranges in (True, False):
        with pytest.raises(SetupError, match=r"libSnpeHtpV75Skel\.so is damaged: Bad CRC-32"):
            fetch(patience=QUICK)
    assert not store.installed()


def test_what_is_no_archive(server: Behaviour, tmp_path: Path) -> None:
    server.data = b"<html>Please log in</html>" * 100
    for server.ranges in (True, False):
        with pytest.raises(SetupError, match="is not a readable zip archive"):
            fetch(patience=QUICK)
    server.data = make_archive(tmp_path / "other.zip", {"readme.txt": b"x"}, root="")
    with pytest.raises(SetupError, match="is not an SDK"):
        fetch(patience=QUICK)
    server.data = make_archive(tmp_path / "windows.zip", {"sdk.yaml": b"x", "lib/arm64x-windows-msvc/QnnHtp.dll": b"x"})
    with pytest.raises(SetupError, match="has nothing for android"):
        fetch(patience=QUICK)


def test_a_version_that_the_server_does_not_have(server: Behaviour) -> None:
    with pytest.raises(MissingFileError, match=r"v2\.50\.0\.260828\.zip does not exist") as caught:
        fetch("2.50.0.260828", patience=QUICK)
    assert "2.51.0.260929" in caught.value.hint
    assert len(server.requests) == 1


def test_answers_that_are_refused(server: Behaviour) -> None:
    server.errors = [403]
    with pytest.raises(SetupError, match="was refused: HTTP 403"):
        fetch(patience=QUICK)
    server.encoding = "gzip"
    with pytest.raises(SetupError, match="another encoding"):
        fetch(patience=QUICK)


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNPE_SDK_URL", "http://127.0.0.1:1")
    with pytest.raises(SetupError, match="Connection refused; 3 attempts"):
        fetch(patience=QUICK)


def test_a_full_disk_is_found_out_first(server: Behaviour, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(store.home().parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    for server.ranges in (True, False):
        server.requests.clear()
        with pytest.raises(StorageError, match="MiB are needed"):
            fetch(patience=QUICK)
        assert len(server.requests) == (4 if server.ranges else 1)


def test_an_archive_on_this_machine(tmp_path: Path) -> None:
    data = make_archive(tmp_path / "sdk.zip")
    made = fetch(archive=tmp_path / "sdk.zip", targets=["linux"])
    assert files_of(made.folder) == wanted("linux")
    assert made.archive_sha256 == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "sdk.zip").exists()


def test_one_connection_for_members_that_lie_behind_each_other() -> None:
    data = bytes(range(256)) * 100
    told = Behaviour(data)
    with serving(told) as url, requests.Session() as session:
        stream = RangeFile(probe(f"{url}/v{VERSION}.zip", session, QUICK))
        stream.until = 10_000
        assert stream.read(5_000) + stream.read(5_000) == data[:10_000]
        stream.seek(10_500)
        stream.until = 20_000
        assert stream.read(100) == data[10_500:10_600]
        stream.seek(10_700)
        assert stream.read(100) == data[10_700:10_800]
        stream.seek(-10, 2)
        stream.until = None
        assert stream.read(100) == data[-10:]
        assert stream.read(1) == b""
        stream.close()
    assert told.requests[1:] == ["bytes=0-9999", "bytes=10500-19999", "bytes=25590-25599"]


def test_which_version_fits() -> None:
    assert str(choose()) == VERSION
    assert str(choose("v2.47.0.260601")) == "2.47.0.260601"
    assert cache_warning(choose()) == ""
    assert "refuses caches of a newer one" in cache_warning(choose("2.50.0.260828"))
    for text in ("2.51", "latest", "2.51.0.260929/../x", "../2.51.0.260929"):
        with pytest.raises(UsageError, match="is not a version of the SDK"):
            choose(text)


def test_the_newest_that_reads_our_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    from snpe_tools.toolchains.sdk_store import releases

    monkeypatch.setattr(releases, "_FITS", {})
    monkeypatch.setattr(releases, "QAIRT_BUILD", "2.46.0.1")
    assert str(choose()) == VERSION


@pytest.mark.parametrize(
    ("mirror", "found"),
    [
        ("", f"https://softwarecenter.qualcomm.com/{{}}/All/{VERSION}/v{VERSION}.zip"),
        ("https://mirror.example/sdk/", f"https://mirror.example/sdk/v{VERSION}.zip"),
        ("https://mirror.example/{version}/q.zip", f"https://mirror.example/{VERSION}/q.zip"),
    ],
)
def test_addresses(monkeypatch: pytest.MonkeyPatch, mirror: str, found: str) -> None:
    monkeypatch.setenv("SNPE_SDK_URL", mirror)
    assert address(choose()) == found.format("api/download/software/sdks/Qualcomm_AI_Runtime_Community")


def test_a_mirror_that_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNPE_SDK_URL", "/srv/sdk")
    with pytest.raises(UsageError, match="not an http or https address"):
        address(choose())


def test_targets() -> None:
    assert parts.parse("android, converters,android") == ("android", "converters")
    with pytest.raises(UsageError, match="Unknown target 'ios'"):
        parts.parse("ios")
    with pytest.raises(UsageError, match="No target"):
        parts.parse(" , ")


def test_the_command_line(server: Behaviour, tmp_path: Path) -> None:
    run = CliRunner().invoke
    asked = run(app, ["sdk", "fetch"])
    assert isinstance(asked.exception, UsageError)
    assert "Qualcomm_AI_Runtime_Community" in asked.stderr
    assert not server.requests
    assert isinstance(run(app, ["sdk", "path"]).exception, UsageError)
    done = run(app, ["sdk", "fetch", "--for", "android,linux", "--soc", "sm8650", "--accept-licence", "--json"])
    document = json.loads(done.stdout)
    assert (document["version"], document["archs"], document["archive_sha256"]) == (VERSION, [75], None)
    assert run(app, ["sdk", "path"]).stdout.strip() == document["folder"]
    assert json.loads(run(app, ["sdk", "list", "--json"]).stdout) == [document]
    removed = json.loads(run(app, ["sdk", "remove", VERSION, "--json"]).stdout)
    assert removed["freed"] == document["bytes"]
    assert json.loads(run(app, ["sdk", "list", "--json"]).stdout) == []
    assert tmp_path.exists()


def test_a_damaged_manifest_is_named(server: Behaviour) -> None:
    made = fetch(patience=QUICK)
    for text in ("{", "[]", '{"version": "x"}', '{"version": "2.51.0.260929"}'):
        (made.folder / store.MANIFEST).write_text(text)
        assert store.installed() == []
    assert server.requests


@pytest.mark.usefixtures("server")
def test_doctor_lists_what_was_fetched() -> None:
    assert list(doctor._fetched()) == []
    made = fetch(patience=QUICK)
    assert [(one.name, one.state, one.found) for one in doctor._fetched()] == [
        ("fetched SDK", "ok", f"QAIRT {made.release} for android")
    ]

"""Fetches an SDK: only the files that a target needs where the server sends parts of its archive, else all of it."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from snpe_tools.core.errors import SetupError, StorageError
from snpe_tools.core.files import require_file, sha256, storage_errors, whole_folder
from snpe_tools.core.locks import held
from snpe_tools.core.progress import progress, say, warn
from snpe_tools.toolchains.sdk_store import parts, releases, store
from snpe_tools.toolchains.sdk_store.archive import Archive, Member, extract, matches, open_archive
from snpe_tools.toolchains.sdk_store.download import download
from snpe_tools.toolchains.sdk_store.releases import Release
from snpe_tools.toolchains.sdk_store.remote import MissingFileError, Patience, RangeFile, Remote, probe
from snpe_tools.toolchains.sdk_store.store import Installed

if TYPE_CHECKING:
    import requests

_MARGIN = 64 << 20
"""Bytes that stay free beside what is written."""
_CHANGED = (
    "The archive is another one than the first time. Ask its publisher; if the change is intended, remove the entry "
    "from {file} and fetch again."
)


@dataclass(frozen=True)
class Source:
    """An archive from which files can be taken.

    Attributes:
        ranges: the remote file as a stream, where only parts of it are fetched.
        sha256: of the whole archive; "" where only parts of it are fetched.
    """

    archive: Archive
    url: str
    ranges: RangeFile | None = None
    sha256: str = ""


def fetch(
    version: str = "",
    targets: Sequence[str] = (parts.ANDROID,),
    *,
    archs: Collection[int] = (),
    archive: Path | None = None,
    patience: Patience | None = None,
) -> Installed:
    """Fetch what targets need of an SDK, beside what was fetched of it before. The user has accepted its licence.

    Args:
        version: such as "2.51.0.260929"; "" takes the one that fits the installed runtime.
        targets: of `parts.NAMES`.
        archs: Hexagon architectures whose stubs and skels are taken; all of them when empty.
        archive: the SDK's archive on this machine, instead of the server's.

    Raises:
        UsageError: an unknown version or target.
        SetupError: the server or the archive cannot be used; nothing was installed.
        StorageError: no space, or no permission.
    """
    release = releases.choose(version)
    if warning := releases.cache_warning(release):
        warn(f"{warning}")
    with storage_errors(store.home()):
        store.home().mkdir(parents=True, exist_ok=True)
    with held(store.home() / f".{release}.lock", f"Another process fetches QAIRT {release}; waiting for it."):
        before = next((one for one in store.installed() if one.release == release), None)
        if before and before.has(targets, archs):
            say(f"QAIRT {release} is there already, in {before.folder}.")
            return before
        wanted = _union(before, targets, archs)
        with _source(release, archive, patience or Patience()) as source:
            _compare(release, source)
            return _install(release, source, *wanted)


def _union(
    before: Installed | None, targets: Sequence[str], archs: Collection[int]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Targets and architectures to be installed: what was there is kept."""
    if before is None:
        return tuple(dict.fromkeys(targets)), tuple(sorted(set(archs)))
    every = not archs or not before.archs
    return tuple(dict.fromkeys([*before.targets, *targets])), () if every else tuple(sorted({*before.archs, *archs}))


@contextmanager
def _source(release: Release, file: Path | None, patience: Patience) -> Iterator[Source]:
    if file:
        with _local(require_file(file, "the SDK's archive"), str(file)) as source:
            yield source
        return
    import requests

    url = releases.address(release)
    with requests.Session() as session:
        remote = _probe(release, url, session, patience)
        if remote.ranges and remote.identity.size:
            ranges = RangeFile(remote)
            with open_archive(ranges, url, remote.identity.size) as archive:
                yield Source(archive, url, ranges)
            return
        whole = _whole(remote)
    try:
        with _local(whole, url) as source:
            yield source
    finally:
        whole.unlink(missing_ok=True)


def _probe(release: Release, url: str, session: requests.Session, patience: Patience) -> Remote:
    try:
        return probe(url, session, patience)
    except MissingFileError as problem:
        raise MissingFileError(problem.message, f"Other versions: {releases.others(release)}. {problem.hint}") from None


def _whole(remote: Remote) -> Path:
    """The whole archive, downloaded."""
    say(f"{remote.url}: the server sends no parts of it, so all of it is fetched.")
    target = store.home() / ".downloads" / Path(remote.url).name
    size = remote.identity.size or 0
    _require_space(size)
    with progress("downloading", max(size, 1), in_bytes=True) as advance:
        download(remote, target, advance)
    return target


@contextmanager
def _local(file: Path, url: str) -> Iterator[Source]:
    digest = sha256(file)
    with open_archive(io.FileIO(file), url, file.stat().st_size) as archive:
        yield Source(archive, url, None, digest)


def _compare(release: Release, source: Source) -> None:
    """Refuse an archive that is another one than when its version was first fetched."""
    known = store.seen(release)
    for name, now in (("directory_sha256", source.archive.digest), ("archive_sha256", source.sha256)):
        if now and known.get(name, now) != now:
            raise SetupError(
                f"{source.url}: {name} is {now}; it was {known[name]} when QAIRT {release} was first fetched.",
                _CHANGED.format(file=store.home() / "seen.json"),
            )


def _install(release: Release, source: Source, targets: tuple[str, ...], archs: tuple[int, ...]) -> Installed:
    members = source.archive.members
    chosen = parts.select(members, targets, archs)
    if missing := parts.lacking(chosen, targets):
        raise SetupError(
            f"{source.url} has nothing for {' and '.join(missing)}.", "Is it the SDK's archive for Linux hosts?"
        )
    place, waiting = store.home() / str(release), store.staging(release)
    with storage_errors(waiting):
        absent = [path for path in chosen if not _there(path, members[path], waiting, place)]
        _require_space(sum(members[path].size for path in absent))
        _extract(source, absent, waiting)
        made = Installed(release, place, targets, archs, source.url, source.archive.digest, source.sha256)
        with whole_folder(place, known_by=store.MANIFEST) as folder:
            for path in chosen:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (waiting / path).replace(folder / path)
            store.write_manifest(folder, made)
        shutil.rmtree(waiting, ignore_errors=True)
    hashes = {"directory_sha256": source.archive.digest, "archive_sha256": source.sha256}
    store.remember(release, {name: value for name, value in hashes.items() if value})
    return made


def _there(path: str, member: Member, waiting: Path, place: Path) -> bool:
    """Whether a file waits already; one of the installed folder is linked to."""
    target = waiting / path
    if matches(target, member):
        return True
    if not matches(place / path, member):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    os.link(place / path, target)
    return True


def _extract(source: Source, paths: Sequence[str], waiting: Path) -> None:
    """Write files into the waiting folder, in the order in which they lie in the archive."""
    members = source.archive.members
    total = sum(members[path].size for path in paths)
    ends = _run_ends([members[path] for path in paths])
    with progress("fetching", total, in_bytes=True) as advance:
        for path, end in zip(paths, ends, strict=True):
            if source.ranges:
                source.ranges.until = end
            extract(source.archive, path, waiting / path, advance)


def _run_ends(members: Sequence[Member]) -> list[int]:
    """For each member, where the run of members that lie behind each other ends: a run comes over one connection."""
    ends: list[int] = []
    following: Member | None = None
    for member in reversed(members):
        ends.append(ends[-1] if following and following.start == member.end else member.end)
        following = member
    return ends[::-1]


def _require_space(needed: int) -> None:
    """Ask for space before anything is fetched.

    Raises:
        StorageError: less is free.
    """
    free = shutil.disk_usage(store.home()).free
    if free < needed + _MARGIN:
        raise StorageError(
            f"{store.home()} has {free >> 20} MiB free, and {(needed + _MARGIN) >> 20} MiB are needed.",
            f"Free some space, or name another folder: {store.HOME_VARIABLE}=/path.",
        )

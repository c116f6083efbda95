"""Where fetched SDKs are kept, and what is known of each: a folder for every version, with a manifest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snpe_tools.core.errors import UsageError
from snpe_tools.core.files import size_of, storage_errors, write_json
from snpe_tools.core.progress import warn
from snpe_tools.toolchains.sdk_store import parts
from snpe_tools.toolchains.sdk_store.releases import Release

HOME_VARIABLE = "SNPE_SDK_HOME"
MANIFEST = "snpe-tools.json"
_SEEN = "seen.json"


@dataclass(frozen=True)
class Installed:
    """A fetched SDK.

    Attributes:
        targets: that it was fetched for, such as "android".
        archs: Hexagon architectures whose stubs and skels it has; all that the SDK has when empty.
    """

    release: Release
    folder: Path
    targets: tuple[str, ...]
    archs: tuple[int, ...]
    url: str
    directory_sha256: str
    archive_sha256: str

    @property
    def bytes(self) -> int:
        """Of its files."""
        return size_of(self.folder)

    def has(self, targets: Iterable[str], archs: Iterable[int] = ()) -> bool:
        """Whether it was fetched for all of these."""
        enough = not self.archs or (bool(set(archs)) and set(archs) <= set(self.archs))
        return parts.covered(targets, self.targets) and (enough or parts.ALL in self.targets)


def home() -> Path:
    """The folder of all fetched SDKs: `SNPE_SDK_HOME`, or a folder of the user's data."""
    if named := os.environ.get(HOME_VARIABLE):
        return Path(named).absolute()
    import platformdirs

    return platformdirs.user_data_path("snpe-tools") / "sdk"


def installed() -> list[Installed]:
    """Fetched SDKs, the newest first; a folder whose manifest cannot be read is named and left out."""
    found = []
    for manifest in sorted(home().glob(f"*/{MANIFEST}")):
        try:
            found.append(_read(manifest))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, UsageError) as problem:
            warn(f"{manifest} is damaged ({problem}); remove {manifest.parent} and fetch it again.")
    return sorted(found, key=lambda one: one.release, reverse=True)


def _read(manifest: Path) -> Installed:
    told = json.loads(manifest.read_text(encoding="utf-8"))
    return Installed(
        release=Release.parse(str(told["version"])),
        folder=manifest.parent,
        targets=tuple(map(str, told["targets"])),
        archs=tuple(map(int, told["archs"])),
        url=str(told["url"]),
        directory_sha256=str(told["directory_sha256"]),
        archive_sha256=str(told["archive_sha256"]),
    )


def find(targets: Iterable[str], archs: Iterable[int] = ()) -> Installed | None:
    """The fetched SDK for targets: the newest; None without any."""
    wanted, chosen = tuple(targets), tuple(archs)
    return next((one for one in installed() if one.has(wanted, chosen)), None)


def named(version: str = "") -> Installed:
    """A fetched SDK by its version; the newest without one.

    Raises:
        UsageError: it was not fetched.
    """
    there = installed()
    asked = Release.parse(version) if version else None
    for one in there:
        if asked in {None, one.release}:
            return one
    what = f"QAIRT {asked} was not fetched" if asked else "No SDK was fetched"
    has = f"; there is {', '.join(str(one.release) for one in there)}" if there else ""
    raise UsageError(f"{what}{has}.", "snpe-tools sdk fetch")


def write_manifest(folder: Path, made: Installed) -> None:
    """Write what is known of an SDK into its folder."""
    told = {
        "version": str(made.release), "targets": made.targets, "archs": made.archs, "url": made.url,
        "directory_sha256": made.directory_sha256, "archive_sha256": made.archive_sha256,
    }  # fmt: skip
    write_json(folder / MANIFEST, told)


def seen(release: Release) -> dict[str, Any]:
    """The hashes that a version had when it was first fetched; they stay when it is removed."""
    told = _all_seen().get(str(release), {})
    return told if isinstance(told, dict) else {}


def remember(release: Release, hashes: dict[str, str]) -> None:
    """Keep the hashes of a version, to be compared from now on."""
    told = _all_seen()
    write_json(home() / _SEEN, {**told, str(release): {**seen(release), **hashes}})


def _all_seen() -> dict[str, Any]:
    file = home() / _SEEN
    if not file.exists():
        return {}
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        warn(f"{file} is damaged ({problem}): hashes of earlier fetches cannot be compared.")
        return {}
    return told if isinstance(told, dict) else {}


def staging(release: Release) -> Path:
    """Where the files of a version wait until all of them are there."""
    return home() / f".fetching-{release}"


def remove(release: Release) -> int:
    """Remove a fetched SDK and what waits of it; returns the bytes that it freed.

    Raises:
        StorageError: no permission.
    """
    freed = 0
    for folder in (home() / str(release), staging(release)):
        if folder.is_dir():
            freed += size_of(folder)
            with storage_errors(folder):
                shutil.rmtree(folder)
    return freed

"""Folders to and from a device: small files in few streams, large ones resumed, all compared by SHA-256."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath

from snpe_tools.core.errors import DeviceError
from snpe_tools.core.files import whole_folder
from snpe_tools.core.progress import Advance, progress
from snpe_tools.devices.device import LISTED, MINUTE, Device
from snpe_tools.devices.shell import Script, decimal
from snpe_tools.devices.storage.manifest import MANIFEST, SHA, Entry, Manifest, parse_listing
from snpe_tools.devices.storage.splitter import Expected, Splitter
from snpe_tools.devices.storage.tar_stream import pack

LISTING = SHA + "find . -type f -exec $SHA {} +\n"
"""Shell text: SHA-256 and name of every file below the current folder."""
_SIZES = "find . -type f -exec stat -c '%s %n' {} +\n"
_LARGE = 8 << 20
"""Bytes from which a file is sent by itself, and resumed in its middle."""
_PART = 64 << 20
_PART_FILES = 10_000
_PARTS = ".snpe-tools.parts"
_LONG = 60 * MINUTE


def send_files(device: Device, entries: Sequence[Entry], manifest: Manifest, folder: str, advance: Advance) -> None:
    """Write files into an existing folder of a device, and the manifest beside them.

    A large file goes on where a broken try stopped. Small ones are whole, or are sent again.

    Raises:
        DeviceLostError: the connection broke.
        DeviceError, StorageError: the device refuses.
    """
    small = [entry for entry in entries if entry.size < _LARGE]
    for number, part in enumerate(_parts(small) or [[]]):
        texts = {MANIFEST: manifest.text} if number == 0 else {}
        device.check(["tar", "xf", "-"], folder=folder, chunks=pack(part, texts, advance), timeout=_LONG)
    for entry in entries:
        if entry.size >= _LARGE:
            _send_large(device, entry, folder, advance)


def _send_large(device: Device, entry: Entry, folder: str, advance: Advance) -> None:
    """Under a name that only its content has, so that whatever is there is the beginning of it."""
    part, target = f"{folder}/{_PARTS}/{entry.sha256}", f"{folder}/{entry.name}"
    device.check(["mkdir", "-p", "--", target.rpartition("/")[0], f"{folder}/{_PARTS}"])
    device.push(entry.source, part, advance, timeout=_LONG)
    device.check(["mv", "-f", "--", part, target])


def _parts(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Bounded parts: what is confirmed in one is not in danger in the next."""
    parts: list[list[Entry]] = []
    room = 0
    for entry in entries:
        if room < entry.size or not parts or len(parts[-1]) == _PART_FILES:
            parts.append([])
            room = _PART
        parts[-1].append(entry)
        room -= entry.size
    return parts


def pull_folder(device: Device, folder: str, target: Path, *, limit: int, known_by: str = "") -> list[str]:
    """Read all files below a device's folder into `target`, which appears when all are there.

    Args:
        limit: bytes that they may have together.
        known_by: a file that an older `target` must hold to be replaced; see `whole_folder`.

    Returns:
        their names, sorted.

    Raises:
        DeviceLostError: the connection broke.
        DeviceError: the folder is missing or too large, or something else arrived than was listed.
    """
    expected = _listed(device, folder)
    total = sum(one.size for one in expected.values())
    if total > limit:
        raise DeviceError(f"{folder} has {total} bytes; at most {limit} were expected.", address=str(device))
    names = "".join(f"./{name}\0" for name in expected).encode()
    text = Script.of("cd -- {} && xargs -0 -r cat", folder).text
    label = f"reading from {device}"
    with (
        whole_folder(target, known_by=known_by) as temporary,
        progress(label, total, in_bytes=True) as advance,
        Splitter(device, temporary, expected, advance) as splitter,
    ):
        device.stream(text, sink=splitter.take, timeout=_LONG, chunks=[names])
        splitter.end()
    return sorted(expected)


def _listed(device: Device, folder: str) -> dict[str, Expected]:
    """What the device says is there. Links and other things that are no files are not followed, and not read."""
    script = Script(f"{LISTING}echo\n{_SIZES}")
    lines = device.check(script, folder=folder, timeout=_LONG, keep=LISTED).split("\n")
    break_at = lines.index("") if "" in lines else len(lines)
    hashes, sizes = parse_listing(lines[:break_at]), dict(_size(line) for line in lines[break_at + 1 :] if line)
    if hashes.keys() != sizes.keys() or len(hashes) != break_at or _nested(hashes):
        raise DeviceError(f"{folder} has files with unusual names, or changes meanwhile.", address=str(device))
    found = {name: Expected(size, hashes[name]) for name, size in sorted(sizes.items()) if size is not None}
    if len(found) != len(sizes):
        raise DeviceError(f"{folder}: the sizes of its files are no numbers.", address=str(device))
    return found


def _nested(names: Collection[str]) -> bool:
    """Whether one name is a file and a folder of others, which no real folder has."""
    return any(str(parent) in names for name in names for parent in PurePosixPath(name).parents)


def _size(line: str) -> tuple[str, int | None]:
    size, _, name = line.partition(" ")
    return name.removeprefix("./"), decimal(size)

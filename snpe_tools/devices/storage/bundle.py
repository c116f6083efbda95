"""Read-only folders of files on a device, named after their content: pushed once, shared by all runs.

    <root>/bundles/<kind>-<key>/      whole and verified: it gets this name by a rename, after its SHA-256 were compared
    <root>/staging/<kind>-<key>.<id>/ on its way; what a broken push left is used by the next one from the same machine

An earlier bundle of the same kind lends the files that have not changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.errors import DeviceError, UsageError
from snpe_tools.core.progress import progress
from snpe_tools.devices.device import LISTED, MINUTE, Device
from snpe_tools.devices.shell import Script
from snpe_tools.devices.storage.manifest import MANIFEST, SHA, Manifest, make_manifest, parse_listing
from snpe_tools.devices.storage.pushing import pushing
from snpe_tools.devices.storage.space import parse_free, require_space
from snpe_tools.devices.storage.transfer import LISTING, send_files

_KIND = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_BOOT = ".snpe-tools.boot"
_HAVE = "HAVE"
_LONG = 30 * MINUTE
_CHECKS = f"""{SHA}
# Whether the manifest in folder $1 is the one with SHA-256 $2, and every file in it is what it says.
whole() {{
  case "$($SHA < "$1/{MANIFEST}")" in "$2"*) ;; *) return 1 ;; esac
  [ "$(cd -- "$1" && $SHA -c {MANIFEST} 2>/dev/null | grep -c ': OK$')" = "$(grep -c '' "$1/{MANIFEST}")" ]
}}
wrong() {{ cd -- "$1" && $SHA -c {MANIFEST} 2>&1 | grep -v ': OK$' | head -n 20; }}
"""
_BEGIN = f"""{_CHECKS}BOOT=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
mkdir -p -- "${{1%/*}}" "${{2%/*}}" || exit 1
if [ -d "$1" ]; then
  # After a restart, files may be there without their content.
  if [ "$BOOT" ] && [ "$BOOT" = "$(cat "$1/{_BOOT}" 2>/dev/null)" ] || whole "$1" "$4"; then
    echo "$BOOT" > "$1/{_BOOT}"; touch -- "$1"; echo {_HAVE}; exit 0
  fi
  mv -- "$1" "$2.damaged" && rm -rf -- "$2.damaged"
fi
df -Pk "${{2%/*}}"
if [ ! -d "$2" ]; then
  BASE=$(ls -td -- "$3"-* 2>/dev/null | head -n 1)
  if [ "$BASE" ]; then cp -Rl -- "$BASE" "$2" 2>/dev/null || {{ rm -rf -- "$2"; cp -R -- "$BASE" "$2"; }} || exit 1
  else mkdir -- "$2" || exit 1; fi
fi
cd -- "$2" || exit 1
rm -f -- {MANIFEST} {_BOOT}
{LISTING}"""
_END = f"""{_CHECKS}xargs -0 -r chmod 755 || exit 1
rm -rf -- .snpe-tools.parts
whole "$1" "$3" || {{ wrong "$1"; exit 3; }}
cat /proc/sys/kernel/random/boot_id > {_BOOT} 2>/dev/null
cd .. && {{ [ -d "$2" ] || mv -- "$1" "$2"; }}
# Another machine may have been faster: then ours is not needed, or has been moved into the other.
rm -rf -- "$1" "$2/${{1##*/}}"
[ -d "$2" ]"""
_DAMAGED = 3


@dataclass(frozen=True)
class Pushed:
    """A bundle that is on the device.

    Attributes:
        folder: where, with exactly the names that were asked for.
        name: `<kind>-<key>`; equal contents have equal names.
        files: how many it has.
        total: bytes that they have.
        sent: bytes of file contents that had to be sent.
    """

    folder: str
    name: str
    files: int
    total: int
    sent: int


def push_bundle(device: Device, files: Mapping[str, Path], kind: str) -> Pushed:
    """Have files on a device, in a folder of their own that nobody changes; only what is missing is sent.

    Args:
        files: local files by their names below that folder; executable bits are kept.
        kind: begins the folder's name: letters, digits, ".", "_", "+" and "-".

    Raises:
        UsageError: a name that no device should be given.
        InputError: a local file is missing, or changes meanwhile.
        StorageError: it does not fit.
        DeviceLostError: the connection broke; the next try sends the rest.
        DeviceError: the device refuses, or files arrived damaged.
    """
    if not _KIND.fullmatch(kind):
        raise UsageError(f"{kind!r} is no kind of bundle.", "Use letters, digits, '.', '_', '+' and '-'.")
    manifest = make_manifest(files)
    name = f"{kind}-{manifest.key}"
    folder = f"{device.root}/bundles/{name}"
    with pushing(device, name) as sender:
        staging = f"{device.root}/staging/{name}.{sender}"
        begin = Script.over(_BEGIN, folder, staging, f"{device.root}/bundles/{kind}", manifest.digest)
        begun = device.check(begin, timeout=_LONG, keep=LISTED)
        sent = 0 if begun.strip() == _HAVE else _complete(device, manifest, staging, folder, begun)
    return Pushed(folder, name, len(manifest.entries), manifest.size, sent)


def _complete(device: Device, manifest: Manifest, staging: str, folder: str, begun: str) -> int:
    """Send what a staging folder lacks, and give it its name. Gives the bytes that were sent."""
    there = parse_listing(begun.split("\n"))
    missing = [entry for entry in manifest.entries if there.get(entry.name) != entry.sha256]
    needed = sum(entry.size for entry in missing)
    require_space(device, device.root, parse_free(device, begun), needed)
    _remove(device, staging, manifest, there)
    with progress(f"pushing to {device}", needed, in_bytes=True) as advance:
        send_files(device, missing, manifest, staging, advance)
    _finish(device, manifest, staging, folder)
    return needed


def _remove(device: Device, staging: str, manifest: Manifest, there: Mapping[str, str]) -> None:
    """Files of an earlier bundle that this one does not have, or has otherwise.

    What is there may be a second name of that bundle's own file, so nothing is ever written over.
    """
    wanted = {entry.name: entry.sha256 for entry in manifest.entries}
    names = [name for name, digest in there.items() if wanted.get(name) != digest]
    if names:
        listed = "".join(f"./{name}\0" for name in names).encode()
        device.check(["xargs", "-0", "rm", "-f", "--"], folder=staging, chunks=[listed])


def _finish(device: Device, manifest: Manifest, staging: str, folder: str) -> None:
    executables = "".join(f"./{entry.name}\0" for entry in manifest.entries if entry.executable).encode()
    script = Script.over(_END, staging, folder, manifest.digest)
    finished = device.run(script, folder=staging, timeout=_LONG, chunks=[executables])
    if finished.status == _DAMAGED:
        raise DeviceError(
            f"files arrived damaged:{finished.tail()}",
            "Run it again: only these are sent. If it stays so, the device's storage is failing.",
            address=str(device),
        )
    if finished.status:
        raise device.refused(finished)

"""Pushing many small raws: `push_bundle` against one `scp` or `adb push` per file, and one tar stream by hand.

    .venv/bin/python bench/device_push.py [--files 1000] [--size 4608]

The devices are those of the tests: a real sshd and an ADB device daemon, on loopback, so there is no cable in these
figures. Each way begins with nothing connected, except that an ADB server runs. One call per file is timed for
`--sample` files and multiplied. `again` is a second push of the same files; its bytes are those on the transport.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from adbutils import adb_path

from snpe_tools.devices import connect
from snpe_tools.devices.storage.bundle import push_bundle
from snpe_tools.devices.transports.transport import Stream
from tests import sshd
from tests.adb_device import running

ROUNDS = 5


def make(folder: Path, count: int, size: int) -> dict[str, Path]:
    folder.mkdir()
    files = {f"{number}.raw": folder / f"{number}.raw" for number in range(count)}
    for file in files.values():
        file.write_bytes(os.urandom(size))
    return files


def shell(command: str) -> Callable[[], None]:
    def call() -> None:
        subprocess.run(["/bin/sh", "-c", command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return call


def seconds(push: Callable[[], None], prepare: Callable[[], None]) -> float:
    took = []
    for _ in range(ROUNDS):
        prepare()
        started = time.perf_counter()
        push()
        took.append(time.perf_counter() - started)
    return statistics.median(took)


def counted(address: str, files: dict[str, Path]) -> int:
    """Bytes in both directions of one push."""
    moved = 0

    def open_counted(script: str, patience: float) -> Stream:
        nonlocal moved
        stream = plain_open(script, patience)
        moved += len(script)
        plain_send, plain_receive = stream.send, stream.receive

        def send(data: bytes) -> None:
            nonlocal moved
            moved += len(data)
            plain_send(data)

        def receive(limit: float) -> bytes:
            nonlocal moved
            data = plain_receive(limit)
            moved += len(data)
            return data

        stream.send, stream.receive = send, receive  # type: ignore[method-assign]
        return stream

    with connect(address) as device:
        plain_open = device.transport.open
        device.transport.open = open_counted  # type: ignore[method-assign]
        push_bundle(device, files, "inputs")
    return moved


def compare(
    name: str, address: str, files: dict[str, Path], home: Path, ways: dict[str, Callable[[], None]], sample: int
) -> None:
    def ours() -> None:
        with connect(address) as device:
            push_bundle(device, files, "inputs")

    def clean() -> None:
        for made in (home / ".cache" / "snpe-tools", home / "hand"):
            shutil.rmtree(made, ignore_errors=True)
        (home / "hand").mkdir()

    total = sum(file.stat().st_size for file in files.values())
    took = {"ours": seconds(ours, clean), "again": seconds(ours, lambda: None)}
    took["tar by hand"] = seconds(ways["tar"], clean)
    clean()
    started = time.perf_counter()
    for _ in range(sample):
        ways["single"]()
    took["one call per file"] = (time.perf_counter() - started) / sample * len(files)
    clean()
    counted(address, files)
    moved = counted(address, files)
    for way, value in took.items():
        print(f"{name:4} {way:18} {value:8.3f} s   {value / took['ours']:7.2f} times ours")
    print(f"{name:4} a second push moves {moved} of {total} bytes: {moved / total:.2%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--size", type=int, default=4608)
    parser.add_argument("--sample", type=int, default=20)
    options = parser.parse_args()
    patch = pytest.MonkeyPatch()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = make(folder / "raws", options.files, options.size)
        first = folder / "raws" / "0.raw"
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        server = sshd.start(folder / "sshd", "Subsystem sftp internal-sftp")
        patch.setenv("HOME", str(server.home))
        keys = f"-i {server.home}/.ssh/id_ed25519 -o UserKnownHostsFile={server.home}/.ssh/known_hosts"
        target = f"{sshd.USER}@127.0.0.1"
        tar = f"tar cf - -C {folder}/raws . |"
        ssh_ways = {
            "tar": shell(f"{tar} ssh {keys} -p {server.port} {target} 'tar xf - -C {server.home}/hand'"),
            "single": shell(f"scp -q {keys} -P {server.port} {first} {target}:{server.home}/hand/"),
        }
        try:
            compare("ssh", server.address, files, server.home, ssh_ways, options.sample)
        finally:
            server.stop()
        phone = running.start(folder / "phone")
        adb = f"{adb_path()} -s 127.0.0.1:{phone.port}"
        with running.own_server(folder / "android", patch):
            adb_ways = {
                "tar": shell(f"{tar} {adb} shell -T 'tar xf - -C {phone.home}/hand'"),
                "single": shell(f"{adb} push {first} {phone.home}/hand/"),
            }
            connect(phone.address)
            compare("adb", phone.address, files, phone.home, adb_ways, options.sample)
        phone.stop()
    patch.undo()


if __name__ == "__main__":
    main()

"""A connected device: run a command there, write a file, read a file. The same over every transport."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from snpe_tools.core.errors import DeviceError, DeviceLostError, StorageError
from snpe_tools.core.process import KEPT, Finished, Output
from snpe_tools.core.progress import Advance, unwatched
from snpe_tools.devices.conversation import OverTimeError, Sink, StoppedError, converse
from snpe_tools.devices.shell import Script, command_text, decimal
from snpe_tools.devices.transports.address import DeviceAddress
from snpe_tools.devices.transports.transport import Transport

PATIENCE = 20.0
"""Seconds of silence after which a device is asked whether it is still there."""
MINUTE = 60.0
_ROOT = """if [ -w /data/local/tmp ]; then echo /data/local/tmp/snpe-tools
else echo "${XDG_CACHE_HOME:-$HOME/.cache}/snpe-tools"; fi"""
LISTED = 256 << 20
"""Characters that a list of files may have."""
_CHUNK = 1 << 16
_ABSENT = 127
_FULL = ("No space left on device", "Disk quota exceeded", "File too large", "ENOSPC", "Wrote only ")


class Device:
    """A connected device. A context manager: it disconnects at the end of the block.

    Args:
        transport: the way to it; `snpe_tools.devices.connect` makes the right one.
        patience: seconds of silence after which it is asked whether it is still there; twice that is a lost device.
        root: the folder there that holds all we put on it; "" for the usual one of its system.
    """

    def __init__(self, transport: Transport, patience: float = PATIENCE, root: str = "") -> None:
        self.transport = transport
        self.patience = patience
        self._root = root
        self._stopped = threading.Event()

    @property
    def address(self) -> DeviceAddress:
        """Which device this is."""
        return self.transport.address

    @property
    def root(self) -> str:
        """The folder that holds all we put on it: below `/data/local/tmp` on Android, else below the user's cache.

        Raises:
            DeviceError: the device names none.
        """
        if not self._root:
            found = self.check(Script(_ROOT)).strip()
            if not found.startswith("/") or "\n" in found:
                raise DeviceError(f"{found[:80]!r} is no folder to work in.", "Set $HOME there.", address=str(self))
            self._root = found
        return self._root

    def __str__(self) -> str:
        return str(self.address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stop(self) -> None:
        """Kill what other threads run there now or later; for an interrupt that only the main thread hears of."""
        self._stopped.set()

    def close(self) -> None:
        """Disconnect."""
        self.transport.close()

    def run(
        self,
        command: Sequence[str] | Script,
        *,
        folder: str = "",
        environment: Mapping[str, str] | None = None,
        timeout: float = MINUTE,
        on_line: Callable[[str], None] | None = None,
        chunks: Iterable[bytes] = (),
        keep: int = KEPT,
    ) -> Finished:
        """Run a command to its end, whatever its exit status.

        Args:
            command: program and arguments, which no shell looks into; or a `Script`.
            folder: where it runs; a missing one is exit status 1.
            environment: variables added to the device's own.
            timeout: seconds after which it is killed, with all it started.
            on_line: receives each line as it arrives.
            chunks: its standard input.
            keep: characters of its output that are kept, the last ones.

        Raises:
            DeviceLostError: the connection broke before it ended.
            DeviceError: it ran past `timeout`.
        """
        text = command_text(command, folder=folder, environment=environment)
        output = Output(on_line, keep)
        status = self.stream(text, sink=output.take, timeout=timeout, chunks=chunks)
        return Finished(text, status, output.end())

    def check(
        self,
        command: Sequence[str] | Script,
        *,
        folder: str = "",
        timeout: float = MINUTE,
        chunks: Iterable[bytes] = (),
        keep: int = KEPT,
    ) -> str:
        """What a command printed that must succeed.

        Raises:
            DeviceError: it did not; the message has its last lines. Also see `run`.
            StorageError: since the device is full.
        """
        finished = self.run(command, folder=folder, timeout=timeout, chunks=chunks, keep=keep)
        if finished.status:
            raise self.refused(finished)
        return finished.output

    def refused(self, finished: Finished) -> DeviceError | StorageError:
        """The error for a command that should have succeeded."""
        if any(words in finished.output for words in _FULL):
            return StorageError(f"{self}: no space left on the device.{finished.tail()}", "Free some space there.")
        shown = finished.command.splitlines()[-1][:100] if finished.command else ""
        hint = (
            "It lacks a program: install coreutils, findutils and tar there, or busybox."
            if finished.status == _ABSENT
            else ""
        )
        return DeviceError(f"`{shown}` ended with {finished.ending}.{finished.tail()}", hint, address=str(self))

    def stream(self, text: str, *, sink: Sink, timeout: float, chunks: Iterable[bytes] = ()) -> int:
        """Run shell text; `sink` receives its output as bytes. Gives the exit status; see `run` for the rest."""
        try:
            return converse(
                self.transport,
                text,
                sink=sink,
                patience=self.patience,
                limit=timeout,
                chunks=chunks,
                stop=self._stopped,
            )
        except StoppedError as problem:
            raise DeviceError("it was interrupted, and what ran there was killed.", address=str(self)) from problem
        except OverTimeError as problem:
            raise DeviceError(
                f"`{text.splitlines()[-1][:100]}` did not end within {timeout:g} seconds, and was killed.",
                address=str(self),
            ) from problem
        except (ConnectionError, TimeoutError) as problem:
            raise self.lost(problem) from problem

    def lost(self, problem: Exception) -> DeviceLostError:
        """The error for a connection that broke."""
        return DeviceLostError(
            f"the connection was lost: {problem}.",
            "Check cable, power and network, and run the command again: what arrived is not sent twice.",
            address=str(self),
        )

    def push(self, source: Path, target: str, advance: Advance = unwatched, *, timeout: float = 60 * MINUTE) -> None:
        """Write the file `source` as `target`. Bytes that are there already are kept, so name it by its content.

        Args:
            advance: told the number of bytes done, those of an earlier try included.

        Raises:
            DeviceError: it could not be written whole. Also see `run`.
            StorageError: since the device is full.
        """
        size = source.stat().st_size
        there = max(0, self._size(target))
        if there > size:
            self.check(["rm", "-f", "--", target])
            there = 0
        advance(there)
        self.check(Script.of("cat >> {}", target), chunks=_read(source, there, advance), timeout=timeout)
        if (now := self._size(target)) != size:
            raise DeviceError(f"{target} has {now} bytes instead of {size}.", "Run it again.", address=str(self))

    def _size(self, target: str) -> int:
        """Bytes of a file there; -1 when there is none."""
        text = self.check(Script.of("if [ -f {} ]; then wc -c < {}; else echo none; fi", target, target)).strip()
        if text == "none":
            return -1
        if (size := decimal(text)) is None:
            raise DeviceError(f"the size of {target} was answered with {text[:80]!r}.", address=str(self))
        return size


def _read(source: Path, start: int, advance: Advance) -> Iterator[bytes]:
    with source.open("rb") as stream:
        stream.seek(start)
        while chunk := stream.read(_CHUNK):
            yield chunk
            advance(len(chunk))

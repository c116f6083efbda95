"""What every transport has to do, tested through `Device`, which is what the rest of the package uses."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from snpe_tools.core.errors import DeviceError
from snpe_tools.devices.device import Device
from snpe_tools.devices.shell import Script
from snpe_tools.devices.storage.bundle import push_bundle
from snpe_tools.devices.storage.transfer import pull_folder
from snpe_tools.devices.transports.transport import Transport
from snpe_tools.testing.refusal import refuses

_GONE = r"""n=0; while [ $n -lt 600 ]; do
case $(cat "/proc/$1/stat" 2>/dev/null) in ''|*') Z '*) exit 0 ;; esac
sleep 0.1; n=$((n+1)); done; exit 1"""
"""Waits until a process has ended; its state follows its name in brackets (proc(5)), and "Z" has ended."""


class TransportSuite:
    """Inherit this, and define the fixture `transport`: a connected device with a POSIX shell.

    What the tests write on the device lies below `Device.root`, and is removed. They take about half a minute where
    starting a command takes 20 ms.

    Attributes:
        patience: seconds of silence after which the device is asked whether it is still there.
        size: bytes of the largest file that travels.
    """

    patience = 2.0
    size = 1_000_000

    def test_the_address_is_one(self, transport: Transport) -> None:
        """Errors name the device by it."""
        assert str(transport.address).startswith(transport.address.kind)

    def test_both_outputs_arrive_and_then_end(self, transport: Transport) -> None:
        """They are one stream, in any order; after the last byte it gives no bytes, again and again."""
        with contextlib.closing(transport.open("echo one; echo two >&2; echo three", self.patience)) as stream:
            stream.end()
            data = b""
            while piece := stream.receive(self.patience):
                data += piece
            assert sorted(data.split()) == [b"one", b"three", b"two"]
            assert stream.receive(self.patience) == b""

    def test_silence_is_a_time_out(self, transport: Transport) -> None:
        """`receive` waits as long as it was told, and the stream goes on afterwards."""
        with contextlib.closing(transport.open("read line; echo $line", self.patience)) as stream:
            with refuses(TimeoutError):
                stream.receive(0.2)
            stream.send(b"still here\n")
            assert stream.receive(self.patience).startswith(b"still")

    def test_a_closed_stream_ends_a_blocked_send(self, transport: Transport) -> None:
        """Another thread may close a stream whose `send` waits for a slow device."""
        ended = threading.Event()

        def send() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    stream.send(bytes(1 << 20))
            ended.set()

        with contextlib.closing(transport.open("sleep 20", self.patience)) as stream:
            threading.Thread(target=send, daemon=True).start()
            time.sleep(0.2)
        assert ended.wait(10), "send still waits after close"

    def test_a_command_has_its_output_and_its_status(self, transport: Transport) -> None:
        """An exit status, a signal, a missing program, a mistake in the script."""
        device = self._device(transport)
        finished = device.run(Script("echo one; echo two >&2; cat; exit 3"), chunks=[b"three"])
        assert (finished.status, finished.output) == (3, "one\ntwo\nthree")
        assert device.run(Script("kill -KILL $$")).ending == "killed by SIGKILL"
        assert device.run(["no-such-program"]).status == 127
        assert device.run(Script("if then")).status
        assert device.run(["true"]).status == 0

    def test_words_arrive_as_they_are(self, transport: Transport) -> None:
        """No shell on the way looks into them."""
        words = ["$(touch bad)", "`touch bad`", "a'b", '"', "\n", ";", "ü", "*", "~", "-n", "\\", "a\tb", ""]
        script = Script.of("printf '%s|' " + " ".join("{}" for _ in words), *words)
        assert self._device(transport).check(script) == "".join(f"{word}|" for word in words)

    def test_every_byte_travels_both_ways(self, transport: Transport) -> None:
        """No terminal changes line breaks, drops control characters or takes one for the end."""
        data = bytes(range(256)) * 20 + b"\x04\x03\r\n\x11\x13\x1a"
        seen = bytearray()
        assert self._device(transport).stream("cat", sink=seen.extend, timeout=60, chunks=[data]) == 0
        assert bytes(seen) == data

    def test_a_long_script_arrives(self, transport: Transport) -> None:
        """Lists of files make scripts of 20,000 characters."""
        words = [f"file {number:04}" for number in range(1500)]
        script = Script.of("printf '%s,' " + " ".join("{}" for _ in words), *words)
        assert self._device(transport).check(script) == "".join(f"{word}," for word in words)

    def test_a_large_file_travels_both_ways(self, transport: Transport, tmp_path: Path) -> None:
        """As models and results do."""
        device = self._device(transport)
        content = os.urandom(self.size)
        (tmp_path / "a").write_bytes(content)
        with _folder(device) as folder:
            device.push(tmp_path / "a", f"{folder}/it's; $(b)")
            assert pull_folder(device, folder, tmp_path / "back", limit=2 * self.size) == ["it's; $(b)"]
        assert (tmp_path / "back" / "it's; $(b)").read_bytes() == content

    def test_a_bundle_is_sent_once(self, transport: Transport, tmp_path: Path) -> None:
        """Everything that a run needs is put there by this."""
        device = Device(transport, self.patience, f"{self._device(transport).root}/conformance-{uuid4().hex}")
        files = {f"part {number}": tmp_path / str(number) for number in range(20)}
        for file in files.values():
            file.write_bytes(os.urandom(4608))
        try:
            assert push_bundle(device, files, "inputs").sent == 20 * 4608
            assert push_bundle(device, files, "inputs").sent == 0
        finally:
            device.check(["rm", "-rf", "--", device.root])

    def test_a_script_need_not_read_its_input(self, transport: Transport) -> None:
        """It ends, and says why, while input is still on its way."""
        finished = self._device(transport).run(Script("echo no; exit 4"), chunks=[bytes(1 << 20)] * 8)
        assert (finished.status, finished.output) == (4, "no\n")

    def test_many_scripts_one_after_another(self, transport: Transport) -> None:
        """Nothing of one is left for the next."""
        device = self._device(transport)
        assert [device.check(["echo", str(number)]) for number in range(20)] == [f"{number}\n" for number in range(20)]

    def test_silence_of_a_script_is_no_loss(self, transport: Transport) -> None:
        """A device that computes for minutes still answers, and no output is lost by asking."""
        device = self._device(transport)
        script = Script(f"echo before; sleep {1.5 * self.patience}; echo after")
        assert device.check(script) == "before\nafter\n"

    def test_what_takes_too_long_is_killed_with_all_it_started(self, transport: Transport) -> None:
        """Also while it does not read its input."""
        device = self._device(transport)
        started: list[str] = []
        for seconds in (1, 10, 60):  # a busy device may not even start it
            with refuses(DeviceError, words="did not end within"):
                device.run(
                    Script("sleep 3600 & echo $!; wait"),
                    timeout=seconds,
                    on_line=started.append,
                    chunks=[bytes(1 << 20)] * 8,
                )
            if started:
                break
        assert started, "the command never started"
        assert all(_gone(device, process) for process in started), "what it started still runs"

    def test_an_interrupted_script_is_killed(self, transport: Transport) -> None:
        """Ctrl-C here ends what runs there."""
        device = self._device(transport)
        started: list[str] = []

        def interrupt(line: str) -> None:
            started.append(line)
            raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            device.run(Script("sleep 3600 & echo $!; wait"), on_line=interrupt)
        assert len(started) == 1
        assert _gone(device, started[0]), "what it started still runs"

    def test_it_may_be_closed_twice(self, transport: Transport) -> None:
        """Whoever closes it need not know whether somebody did."""
        transport.close()
        transport.close()

    def _device(self, transport: Transport) -> Device:
        return Device(transport, self.patience)


@contextlib.contextmanager
def _folder(device: Device) -> Iterator[str]:
    folder = f"{device.root}/conformance-{uuid4().hex}"
    device.check(["mkdir", "-p", "--", folder])
    try:
        yield folder
    finally:
        device.check(["rm", "-rf", "--", folder])


def _gone(device: Device, process: str) -> bool:
    return device.run(Script.over(_GONE, process), timeout=120).status == 0

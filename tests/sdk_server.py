"""A web server with one file, and the ways in which real ones misbehave; and archives laid out like the SDK's."""

from __future__ import annotations

import re
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.device_double import ANDROID

VERSION = "2.51.0.260929"


@dataclass
class Behaviour:
    """What the server does.

    Attributes:
        ranges: whether it sends parts.
        cut: bytes after which it ends a connection, once for each number; 0 sends nothing.
        stall: seconds of silence in the middle of the first answer with a longer body.
        announce: bytes that it announces beyond those it has.
        errors: HTTP statuses that it answers first.
        etag: its mark; changes after `changes_after` requests.
    """

    data: bytes
    ranges: bool = True
    cut: list[int] = field(default_factory=list)
    stall: float = 0
    announce: int = 0
    errors: list[int] = field(default_factory=list)
    etag: str = '"one"'
    changes_after: int = 10**9
    length: bool = True
    shift: int = 0
    encoding: str = ""
    redirect: str = ""
    requests: list[str] = field(default_factory=list)
    sent: int = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def told(self) -> Behaviour:
        return self.server.told  # type: ignore[attr-defined,no-any-return]

    def do_GET(self) -> None:
        told = self.told
        told.requests.append(self.headers.get("Range", ""))
        if told.errors:
            self.send_error(told.errors.pop(0))
        elif told.redirect:
            self.send_response(302)
            self.send_header("Location", told.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif not self.path.endswith(f"/v{VERSION}.zip"):
            self.send_error(404)
        else:
            self._send()

    def _send(self) -> None:
        told, total = self.told, len(self.told.data)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, end = (int(asked[1]), int(asked[2] or total - 1) + 1) if asked and told.ranges else (0, total)
        end = min(end, total)
        self.send_response(206 if asked and told.ranges else 200)
        if asked and told.ranges:
            self.send_header("Content-Range", f"bytes {start + told.shift}-{end - 1 + told.shift}/{total}")
        if told.length:
            self.send_header("Content-Length", str(end - start + told.announce))
        else:
            self.send_header("Connection", "close")
        self.send_header("ETag", told.etag if len(told.requests) <= told.changes_after else '"other"')
        if told.encoding:
            self.send_header("Content-Encoding", told.encoding)
        self.end_headers()
        self._body(told.data[start:end])

    def _body(self, body: bytes) -> None:
        told = self.told
        first = bool(told.cut) and len(body) > told.cut[0] and told.cut.pop(0)
        if told.stall and len(body) > 1000:
            self.wfile.write(body[:1000])
            self.wfile.flush()
            silence, told.stall = told.stall, 0
            time.sleep(silence)
            self.close_connection = True
            return
        if first is not False:
            body = body[:first]
            self.close_connection = True
        self.wfile.write(body)
        told.sent += len(body)
        if told.announce or not told.length:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that has enough may leave."""


@contextmanager
def serving(told: Behaviour) -> Iterator[str]:
    """The address of a running server."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.told = told  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sdk_files(arch: int = 75) -> dict[str, bytes]:
    """Files of an SDK by their paths, small."""
    names = [
        "LICENSE.pdf", "NOTICE.txt", f"bin/{ANDROID}/snpe-net-run", f"bin/{ANDROID}/qnn-net-run",
        f"bin/{ANDROID}/qnn-throughput-net-run", "bin/envsetup.sh", "bin/x86_64-linux-clang/snpe-diagview",
        "bin/x86_64-linux-clang/snpe-onnx-to-dlc", "bin/x86_64-linux-clang/snpe-dlc-quant",
        "lib/python/qti/aisw/__init__.py", "lib/x86_64-linux-clang/libSNPE.so", f"lib/{ANDROID}/libSNPE.so",
        f"lib/{ANDROID}/libQnnHtp.so", f"lib/{ANDROID}/libQnnSystem.so", f"lib/{ANDROID}/libQnnGpu.so",
        "bin/aarch64-oe-linux-gcc11.2/snpe-net-run", "lib/aarch64-oe-linux-gcc11.2/libSNPE.so",
        "docs/index.html", "examples/Models/model.py",
    ]  # fmt: skip
    for one in (arch, 81):
        names += [f"lib/{ANDROID}/lib{kind}HtpV{one}Stub.so" for kind in ("Snpe", "Qnn")]
        names += [f"lib/hexagon-v{one}/unsigned/lib{kind}HtpV{one}Skel.so" for kind in ("Snpe", "Qnn")]
    files = {name: f"double of {name}\n".encode() * 2000 for name in names}
    return {**files, "sdk.yaml": f"product: qairt\nversion: {VERSION}\n".encode()}


def make_archive(target: Path, files: Mapping[str, bytes] | None = None, root: str = f"qairt/{VERSION}/") -> bytes:
    """An archive like the SDK's: everything below one folder, which has a member of its own."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        if root:
            archive.writestr(zipfile.ZipInfo(root), b"")
        for name, data in (files or sdk_files()).items():
            info = zipfile.ZipInfo(root + name)
            info.compress_type = zipfile.ZIP_STORED if name.endswith("Skel.so") else zipfile.ZIP_DEFLATED
            info.external_attr = (0o100755 if name.startswith("bin/") else 0o100644) << 16
            archive.writestr(info, data)
    return target.read_bytes()

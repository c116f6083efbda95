"""A file on a web server, read from any place (HTTP Range, RFC 9110 section 14). Broken connections are resumed."""

from __future__ import annotations

import contextlib
import io
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from snpe_tools.core.errors import SetupError
from snpe_tools.core.progress import say

if TYPE_CHECKING:
    import requests

Result = TypeVar("Result")
_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")
_NETWORK = "Check the network; proxies are taken from HTTPS_PROXY and HTTP_PROXY, a mirror from SNPE_SDK_URL."
_NOT_FOUND, _PARTIAL, _OK, _BUSY, _ERRORS = 404, 206, 200, 429, 500
_CHUNK = 1 << 18
_NEAR = 1 << 16
"""Bytes that are read and dropped where a new request would cost more."""


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for.

    Attributes:
        seconds: without a single byte, until the connection counts as broken.
        attempts: in a row that brought no byte, until it is given up.
        pause: seconds before the second attempt; doubled before each further one.
    """

    seconds: float = 30.0
    attempts: int = 5
    pause: float = 1.0


@dataclass(frozen=True)
class Identity:
    """By what a file on a server is known to be the same: its bytes, and the server's own mark of its content."""

    size: int | None
    etag: str = ""
    modified: str = ""


class BrokenConnectionError(Exception):
    """The connection ended too early: the next attempt may do better."""


class MissingFileError(SetupError):
    """The server has no such file."""


@dataclass(frozen=True)
class Remote:
    """A file on a server.

    Attributes:
        ranges: whether the server sends parts of it.
    """

    url: str
    identity: Identity
    ranges: bool
    patience: Patience
    session: requests.Session

    def open(self, start: int = 0, end: int | None = None) -> requests.Response:
        """A response whose body is bytes `start` to `end` (exclusive); all of them where there are no ranges.

        Raises:
            BrokenConnectionError: nothing came.
            SetupError: the server refuses, or the file is another one by now.
        """
        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if self.ranges else {}
        response = _ask(self.session, self.url, headers, self.patience)
        with ExitStack() as stack:
            stack.callback(response.close)
            self._require_same(response, start)
            stack.pop_all()
        return response

    def _require_same(self, response: requests.Response, start: int) -> None:
        found, ranges = _describe(response, start)
        if (found, ranges) != (self.identity, self.ranges):
            raise SetupError(
                f"{self.url} changed while it was fetched: {_differs(self.identity, found)}.",
                "Nothing was installed. Run the same command again to fetch the new file.",
            )


def probe(url: str, session: requests.Session, patience: Patience | None = None) -> Remote:
    """Ask for a file's first byte: whether it is there, how large it is, and whether parts of it can be had.

    Raises:
        MissingFileError: the server has no such file.
        SetupError: the server cannot be reached, or refuses.
    """
    chosen = patience or Patience()

    def ask() -> Remote:
        with contextlib.closing(_ask(session, url, {"Range": "bytes=0-0"}, chosen)) as response:
            identity, ranges = _describe(response, 0)
            return Remote(url, identity, ranges, chosen, session)

    return persist(ask, chosen, url)


def persist(action: Callable[[], Result], patience: Patience, url: str, *, resumes: bool = False) -> Result:
    """What `action` returns; broken connections are tried again, with pauses between.

    Args:
        resumes: whether what arrived is of use to the next call.

    Raises:
        SetupError: as many attempts as `patience` has failed.
    """
    for failed in range(1, patience.attempts + 1):
        try:
            return action()
        except BrokenConnectionError as problem:
            if failed == patience.attempts:
                raise SetupError(
                    f"{url}: {problem}; {failed} attempts in a row brought nothing.",
                    f"{'What arrived is kept: the same command goes on from there. ' if resumes else ''}{_NETWORK}",
                ) from problem
            say(f"  {problem}; trying again.")
            time.sleep(patience.pause * 2 ** (failed - 1))
    raise AssertionError  # there is at least one attempt


def read_some(response: requests.Response, count: int) -> bytes:
    """Up to `count` bytes of a response; b"" at its end.

    Raises:
        BrokenConnectionError: it ended before its announced length, or nothing came in time.
    """
    import urllib3

    try:
        return bytes(response.raw.read(count, decode_content=False))
    except (urllib3.exceptions.HTTPError, OSError) as problem:
        raise BrokenConnectionError(_words(problem)) from problem


def _ask(session: requests.Session, url: str, headers: dict[str, str], patience: Patience) -> requests.Response:
    import requests

    asked = {"Accept-Encoding": "identity", **headers}
    try:
        response = session.get(url, headers=asked, stream=True, timeout=patience.seconds)
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as problem:
        raise SetupError(f"{url}: {problem}.", "Check SNPE_SDK_URL.") from problem
    except requests.exceptions.SSLError as problem:
        raise SetupError(
            f"{url}: its certificate is not trusted: {_words(problem)}.",
            "Where a proxy signs connections itself, name its certificate: REQUESTS_CA_BUNDLE=/path/to/ca.pem.",
        ) from problem
    except requests.exceptions.RequestException as problem:
        raise BrokenConnectionError(_words(problem)) from problem
    with ExitStack() as stack:
        stack.callback(response.close)
        _check(response, url)
        stack.pop_all()
    return response


def _check(response: requests.Response, url: str) -> None:
    """Refuse answers that are not the file."""
    if url.startswith("https:") and not response.url.startswith("https:"):
        raise SetupError(f"{url} leads to {response.url}, which is not encrypted.", "Nothing was fetched.")
    if response.status_code == _NOT_FOUND:
        raise MissingFileError(f"{url} does not exist (HTTP 404).", _NETWORK)
    if response.status_code == _BUSY or response.status_code >= _ERRORS:
        raise BrokenConnectionError(f"the server answered HTTP {response.status_code}")
    if response.status_code not in {_OK, _PARTIAL}:
        raise SetupError(f"{url} was refused: HTTP {response.status_code} {response.reason}.", _NETWORK)
    if response.headers.get("Content-Encoding", "identity") not in {"identity", ""}:
        raise SetupError(f"{url} is sent in another encoding than was asked for.", _NETWORK)


def _describe(response: requests.Response, start: int) -> tuple[Identity, bool]:
    """Identity of the whole file, and whether this answer is a part of it, from `start` on."""
    headers = response.headers
    etag = headers.get("ETag", "")
    marks = {"etag": "" if etag.startswith("W/") else etag, "modified": headers.get("Last-Modified", "")}
    length = headers.get("Content-Length", "")
    if response.status_code == _OK:
        return Identity(int(length) if length.isdecimal() else None, **marks), False
    said = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if not said or int(said[1]) != start or not int(said[1]) <= int(said[2]) < int(said[3]):
        raise SetupError(
            f"{response.url}: the server answered a request for bytes from {start} with "
            f"Content-Range {headers.get('Content-Range', '')!r}.",
            _NETWORK,
        )
    if length.isdecimal() and int(length) != int(said[2]) - int(said[1]) + 1:
        raise BrokenConnectionError(f"the server announced {length} bytes for the range {said[0]}")
    return Identity(int(said[3]), **marks), True


def _differs(before: Identity, now: Identity) -> str:
    for name in ("size", "etag", "modified"):
        if getattr(before, name) != getattr(now, name):
            return f"{name} was {getattr(before, name)}, and is {getattr(now, name)}"
    return "the server no longer sends parts of it"


def _words(problem: BaseException) -> str:
    """The innermost cause, which is the one that says something, without addresses of Python's objects."""
    while problem.__context__ or problem.__cause__:
        problem = problem.__cause__ or problem.__context__ or problem
    return re.sub(r"<[^<>]* at 0x[0-9a-f]+>:? ?", "", str(problem)).strip().rstrip(".") or type(problem).__name__


class RangeFile(io.RawIOBase):
    """A remote file as a seekable stream. Reading on costs no new request; `until` bounds the next one.

    Raises from `read`:
        SetupError: the server gave up, or the file changed.
    """

    def __init__(self, remote: Remote) -> None:
        super().__init__()
        self._remote, self._size = remote, remote.identity.size or 0
        self._place = self._stream_place = self._stream_end = 0
        self._response: requests.Response | None = None
        self.until: int | None = None

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Bytes before the next that is read."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.IOBase.seek`; nothing is asked for before the next read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(f"seek to {base + offset}")
        self._place = base + offset
        return self._place

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        """See `io.RawIOBase.readinto`."""
        wanted = min(len(buffer), self._size - self._place)
        if wanted <= 0:
            return 0
        data = persist(lambda: self._read(wanted), self._remote.patience, self._remote.url, resumes=True)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def _read(self, wanted: int) -> bytes:
        try:
            response = self._at_place()
            data = read_some(response, min(wanted, self._stream_end - self._stream_place))
        except BrokenConnectionError:
            self._drop()
            raise
        if not data:
            self._drop()
            raise BrokenConnectionError("the server ended the connection too early")
        self._stream_place += len(data)
        return data

    def _at_place(self) -> requests.Response:
        """A response that stands at the place to be read."""
        ahead = self._place - self._stream_place
        if self._response is None or not (0 <= ahead <= _NEAR and self._place < self._stream_end):
            self._drop()
            end = self._size if self.until is None or self.until <= self._place else min(self.until, self._size)
            self._response = self._remote.open(self._place, end)
            self._stream_place, self._stream_end = self._place, end
        while self._stream_place < self._place:
            dropped = read_some(self._response, min(self._place - self._stream_place, _CHUNK))
            if not dropped:
                raise BrokenConnectionError("the server ended the connection too early")
            self._stream_place += len(dropped)
        return self._response

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def close(self) -> None:
        """Close the connection."""
        self._drop()
        super().close()

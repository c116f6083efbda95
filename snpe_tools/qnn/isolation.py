"""QNN calls in child processes: a crash of the library ends the child, and becomes an error of that one call.

The children are loky workers, so no `if __name__ == "__main__"` is needed in a caller's script, and any other
`concurrent.futures.Executor` can take their place.
"""

from __future__ import annotations

import ctypes as c
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from snpe_tools.core.errors import ExecutionError, SetupError

_PR_SET_PDEATHSIG = 1
_ABORTS = "terminating with "
P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def pool(workers: int) -> Iterator[Executor]:
    """An executor of child processes. When the block fails or is interrupted they are killed, whatever they do."""
    from loky import ProcessPoolExecutor

    executor = ProcessPoolExecutor(max_workers=workers, initializer=_settle, initargs=(os.getpid(),))
    try:
        yield executor
    except BaseException:
        executor.shutdown(kill_workers=True)
        raise
    executor.shutdown()


@contextmanager
def cluster_executor(address: str) -> Iterator[Executor | None]:
    """The executor of a Dask cluster, whose workers must see the same files; None without an address.

    Raises:
        SetupError: the package is missing, or no scheduler answers there.
    """
    if not address:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as problem:
        raise SetupError("A cluster needs the package distributed.", "pip install 'snpe-tools[cluster]'") from problem
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as problem:
        raise SetupError(f"No Dask scheduler answers at {address}: {problem}.", "dask scheduler") from problem
    with client:
        yield client.get_executor()


def _settle(parent: int) -> None:
    """Ctrl-C is the parent's business; its death is ours too; and the libraries print lines for nobody on stdout.

    A parent that died before it could be tied to us has left us to another one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        c.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def isolated(function: Callable[P, R], /, *arguments: P.args, **keywords: P.kwargs) -> R:
    """Call `function` in a child process of its own, whose stderr is kept for the error.

    Raises:
        ExecutionError: the process died.
    """
    with tempfile.TemporaryDirectory(prefix="snpe-tools.") as folder, pool(1) as executor:
        said = Path(folder) / "stderr"
        try:
            return executor.submit(_captured, said, function, *arguments, **keywords).result()
        except BrokenProcessPool as problem:
            raise crashed(Path(str(arguments[0])), _last_words(said)) from problem


def _captured(said: Path, function: Callable[P, R], /, *arguments: P.args, **keywords: P.kwargs) -> R:
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT, 0o600), 2)
    return function(*arguments, **keywords)


def _last_words(said: Path) -> str:
    """Why a library aborted, in its own words; "" where it said nothing."""
    text = said.read_text(encoding="utf-8", errors="replace") if said.is_file() else ""
    found = [line.partition(_ABORTS)[2] for line in text.splitlines() if _ABORTS in line]
    return found[-1].rpartition("error: ")[2].strip() if found else ""


def crashed(file: Path, words: str = "") -> ExecutionError:
    """The error for a worker that died while it worked on `file`, with what the library said of it."""
    if words:
        return ExecutionError(f"{file}: the QNN library gave up: {words}", "Another form of that operation may do.")
    return ExecutionError(
        f"{file}: the QNN library crashed, or its process was killed.",
        "The file may be damaged, or memory was short: try --workers 1.",
    )

"""Several devices at once: each runs everything, or all share one data set; one that fails costs the others nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from snpe_tools.core.errors import DeviceError, ExecutionError, SnpeToolsError
from snpe_tools.core.progress import say
from snpe_tools.core.raw_files import read_list
from snpe_tools.devices import Device, DeviceAddress, connect
from snpe_tools.devices.facts import Facts, read_facts
from snpe_tools.execution.on_device import DeviceOptions, DeviceRun, run_connected

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True)
class FleetMember:
    """A device of a fleet: what it said of itself, or why it said nothing."""

    address: DeviceAddress
    facts: Facts | None = None
    problem: SnpeToolsError | None = None

    def __str__(self) -> str:
        return str(self.address)


def look(addresses: Sequence[DeviceAddress], root: str = "") -> list[FleetMember]:
    """Ask every device what it is, all at once. One that has two names, as `adb` and `adb:SERIAL`, is there once."""

    def ask(address: DeviceAddress) -> FleetMember:
        try:
            with connect(address, root=root) as device:
                return FleetMember(device.address, read_facts(device))
        except SnpeToolsError as problem:
            return FleetMember(address, problem=problem)

    with ThreadPoolExecutor(max(len(addresses), 1)) as pool:
        found = {str(member): member for member in pool.map(ask, addresses)}
    return [*found.values()]


@dataclass
class Fleet:
    """Runs on several devices; an interrupt ends all of them.

    Attributes:
        options: what each device is to do it with, by its address.
        runs: what was run, in the order in which it ended.
        lost: devices that failed.
    """

    options: Mapping[str, DeviceOptions]
    runs: list[DeviceRun] = field(default_factory=list)
    lost: dict[str, SnpeToolsError] = field(default_factory=dict)
    _open: list[Device] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, member: FleetMember, dlc: Path, listed: Path, folder: Path) -> DeviceRun:
        """Run a DLC on one device; it is in `runs` or `lost` afterwards.

        Raises:
            SnpeToolsError: why it failed.
        """
        try:
            done = self._run(member, dlc, listed, folder)
        except SnpeToolsError as problem:
            self._lose(member, problem)
            raise
        except Exception as problem:
            hint = "If this machine has space and permission, it is a defect of snpe-tools: please report it."
            told = DeviceError(f"{type(problem).__name__}: {problem}", hint, address=str(member))
            self._lose(member, told)  # the results of the others stay
            raise told from problem
        with self._lock:
            self.runs.append(done)
        return done

    def _run(self, member: FleetMember, dlc: Path, listed: Path, folder: Path) -> DeviceRun:
        options = self.options[str(member)]
        if member.problem:
            raise member.problem
        with connect(member.address, root=options.root) as device:
            self._open.append(device)
            return run_connected(device, dlc, read_list(listed), folder, options=options)

    def _lose(self, member: FleetMember, problem: SnpeToolsError) -> None:
        with self._lock:
            self.lost[str(member)] = problem

    def at_once(self, jobs: Mapping[K, Callable[[], T]]) -> dict[K, Future[T]]:
        """Start all jobs, a thread for each; wait until they have ended, however they did."""
        pool = ThreadPoolExecutor(max(len(jobs), 1))
        futures = {name: pool.submit(job) for name, job in jobs.items()}
        try:
            for _ in as_completed(futures.values()):
                pass
        except BaseException:
            self.stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return futures

    def stop(self) -> None:
        """End what runs on every device."""
        for device in self._open:
            device.stop()


@dataclass(frozen=True)
class FleetShare:
    """A part of a data set that one device ran: rows of the whole, and its results."""

    rows: tuple[int, ...]
    run: DeviceRun


def run_sharded(
    fleet: Fleet,
    members: Sequence[FleetMember],
    rows: Sequence[int],
    carry_out: Callable[[FleetMember, Sequence[int], int], DeviceRun],
) -> Iterator[FleetShare]:
    """Split rows over devices. What a device leaves undone when it fails, the others share.

    Args:
        carry_out: runs some rows on a device; the last argument numbers the round.

    Raises:
        DeviceError: all of them failed.
    """
    alive, pending = list(members), [int(row) for row in rows]
    for turn in range(len(members)):
        parts = [[int(row) for row in part] for part in np.array_split(pending, len(alive)) if len(part)]
        shares = [*zip(alive, parts, strict=False)]
        jobs = {index: _job(carry_out, member, part, turn) for index, (member, part) in enumerate(shares)}
        pending = []
        for index, future in fleet.at_once(jobs).items():
            member, part = shares[index]
            problem = future.exception()
            if problem is None:
                yield FleetShare(tuple(part), future.result())
                continue
            if not isinstance(problem, SnpeToolsError):
                raise problem
            alive.remove(member)
            pending += part
            say(f"  {member} failed: {problem.message}")
        if not pending:
            return
        if not alive:
            break
        say(f"  {len(pending)} of {len(rows)} inferences are left; {', '.join(map(str, alive))} run them.")
    raise DeviceError("all of them failed.", "See the failures above.", address=",".join(map(str, members)))


def check_rows(shares: Sequence[FleetShare], count: int) -> None:
    """Make sure that every row was run exactly once: one that was not would be scored as zeros.

    Raises:
        ExecutionError: one was left out, or run twice.
    """
    if sorted(row for share in shares for row in share.rows) != [*range(count)]:
        raise ExecutionError(
            f"The devices' shares are not the {count} inferences, each once.", "This is a defect: please report it."
        )


def _job(
    carry_out: Callable[[FleetMember, Sequence[int], int], DeviceRun],
    member: FleetMember,
    part: Sequence[int],
    turn: int,
) -> Callable[[], DeviceRun]:
    return lambda: carry_out(member, part, turn)

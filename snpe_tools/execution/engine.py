"""Many inferences on an executor: a bounded number in flight, and a crash costs the inference that caused it.

The seam is `concurrent.futures.Executor`. Without one, child processes of this machine are used, and replaced when
the library crashes in them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait

from snpe_tools.core.errors import ExecutionError, SnpeToolsError
from snpe_tools.execution.worker import Item, Job, Outcome, infer, warm
from snpe_tools.qnn.isolation import crashed, pool

_DEFAULT_WORKERS = 2
_PER_WORKER = 2
"""Inferences handed out per worker: the one it runs, and its next."""
_BORROWED = 64
"""Inferences handed out to an executor whose size is unknown."""


def default_workers(inferences: int) -> int:
    """Up to two: one emulation already keeps nearly two cores busy."""
    return min(_DEFAULT_WORKERS, os.cpu_count() or 1, max(inferences, 1))


def execute(
    job: Job, items: Iterable[Item], *, workers: int = 1, executor: Executor | None = None
) -> Iterator[Outcome]:
    """Run inferences; their outcomes come as they end, in any order.

    Args:
        items: drawn as workers become free, so that there may be any number.
        workers: child processes, without an `executor`.
        executor: runs them instead; it stays the caller's.

    Raises:
        SnpeToolsError: a failure that every inference would meet; what ended before is kept.
    """
    remaining = iter(items)
    if executor is not None:
        yield from _on_borrowed(executor, job, remaining)
        return
    while True:
        lost: list[Item] = []
        yield from _on_children(job, remaining, workers, lost)
        if not lost:
            return
        yield from (_alone(job, item) for item in lost)


def _on_children(job: Job, items: Iterator[Item], workers: int, lost: list[Item]) -> Iterator[Outcome]:
    """On child processes, until the items or a worker end; `lost` gets all that may have been on that worker."""
    with pool(workers) as own:
        for item, future in _ended(own, job, _while_none(lost, items), _PER_WORKER * workers):
            if isinstance(future.exception(), BrokenExecutor):
                lost.append(item)
            else:
                yield future.result()


def _while_none(lost: list[Item], items: Iterator[Item]) -> Iterator[Item]:
    while not lost and (item := next(items, None)) is not None:
        yield item


def _on_borrowed(executor: Executor, job: Job, items: Iterator[Item]) -> Iterator[Outcome]:
    """On the caller's executor, which alone can replace its workers: a lost inference is a failed one."""
    for item, future in _ended(executor, job, items, _BORROWED):
        problem = future.exception()
        if problem is None or isinstance(problem, SnpeToolsError):
            yield future.result()
        else:
            words = f"Inference {item.index}: its worker was lost ({type(problem).__name__}: {problem})."
            yield Outcome(item, failure=ExecutionError(words))


def _ended(executor: Executor, job: Job, items: Iterator[Item], size: int) -> Iterator[tuple[Item, Future[Outcome]]]:
    """Each item with its future once that has ended; at most `size` are in flight."""
    waiting: dict[Future[Outcome], Item] = {}
    try:
        for item in items:
            waiting[_submit(executor, job, item)] = item
            if len(waiting) >= size:
                yield from _taken(waiting)
        while waiting:
            yield from _taken(waiting)
    finally:
        for future in waiting:
            future.cancel()


def _taken(waiting: dict[Future[Outcome], Item]) -> Iterator[tuple[Item, Future[Outcome]]]:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        yield waiting.pop(future), future


def _submit(executor: Executor, job: Job, item: Item) -> Future[Outcome]:
    try:
        return executor.submit(infer, job, item)
    except BrokenExecutor as problem:
        failed: Future[Outcome] = Future()
        failed.set_exception(problem)
        return failed


def _alone(job: Job, item: Item) -> Outcome:
    """One inference in a fresh process of its own: does it bring down this worker too?

    Raises:
        ExecutionError: the model itself does.
    """
    with pool(1) as own:
        try:
            own.submit(warm, job).result()
        except BrokenExecutor as problem:
            raise crashed(job.dlc) from problem
        try:
            return own.submit(infer, job, item).result()
        except BrokenExecutor:
            words = f"Inference {item.index}: the QNN library crashed, or its process was killed, twice."
            return Outcome(item, failure=ExecutionError(words, "Its numbers may be damaged, or memory was short."))

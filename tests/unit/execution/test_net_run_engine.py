"""Inferences over workers: drawn as needed, lost alone, kept when they are whole, and of this run only."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snpe_tools.core.dtypes import BY_CODE
from snpe_tools.core.errors import ExecutionError, StorageError
from snpe_tools.core.socs import DEFAULT
from snpe_tools.core.tensor_spec import TensorSpec
from snpe_tools.execution import engine
from snpe_tools.execution import net_run as net_run_stage
from snpe_tools.execution.results import claim, locked
from snpe_tools.execution.worker import Item, Job, Outcome, part_of

FLOAT = BY_CODE[0x232]


class _Here(Executor):
    """Runs everything at once in this thread; counts what is in flight at most."""

    def __init__(self, function: Callable[[Job, Item], Outcome]) -> None:
        self.function, self.given = function, 0

    def submit(self, _: Any, /, *arguments: Any, **__: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.given += 1
        try:
            future.set_result(self.function(*arguments))
        except Exception as problem:  # noqa: BLE001 - an executor keeps whatever was raised
            future.set_exception(problem)
        return future


def _job(folder: Path) -> Job:
    return Job(folder / "m.dlc", 0, DEFAULT, folder / "out", {"y": "y.raw"})


def test_items_are_drawn_only_as_they_are_needed(tmp_path: Path) -> None:
    drawn = []

    def items() -> Any:
        for index in range(100_000):
            drawn.append(index)
            yield Item(index, [{}])

    executor = _Here(lambda _, item: Outcome(item))
    outcomes = engine.execute(_job(tmp_path), items(), executor=executor)
    assert next(outcomes).item.index in range(64)
    assert len(drawn) == executor.given == 64


def test_a_lost_worker_of_a_borrowed_executor_costs_one_inference(tmp_path: Path) -> None:
    def function(_: Job, item: Item) -> Outcome:
        if item.index == 3:
            raise RuntimeError("KilledWorker")
        return Outcome(item)

    items = [Item(index, [{}]) for index in range(10)]
    outcomes = list(engine.execute(_job(tmp_path), items, executor=_Here(function)))
    failed = [outcome for outcome in outcomes if outcome.failure]
    assert len(outcomes) == 10
    assert [outcome.item.index for outcome in failed] == [3]
    assert "Inference 3: its worker was lost (RuntimeError: KilledWorker)" in str(failed[0].failure)


def test_a_full_disk_ends_a_run_on_any_executor(tmp_path: Path) -> None:
    def function(_: Job, item: Item) -> Outcome:
        raise StorageError(f"No space left while writing {item.index}.")

    with pytest.raises(StorageError):
        list(engine.execute(_job(tmp_path), [Item(0, [{}])], executor=_Here(function)))


def test_a_duration_goes_over_the_list_until_the_clock_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    items = [Item(index, [{}]) for index in range(3)]
    again = list(net_run_stage._again(items, end=7))
    assert [item.index for item in again] == [0, 1, 2, 0, 1, 2, 0]
    assert not any(item.keep for item in again)


@pytest.fixture
def asked(tmp_path: Path) -> tuple[Job, list[TensorSpec], list[Item]]:
    """A run of three inferences with one output of four numbers."""
    (tmp_path / "m.dlc").write_bytes(b"model")
    items = []
    for index in range(3):
        raw = tmp_path / f"{index}.raw"
        np.zeros(4, np.float32).tofile(raw)
        items.append(Item(index, [{"x": raw}]))
    return _job(tmp_path), [TensorSpec("y", (1, 4), FLOAT)], items


def _write_result(job: Job, index: int, values: list[float]) -> None:
    folder = job.folder / f"Result_{index}"
    folder.mkdir()
    np.asarray(values, np.float32).tofile(folder / "y.raw")


def test_whole_results_of_an_equal_call_are_kept_and_counted(
    asked: tuple[Job, list[TensorSpec], list[Item]],
) -> None:
    job, specs, items = asked
    with locked(job.folder):
        first = claim(job, specs, items)
        assert first.indices == frozenset()
        _write_result(job, 0, [1, np.nan, np.inf, 2])
        _write_result(job, 1, [1, 2])
        _write_result(job, 7, [1, 2, 3, 4])
        again = claim(job, specs, items)
    assert (again.indices, again.not_finite, again.claim) == (frozenset({0}), 2, first.claim)
    assert sorted(entry.name for entry in job.folder.glob("Result_*")) == ["Result_0"]


def test_a_late_worker_of_another_run_writes_nothing(asked: tuple[Job, list[TensorSpec], list[Item]]) -> None:
    from dataclasses import replace

    from snpe_tools.execution.worker import _write

    job, specs, items = asked
    with locked(job.folder):
        old = replace(job, claim=claim(job, specs, items).claim)
        _write(old, 0, {"y": np.ones(4, np.float32)})
        os.utime(items[0].rows[0]["x"], (1, 1))
        new = replace(job, claim=claim(job, specs, items).claim)
        assert not (job.folder / "Result_0").exists()
        with pytest.raises(ExecutionError, match="another run's now"):
            _write(old, 0, {"y": np.ones(4, np.float32)})
        assert not list(job.folder.glob("*Result_0*"))
        _write(new, 0, {"y": np.ones(4, np.float32)})
    assert (job.folder / "Result_0" / "y.raw").stat().st_size == 16


def test_a_batch_falls_into_equal_parts() -> None:
    assert part_of(TensorSpec("x", (4, 3), FLOAT), 4).shape == (1, 3)
    assert part_of(TensorSpec("x", (4, 3), FLOAT), 4).nbytes() == 12

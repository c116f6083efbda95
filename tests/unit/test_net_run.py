from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpe_tools.contrast import Told, contrast
from snpe_tools.dtypes import BY_CODE
from snpe_tools.errors import ExecutionError, StorageError, UsageError
from snpe_tools.qnn import abi
from snpe_tools.qnn.generations import generation
from snpe_tools.qnn.names import library_name, restore_names
from snpe_tools.qnn.profile import Event
from snpe_tools.socs import DEFAULT, Soc
from snpe_tools.spec import TensorSpec
from snpe_tools.stages import engine
from snpe_tools.stages import net_run as net_run_stage
from snpe_tools.stages.inference import Item, Job, Outcome, part_of
from snpe_tools.stages.install import install
from snpe_tools.stages.net_run import parse_cache_mode, parse_level
from snpe_tools.stages.profile import chrome_trace, summarize
from snpe_tools.stages.results import claim, locked
from snpe_tools.stages.snpe_flags import read_flags
from snpe_tools.tensors import flat_name, nested_name, read_list

FLOAT = BY_CODE[0x232]


@pytest.mark.parametrize(
    ("tensor", "nested", "flat"),
    [
        ("start_logits", "start_logits.raw", "start_logits.raw"),
        ("Inception/Reshape_1:0", "Inception/Reshape_1:0.raw", "Inception_Reshape_1:0.raw"),
        ("/bert/Add_output_0", "bert/Add_output_0.raw", "_bert_Add_output_0.raw"),
        ("../../etc/passwd", "_/_/etc/passwd.raw", "_.._etc_passwd.raw"),
        ("/", "_.raw", "_.raw"),
    ],
)  # fmt: skip
def test_result_files_are_named_as_the_tool_names_them(tensor: str, nested: str, flat: str) -> None:
    assert nested_name(tensor) == nested
    assert flat_name(tensor) == flat


@given(st.text(min_size=1))
def test_no_tensor_name_leaves_its_folder(name: str) -> None:
    parts = Path(nested_name(name)).parts
    assert parts
    assert not Path(nested_name(name)).is_absolute()
    assert not {"..", "."} & set(parts)
    assert "\0" not in nested_name(name)


def test_names_return_from_the_library() -> None:
    assert [library_name(name) for name in ("a/b:0", "0b c", "ok_1", "x.y-z")] == ["a_b_0", "_0b_c", "ok_1", "x_y_z"]
    specs = [TensorSpec(name, (1,), FLOAT) for name in ("a_b", "_9", "a_b", "other")]
    names = [spec.name for spec in restore_names(specs, ["a/b", "a:b", "9", "unused"])]
    assert names == ["a/b", "9", "a:b", "other"]


def test_relative_paths_of_the_tools_lists_count_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "x.raw").touch()
    listed = tmp_path / "lists" / "list.txt"
    listed.write_text("input_ids:0:=x.raw mask:0:=d/y.raw\n")
    monkeypatch.chdir(tmp_path)
    assert read_list(listed, beside=False).lines == ({"input_ids:0": Path("x.raw"), "mask:0": Path("d/y.raw")},)


# --- flags ---


def test_flags_without_effect_are_told() -> None:
    flags = read_flags(["--use_dsp", "--perf_profile", "burst", "--userbuffer_floatN=32", "--enable_cpu_fallback"])
    assert flags.ignored == ("--perf_profile burst", "--userbuffer_floatN 32", "--enable_cpu_fallback")
    assert len(flags.remarks()) == 1
    assert flags.remarks()[0].endswith(": --perf_profile burst, --userbuffer_floatN 32, --enable_cpu_fallback.")
    assert read_flags(["--runtime_order", "dsp,cpu"]).asked_for_dsp
    assert "always the emulated HTP" in read_flags([]).remarks()[0]


@pytest.mark.parametrize(
    "words", ["--use_gpu", "--perf_profile", "stray", "--udo_package_path=x", "--inferences_per_duration 3"]
)
def test_other_flags_are_refused(words: str) -> None:
    with pytest.raises(UsageError):
        read_flags(words.split())


def test_levels_and_modes_have_names() -> None:
    assert [parse_level(name).number for name in ("basic", "moderate", "detailed", "linting")] == [1, 1, 2, 7001]
    assert [parse_cache_mode(name) for name in ("permissive", "strict", "always_generate_new")] == [False, False, True]
    with pytest.raises(UsageError, match="Known: permissive, strict"):
        parse_cache_mode("never")


# --- layouts of the binding; a wrong one would crash the process ---


def test_layouts_have_the_sizes_and_places_that_were_measured() -> None:
    import ctypes as c

    assert (c.sizeof(abi.Tensor), abi.Tensor.id.offset, abi.Tensor.name.offset) == (144, 8, 16)
    assert (c.sizeof(abi.GraphInfo), c.sizeof(abi.ProfileEvent)) == (88, 24)
    assert (abi.BinaryInfo.graphs.offset, abi.BinaryInfo.soc_model.offset) == (104, 136)


# --- the engine, on an executor that is no process pool ---


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


# --- the folder of a run ---


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

    from snpe_tools.stages.inference import _write

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


# --- profiles ---


def _recorded(*cycles: int) -> tuple[Event, ...]:
    names = ("Input OpId_2 (cycles)", "enc/Gemm:OpId_7 (cycles)", "q:OpId_9 (cycles)", "OpId_11 (cycles)")
    parts = tuple(Event(name, abi.PROFILE_NODE, "cycles", value) for name, value in zip(names, cycles, strict=True))
    return (Event("all", abi.HTP_ACCELERATOR_CYCLES, "cycles", sum(cycles), parts), Event("time", 3004, "us", 9))


def test_a_profile_takes_medians_and_names_types() -> None:
    types = {"enc/Gemm": "FullyConnected", "q": "Quantize"}
    found = summarize(
        [_recorded(10, 600, 100, 290), _recorded(10, 500, 100, 290), _recorded(10, 9000, 100, 290)], types
    )
    assert found
    assert [(operation.name, operation.type, operation.cycles) for operation in found.operations] == [
        ("OpId_2", "graph input", 10),
        ("enc/Gemm", "FullyConnected", 600),
        ("q", "Quantize", 100),
        ("OpId_11", "added by the compiler", 290),
    ]
    assert found.conversions == pytest.approx(10)
    assert (found.cycles, found.costliest[0].name) == (1000, "enc/Gemm")
    assert list(found.types) == ["FullyConnected", "added by the compiler", "Quantize", "graph input"]
    assert summarize([(Event("time", 3004, "us", 9),)], types) is None


def test_a_trace_lays_operations_one_after_the_other() -> None:
    trace = json.loads(json.dumps(chrome_trace([_recorded(1000, 2000, 3000, 0)], {"q": "Quantize"})))
    bars = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert [(bar["ts"], bar["dur"]) for bar in bars] == [(0, 1), (1, 2), (3, 3), (6, 0)]
    assert bars[2]["args"] == {"type": "Quantize", "emulator cycles": 3000}
    assert "no latency of any device" in trace["otherData"]["unit"]


# --- the rest ---


def test_a_soc_that_was_not_measured_stands_for_itself() -> None:
    assert generation(Soc("new", 999, 85), quantized=True) == 85


def test_a_contrast_names_the_questions_that_differ() -> None:
    from types import SimpleNamespace

    windows: Any = SimpleNamespace(
        attention_mask=np.array([[1, 1, 0], [1, 1, 1]]),
        questions=[SimpleNamespace(text="who?"), SimpleNamespace(text="where?")],
    )
    one = Told("a", [np.zeros((2, 3), np.float32)] * 2, ["he", "here"])
    other = Told("b", [np.array([[0, 1, 9], [0, 0, 0]], np.float32), np.zeros((2, 3), np.float32)], ["he", "there"])
    found = contrast(one, other, windows)
    assert (found.equal_logits, found.largest, found.equal_answers) == (90, 1, 50)
    assert found.differing == (("where?", "here", "there"),)
    assert "a / b: 50.0 % of 2 answers equal" in str(found)


def test_the_tools_name_is_installed_only_when_asked_for_and_never_over_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "sdk"))
    command = install(tmp_path / "bin")
    shown = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("SNPE v2.")
    assert install(tmp_path / "bin") == command
    (tmp_path / "sdk").mkdir()
    (tmp_path / "sdk" / "snpe-net-run").write_text("#!/bin/sh\n")
    (tmp_path / "sdk" / "snpe-net-run").chmod(0o755)
    with pytest.raises(UsageError, match="is not ours"):
        install(tmp_path / "bin")
    with pytest.raises(UsageError, match="is not ours"):
        install(tmp_path / "sdk")


def test_every_flag_of_the_tool_is_in_the_help() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "snpe_tools", "net-run", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for flag in ("container", "input_list", "output_dir", "set_output_tensors", "use_native_input_files", "duration"):
        assert f"--{flag}" in shown

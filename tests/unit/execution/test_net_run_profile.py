"""What a profile and a contrast of SoCs say."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from snpe_tools.core.soc_generations import generation
from snpe_tools.core.socs import Soc
from snpe_tools.execution.net_run.profile import chrome_trace, summarize
from snpe_tools.qnn import abi
from snpe_tools.qnn.profile import Event
from snpe_tools.scoring.soc_differences import RunnerOutputs, soc_difference
from snpe_tools.tasks import Outputs


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


def test_a_soc_that_was_not_measured_stands_for_itself() -> None:
    assert generation(Soc("new", 999, 85), quantized=True) == 85


def test_a_difference_of_socs_names_the_examples_that_differ() -> None:
    from types import SimpleNamespace

    batch: Any = SimpleNamespace(
        real=np.array([[1, 1, 0], [1, 1, 1]], bool),
        examples=[SimpleNamespace(text="who?"), SimpleNamespace(text="where?")],
    )
    zeros = np.zeros((2, 3), np.float32)
    one = RunnerOutputs("a", Outputs({"x": zeros, "y": zeros}), ["he", "here"])
    odd = np.array([[0, 1, 9], [0, 0, 0]], np.float32)
    other = RunnerOutputs("b", Outputs({"x": odd, "y": zeros}), ["he", "there"])
    found = soc_difference(one, other, batch, "answers")
    assert (found.equal_logits, found.largest, found.equal) == (90, 1, 50)
    assert found.differing == (("where?", "here", "there"),)
    assert "a / b: 50.0 % of 2 answers equal" in str(found)

"""What each operation costs at 8 bits, and in which order operations are raised."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from snpe_tools.graph.ranges import Ranges
from snpe_tools.quantization.operations import find_operations
from snpe_tools.tasks.question_answering.divergence import divergence
from snpe_tools.tasks.question_answering.task import TASK
from snpe_tools.tuning.greedy import noise_of, raise_in_order, total_noise
from snpe_tools.tuning.sensitivity import FULL, measure, rounded
from tests.conftest import two_layers


def effects(**tensors: dict[str, list[float]]) -> dict[str, dict[str, np.ndarray]]:
    return {name: {reader: np.array(row) for reader, row in of.items()} for name, of in tensors.items()}


def test_errors_of_one_tensor_at_several_readers_cancel_or_add() -> None:
    found = effects(a={"b": [1.0, -1.0], "c": [-1.0, 1.0]}, b={"": [0.5, 0.5]}, c={"": [2.0, 2.0]})
    assert noise_of(found, "a", ()) == 0
    assert noise_of(found, "a", {"a", "b"}) == 0.5, "the reader that stays narrow has nothing to cancel it"
    assert noise_of(found, "a", {"b", "c"}) == 0, "a tensor of 8 bits gains nothing from wide readers"
    assert total_noise(found, {"a", "b", "c"}) == 0


def test_an_output_needs_no_reader_of_16_bits() -> None:
    assert noise_of(effects(y={"": [3.0]}), "y", {"y"}) == 0


def test_connections_are_raised_at_both_ends_the_best_first() -> None:
    found = effects(a={"b": [3.0]}, b={"c": [0.1]}, c={"": [1.0]}, d={"c": [0.2]})
    steps = raise_in_order(found)
    assert set(steps[0].raised) == {"a", "b"}
    assert {name for step in steps for name in step.raised} == {"a", "b", "c", "d"}
    assert steps[-1].noise == 0


@given(st.integers(0, 10_000))
def test_every_tensor_is_raised_once(seed: int) -> None:
    generator = np.random.default_rng(seed)
    names = [f"t{number}" for number in range(6)]
    found = {
        name: {reader: generator.normal(size=8) for reader in [*names[place + 1 : place + 3], *([""] * (place > 4))]}
        for place, name in enumerate(names)
    }
    steps = raise_in_order(found)
    raised = [name for step in steps for name in step.raised]
    assert sorted(raised) == names
    assert steps[-1].noise == 0


def test_measured_noise_is_what_rounding_one_tensor_really_adds() -> None:
    model, generator = two_layers(), np.random.default_rng(3)
    operations = find_operations(model, ["r", "y"])
    inputs = [generator.normal(size=(4, 8)).astype(np.float32) for _ in range(400)]
    mask = np.ones((4, 8), np.float32)
    ranges = Ranges.from_dict({"r": (0.0, 20.0), "y": (-3.0, 3.0)}, 400)
    fed = [{"x": values, "attention_mask": mask} for values in inputs]
    found = measure(model, operations, {}, ranges, fed, TASK.distributions)
    wanted = np.mean([_really(model, values) for values in inputs])
    assert noise_of(found.by_clip[FULL], "r", ()) == pytest.approx(wanted, rel=0.2)
    assert noise_of(found.by_clip[FULL], "r", {"r", "y"}) == 0
    assert set(found.causes) == {"r", "y"}


def _really(model: onnx.ModelProto, values: np.ndarray) -> float:
    """Divergence of the answers, at the temperature of the measurement, that rounding "r" adds."""
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    hidden = np.maximum(values @ weights["w"], 0)
    error = rounded(torch.from_numpy(hidden), 0.0, 20.0, symmetric=False).numpy() - hidden
    logits = np.stack([hidden @ weights["v"], (hidden + error) @ weights["v"]]).reshape(2, 1, 1, -1) / 2
    return divergence(logits[0], logits[1], np.ones((1, 32), bool))


def test_a_range_with_an_outlier_is_clipped_when_it_does_not_matter() -> None:
    model = two_layers()
    operations = find_operations(model, ["r", "y"])
    generator = np.random.default_rng(4)
    fed = [
        {"x": generator.normal(size=(4, 8)).astype(np.float32), "attention_mask": np.ones((4, 8), np.float32)}
        for _ in range(8)
    ]
    ranges = Ranges.from_dict({"r": (0.0, 80.0), "y": (-3.0, 3.0)}, 8)
    assert measure(model, operations, {}, ranges, fed, TASK.distributions).best_clips()["r"] == (1.0, 0.25)

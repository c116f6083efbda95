"""Latency estimates: what a graph asks for, what it costs, and what is refused."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snpe_tools.core.dtypes import BY_CODE
from snpe_tools.core.errors import SnpeToolsError, UsageError
from snpe_tools.core.precision import Precision
from snpe_tools.core.socs import BY_NAME
from snpe_tools.dlc import Graph, Node, Tensor
from snpe_tools.dlc.model import Role
from snpe_tools.estimation.chips import DEVICES, measured_as, measured_socs
from snpe_tools.estimation.estimate import Estimate, estimate
from snpe_tools.estimation.features import FEATURES, WIDTHS, features
from snpe_tools.estimation.fitting import Figures, fit, fit_model
from snpe_tools.estimation.intervals import covering, error_factor, transfer_factor
from snpe_tools.estimation.latency_model import SHIPPED, LatencyModel, Measured, read_model
from snpe_tools.estimation.likeness import is_far
from snpe_tools.estimation.work import Work, work_of
from tests.dlc_files import F32, U8, U16

S25, S24 = BY_NAME["sm8750"], BY_NAME["sm8650"]
W8A16, FP16 = Precision.parse("w8a16"), Precision.parse("fp16")


@functools.cache
def shipped_model() -> LatencyModel:
    return read_model(SHIPPED)


def tensor(name: str, *shape: int, dtype: int = F32, role: Role = "native") -> Tensor:
    return Tensor(name, shape, BY_CODE[dtype], role)


def graph(kind: str, inputs: list[Tensor], output: Tensor) -> Graph:
    node = Node("op", kind, tuple(one.name for one in inputs), (output.name,), {})
    return Graph("g", (node,), {one.name: one for one in (*inputs, output)})


def convolution(width: int = 64, side: int = 56, dtype: int = F32) -> Graph:
    data = tensor("x", 1, side, side, width, dtype=dtype, role="input")
    weights = tensor("w", 3, 3, width, width, role="static")
    return graph("Conv2d", [data, weights], tensor("y", 1, side, side, width, dtype=dtype, role="output"))


def network(layers: int = 40) -> list[Work]:
    return work_of(convolution()) * layers


def number(row: Estimate) -> float:
    assert row.milliseconds is not None
    return row.milliseconds


def test_a_convolution_fills_blocks() -> None:
    (work,) = work_of(convolution(width=40, side=7))
    assert work.kind == "matrix"
    assert work.macs == 7 * 7 * 40 * 40 * 9
    assert work.blocks == 64 * 64 * 64 * 9, "49 positions, 40 channels in and out are two blocks each"
    assert work.weights == 9 * 40 * 40
    assert work.elements == 2 * 49 * 64
    assert work.plain_elements == 2 * 49 * 40


def test_depthwise_fully_connected_and_matmul() -> None:
    data, kernel = tensor("x", 1, 8, 8, 40), tensor("w", 3, 3, 1, 40, role="static")
    (depthwise,) = work_of(graph("DepthWiseConv2d", [data, kernel], tensor("y", 1, 8, 8, 40)))
    assert (depthwise.kind, depthwise.macs, depthwise.blocks) == ("depthwise", 64 * 40 * 9, 64 * 64 * 9)
    matrix = tensor("w", 1000, 512, role="static")
    (full,) = work_of(graph("FullyConnected", [tensor("x", 1, 512), matrix], tensor("y", 1, 1000)))
    assert (full.macs, full.blocks, full.weights) == (512_000, 32 * 1024 * 512, 512_000)
    (product,) = work_of(graph("MatMul", [tensor("a", 1, 12, 384, 64), tensor("b", 1, 12, 64, 384)],
                               tensor("y", 1, 12, 384, 384)))  # fmt: skip
    assert product.macs == product.blocks == 12 * 384 * 384 * 64


def test_a_lookup_reads_the_rows_that_it_gives() -> None:
    rows = tensor("table", 30522, 768, role="static")
    (work,) = work_of(graph("Gather", [rows, tensor("ids", 1, 384, dtype=0x32)], tensor("y", 1, 384, 768)))
    assert (work.kind, work.weights) == ("movement", 384 * 768)


def test_what_is_free_and_what_is_unknown() -> None:
    assert work_of(graph("Identity", [tensor("x", 1, 8)], tensor("y", 1, 8))) == []
    (work,) = work_of(graph("HyperDance", [tensor("x", 1, 8)], tensor("y", 1, 8)))
    assert (work.kind, work.macs) == ("unknown", 0)


def test_widths_follow_the_file_or_the_precision_that_is_asked_for() -> None:
    for dtype, width in ((F32, "fp16"), (U16, "a16"), (U8, "a8")):
        assert [work.width for work in work_of(convolution(dtype=dtype))] == [width]
    works = work_of(convolution(width=64, side=1))
    as_is, narrow = features(works), features(works, W8A16)
    column = FEATURES.index("weights")
    assert as_is[WIDTHS.index("fp16"), column] == pytest.approx(2e-6 * 9 * 64 * 64)
    assert narrow[WIDTHS.index("a16"), column] == pytest.approx(1e-6 * 9 * 64 * 64)
    assert not narrow[WIDTHS.index("fp16")].any()


def test_the_start_is_shared_by_widths_and_overflow_begins_beyond_fast_memory() -> None:
    large = work_of(convolution(width=64, side=300))
    amounts = features([*large, *work_of(convolution(dtype=U8))])
    assert amounts[:, FEATURES.index("start")].tolist() == [0.5, 0, 0.5]
    bytes_held = 2 * 300 * 300 * 64 * 2 / 1e6
    assert amounts[0, FEATURES.index("overflow")] == pytest.approx(bytes_held - 4)


def test_prices_and_speeds_are_found_again() -> None:
    """Figures that the model made itself are estimated within 10 %, whatever its prices are."""
    random, chips = np.random.default_rng(7), list(DEVICES)
    prices, made = np.array([0.1, 0.001, 0.1, 5, 0.006, 0.001, 0.01, 0.008, 0.003]), []
    for index in range(60):
        amounts = random.lognormal(0, 1, len(FEATURES)) * 0.2 / prices
        amounts[0] = 1
        figures = {chip: float(amounts @ prices) * (1 + place) for place, chip in enumerate(chips)}
        made.append(Measured(network=f"n{index}", family="f", width=WIDTHS[index % 3], amounts=list(amounts),
                             milliseconds=figures))  # fmt: skip
    figures_ = Figures.of(made)
    off = fit(figures_).log_estimates(figures_) - figures_.logs
    assert np.quantile(np.abs(off), 0.9) < math.log(1.1)


def test_errors_are_of_networks_left_out() -> None:
    shipped = shipped_model().measured
    few = [one for one in shipped if one.family in {"mobile", "dense"} and one.width == "a8"]
    found = fit_model(few, "test")
    one = found.measured[0]
    without = Figures.of([other for other in few if other.network != one.network])
    alone = Figures.of([one])
    error = fit(without).log_estimates(alone)[0, alone.chips.index("sm8750")] - math.log(one.milliseconds["sm8750"])
    assert one.unseen["sm8750"] == pytest.approx(error, abs=6e-4)
    assert one.unseen != one.family_unseen


def test_the_interval_covers_eight_of_ten() -> None:
    errors = [0.1 * index for index in range(1, 10)]
    assert covering(errors) == pytest.approx(math.exp(0.8))
    assert covering([-error for error in errors]) == covering(errors)
    assert covering([0.1, 0.2]) == math.inf


@pytest.fixture(scope="module")
def model() -> LatencyModel:
    return shipped_model()


def test_the_shipped_model_was_fitted_on_many_families_and_keeps_its_promise(model: LatencyModel) -> None:
    networks = {one.network for one in model.measured}
    assert len(networks) >= 40
    assert len({one.family for one in model.measured}) >= 5
    assert not any("mobile_bert" in name for name in networks)
    errors = [abs(error) for one in model.measured for error in one.unseen.values()]
    assert math.exp(float(np.median(errors))) < 1.3
    assert math.exp(float(np.quantile(errors, 0.9))) < 2.2


def test_larger_and_wider_models_take_longer(model: LatencyModel) -> None:
    small, large = (number(estimate(network(layers), model, [S25], [W8A16]).rows[0]) for layers in (20, 80))
    assert 2 < large / small < 5
    narrow, wide = (number(row) for row in estimate(network(), model, [S25], [W8A16, FP16]).rows)
    assert narrow < wide


def test_an_estimate_says_what_bounds_it_and_which_operations_take_longest(model: LatencyModel) -> None:
    found = estimate(network(), model, [S25], [FP16])
    (row,) = found.rows
    assert sum(row.bound_by.values()) == pytest.approx(1)
    assert row.low is not None
    assert row.high is not None
    assert row.low < number(row) < row.high
    assert number(row) / row.low == pytest.approx(row.high / number(row))
    assert [(one.type, one.count) for one in found.costly] == [("Conv2d", 40)]
    assert found.costly[0].milliseconds < number(row)
    assert len(found.witnesses) == 3
    assert found.witnesses[0].soc == "sm8750"


def test_a_measurement_scales_the_others_and_stands_for_itself(model: LatencyModel) -> None:
    plain = {row.soc: number(row) for row in estimate(network(), model, [S25, S24], [W8A16]).rows}
    found = estimate(network(), model, [S25, S24], [W8A16], {S24: 2 * plain["sm8650"]})
    rows = {row.soc: row for row in found.rows}
    assert rows["sm8650"].measured
    assert number(rows["sm8650"]) == pytest.approx(2 * plain["sm8650"])
    assert number(rows["sm8750"]) == pytest.approx(2 * plain["sm8750"])
    assert transfer_factor(model, ["sm8650"], "sm8750", "a16") < error_factor(model, "sm8750", "a16", far=False)


@pytest.mark.parametrize(
    ("soc", "precision", "words"),
    [
        ("qcs6490", "fp16", "computes no float"),
        ("sm8750", "w16a16", "16-bit integer weights"),
    ],
)
def test_no_number_where_nothing_was_published(model: LatencyModel, soc: str, precision: str, words: str) -> None:
    (row,) = estimate(network(), model, [BY_NAME[soc]], [Precision.parse(precision)]).rows
    assert row.milliseconds is None
    assert words in row.refusal


def test_no_number_far_from_everything_measured(model: LatencyModel) -> None:
    (tiny,) = estimate(work_of(convolution(width=32, side=2)), model, [S25]).rows
    assert "much smaller than every measured network" in tiny.refusal
    huge_work = [replace(work, blocks=work.blocks * 10_000) for work in network()]
    (huge,) = estimate(huge_work, model, [S25]).rows
    assert "much larger than every measured network" in huge.refusal


def test_operations_without_a_cost_model_are_listed_with_their_share(model: LatencyModel) -> None:
    (strange,) = work_of(graph("HyperDance", [tensor("x", 1, 8, 8, 32)], tensor("y", 1, 8, 8, 32)))
    few = estimate([*network(), strange], model, [S25])
    assert few.uncosted == {"HyperDance": 1}
    assert 0 < few.uncosted_share < 0.001
    assert few.rows[0].milliseconds
    many = estimate([*network(2), *[replace(strange, plain_elements=10**6)] * 9], model, [S25])
    assert "no cost model" in many.rows[0].refusal


def test_an_uncertain_soc_gets_no_number(model: LatencyModel) -> None:
    doubtful = model.model_copy(
        update={"measured": [one.model_copy(update={"unseen": dict.fromkeys(one.unseen, 1.3),
                                                    "family_unseen": dict.fromkeys(one.unseen, 1.3)})
                             for one in model.measured]}
    )  # fmt: skip
    (row,) = estimate(network(), doubtful, [S25]).rows
    assert (row.milliseconds, "more than a factor of 3" in row.refusal) == (None, True)


def test_what_cannot_be_asked(model: LatencyModel) -> None:
    with pytest.raises(UsageError, match="No latencies are published for sa8797"):
        estimate(network(), model, [BY_NAME["sa8797"]])
    with pytest.raises(UsageError, match="one precision"):
        estimate(network(), model, [S25], [W8A16, FP16], {S24: 2.0})
    with pytest.raises(UsageError, match="no operation"):
        estimate([], model, [S25])
    with pytest.raises(UsageError, match="mixed"):
        estimate(network(), model, [S25], [Precision.parse("w8a8-mixed")])


def test_every_soc_of_the_table_is_known_and_twins_share_figures() -> None:
    assert len(measured_socs()) == len(DEVICES)
    assert measured_as(BY_NAME["qcs8550"]) == "sm8550"
    assert measured_as(BY_NAME["sa8797"]) == ""


def test_no_estimate_is_nan_for_any_soc_and_precision(model: LatencyModel) -> None:
    precisions = [Precision.parse(name) for name in ("w8a8", "w8a16", "fp16")]
    for row in estimate(network(), model, measured_socs(), precisions).rows:
        assert row.refusal or all(value and math.isfinite(value) for value in (row.low, row.milliseconds, row.high))


def test_a_graph_unlike_everything_has_the_errors_of_whole_families(model: LatencyModel) -> None:
    softmax = work_of(graph("Softmax", [tensor("x", 1, 512, 512, 32)], tensor("y", 1, 512, 512, 32)))
    assert is_far(model, features(softmax * 20, W8A16))


_SIZES = st.sampled_from([0, 1, 3, 32, 128, 2**31 - 1])
_TENSORS = st.tuples(
    st.lists(_SIZES, max_size=6),
    st.sampled_from(list(BY_CODE)),
    st.sampled_from(["input", "output", "native", "static"]),
)
_NAMES = st.lists(st.sampled_from(["t0", "t1", "t2", "missing"]), max_size=3)
_TYPES = st.sampled_from(
    ["Conv2d", "DepthWiseConv2d", "MatMul", "FullyConnected", "Gather", "Softmax", "Reshape", "Neuron"]
)


@settings(deadline=None, max_examples=100)
@given(st.tuples(_TENSORS, _TENSORS, _TENSORS), st.lists(st.tuples(_TYPES, _NAMES, _NAMES), max_size=3))
def test_any_graph_is_estimated_with_finite_figures_or_refused(
    tensors: tuple[tuple[list[int], int, Role], ...], nodes: list[tuple[str, list[str], list[str]]]
) -> None:
    made = {f"t{index}": tensor(f"t{index}", *shape, dtype=dtype, role=role)
            for index, (shape, dtype, role) in enumerate(tensors)}  # fmt: skip
    graph_ = Graph("g", tuple(Node("n", kind, tuple(reads), tuple(writes), {}) for kind, reads, writes in nodes), made)
    try:
        rows = estimate(work_of(graph_), shipped_model(), [S25]).rows
    except SnpeToolsError:
        return
    for row in rows:
        assert row.refusal or all(value and math.isfinite(value) for value in (row.low, row.milliseconds, row.high))

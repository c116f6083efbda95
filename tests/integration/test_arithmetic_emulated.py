"""The rules beside the emulator, one DLC with one operation of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from snpe_tools.arithmetic.grid import Grid
from snpe_tools.arithmetic.network import Network
from snpe_tools.arithmetic.probes import Probe, convert, emulate
from snpe_tools.core.errors import DivergenceError
from snpe_tools.core.socs import DEFAULT
from snpe_tools.core.tensor_spec import Array
from snpe_tools.execution.simulated import run_simulated

ROWS, DEPTH, COLUMNS = 128, 96, 64
EXACT = ("product", "matmul", "narrow_matmul", "sum", "difference", "gelu")
ALMOST = {"norm": 0.999, "softmax": 0.999}


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def _probe(random: np.random.Generator) -> Probe:
    probe = Probe()
    left = probe.add_input("left", (ROWS, DEPTH), Grid(0.021, 117))
    right = probe.add_input("right", (ROWS, DEPTH), Grid(0.034, 60))
    other = probe.add_input("other", (DEPTH, COLUMNS), Grid(0.013, 131))
    narrow = probe.add_input("narrow", (DEPTH, COLUMNS), Grid(0.013, 60))
    scales = np.exp(random.uniform(-7, -5, COLUMNS)).astype(np.float32)
    weights = probe.add_constant(
        "w", random.integers(-127, 128, (COLUMNS, DEPTH)).astype(np.int8), scales, np.zeros(COLUMNS, np.int8), 0
    )
    bias = probe.add_constant(
        "b",
        random.integers(-9999, 9999, COLUMNS).astype(np.int32),
        np.float32(0.021) * scales,
        np.zeros(COLUMNS, np.int32),
        0,
    )
    gains = probe.add_constant("g", random.integers(50, 256, DEPTH).astype(np.uint8), np.float32(0.004), np.uint8(0))
    offset = random.integers(-9, 9, DEPTH).astype(np.int32)
    offsets = probe.add_constant("o", offset, np.float32(0.03), np.int32(0))
    probe.add("Gemm", [left, weights, bias], "product", Grid(0.05, 120), transB=1)
    probe.add("MatMul", [left, other], "matmul", Grid(0.11, 140))  # columns with codes 0 to 2 are divided
    probe.add("MatMul", [left, narrow], "narrow_matmul", Grid(0.2, 140))
    probe.add("Add", [left, right], "sum", Grid(0.045, 80))
    probe.add("Sub", [left, right], "difference", Grid(0.05, 130))
    probe.add("LayerNormalization", [left, gains, offsets], "norm", Grid(0.03, 128), axis=-1, epsilon=1e-12)
    probe.add("Softmax", [right], "softmax", Grid(1 / 255, 0), axis=-1)
    probe.add("Gelu", [left], "gelu", Grid(0.02, 10))
    return probe


@pytest.fixture(scope="module")
def dlc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(_probe(np.random.default_rng(7)), tmp_path_factory.mktemp("probe"), DEFAULT)


@pytest.fixture(scope="module")
def feed() -> dict[str, Array]:
    random = np.random.default_rng(11)
    shapes = dict.fromkeys(("left", "right"), (ROWS, DEPTH))
    shapes |= dict.fromkeys(("other", "narrow"), (DEPTH, COLUMNS))
    return {name: random.integers(0, 256, shape).astype(np.uint8) for name, shape in shapes.items()}


def test_the_rules_compute_what_the_emulator_does(dlc: Path, feed: dict[str, Array]) -> None:
    wanted = emulate(dlc, DEFAULT, [feed])[0]
    got = Network(dlc, DEFAULT).execute(feed)
    equal = {name: float(np.mean(wanted[name] == got[name])) for name in wanted}
    assert {name: equal[name] for name in EXACT} == dict.fromkeys(EXACT, 1.0)
    assert all(equal[name] >= bound for name, bound in ALMOST.items()), equal
    spread = {name: len(np.unique(wanted[name])) for name in EXACT}
    assert min(spread.values()) > 100, spread


def test_a_run_by_rules_writes_results_and_says_how_true_they_are(
    dlc: Path, feed: dict[str, Array], tmp_path: Path
) -> None:
    network = Network(dlc, DEFAULT)
    for spec in network.inputs:
        (tmp_path / f"{spec.name}.raw").write_bytes(feed[spec.name].tobytes())
    listed = tmp_path / "list.txt"
    listed.write_text(" ".join(f"{spec.name}:={spec.name}.raw" for spec in network.inputs) + "\n", encoding="utf-8")
    made = run_simulated(dlc, listed, tmp_path / "out", native_inputs=True, native_outputs=True)
    assert made.agreement.equal > 0.999
    assert made.agreement.peaks == 1
    stored = np.fromfile(tmp_path / "out" / "Result_0" / "sum.raw", np.uint8)
    np.testing.assert_array_equal(stored, network.execute(feed)["sum"].ravel())
    with pytest.raises(DivergenceError, match="do not speak for this DLC"):
        run_simulated(dlc, listed, tmp_path / "other", native_inputs=True, bound_db=1e9)
    assert not (tmp_path / "other").exists()

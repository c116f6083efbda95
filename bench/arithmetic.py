"""How many values the integer rules reproduce, operation by operation, on random 8-bit encodings, codes and weights.

    .venv/bin/python bench/arithmetic.py [--rounds 3] [--seed 0] [--soc sm8650] [--plot docs/arithmetic.png]

Each round makes one DLC with one operation of each kind and runs it once on the emulator. Prints, for each operation,
the values compared, the share that the rule reproduces, the share that rounding real numbers to the nearest code
reproduces, and the largest difference of the rule in codes. `--plot` draws both shares.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from snpe_tools.arithmetic.grid import Grid
from snpe_tools.arithmetic.network import Network
from snpe_tools.arithmetic.probes import Probe, convert, emulate
from snpe_tools.core.soc_names import parse_socs

ROWS, DEPTH, COLUMNS = 256, 256, 64


class Round:
    """Random operations, and what real numbers would give."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.probe, self.feed, self.real, self.grids = Probe(), {}, {}, {}
        left, right = self._input("left", (ROWS, DEPTH)), self._input("right", (ROWS, DEPTH))
        self._product(left)
        other = self._input("other", (DEPTH, COLUMNS), zero=int(self._random.integers(90, 170)))
        for operation, function in (("MatMul", np.matmul),):
            self._add(operation, [left, other], function(left[1], other[1]))
        self._add("Add", [left, right], left[1] + right[1])
        self._add("Sub", [left, right], left[1] - right[1])
        self._add("Mul", [left, right], left[1] * right[1])
        self._norm(left)
        powers = np.exp(left[1] - left[1].max(1, keepdims=True))
        self._add("Softmax", [left], powers / powers.sum(1, keepdims=True), Grid(1 / 255, 0), axis=-1)
        erf = np.vectorize(math.erf)(left[1] / math.sqrt(2))
        self._add("Gelu", [left], left[1] * (1 + erf) / 2)
        self._add("Sigmoid", [left], 1 / (1 + np.exp(-left[1])), Grid(1 / 256, 0))

    def _input(self, name: str, shape: tuple[int, int], zero: int = -1) -> tuple[str, np.ndarray]:
        grid = Grid(float(np.float32(np.exp(self._random.uniform(-4.5, -2.5)))), zero)
        grid = grid if zero >= 0 else Grid(grid.scale, int(self._random.integers(0, 256)))
        self.feed[name] = self._random.integers(0, 256, shape).astype(np.uint8)
        return self.probe.add_input(name, shape, grid), (self.feed[name].astype(np.float64) - grid.zero) * grid.scale

    def _add(self, operation: str, inputs: list, real: np.ndarray, grid: Grid | None = None, **attributes: int) -> None:
        low, high = np.percentile(real, (0.5, 99.5))
        scale = float(np.float32((high - low) / 255))
        self.grids[operation] = grid = grid or Grid(scale, int(np.clip(np.rint(-low / scale), 0, 255)))
        self.real[operation] = real
        self.probe.add(operation, [name for name, _ in inputs], operation, grid, **attributes)

    def _product(self, source: tuple[str, np.ndarray]) -> None:
        weights = self._random.integers(-127, 128, (COLUMNS, DEPTH)).astype(np.int8)
        scales = np.exp(self._random.uniform(-7, -5, COLUMNS)).astype(np.float32)
        unit = np.float32(np.ptp(source[1]) / 255) * scales
        bias = self._random.integers(-9999, 9999, COLUMNS).astype(np.int32)
        zeros = np.zeros(COLUMNS, np.int32)
        constants = (
            (self.probe.add_constant("w", weights, scales, zeros.astype(np.int8), 0), 0),
            (self.probe.add_constant("b", bias, unit, zeros, 0), 0),
        )
        real = source[1] @ (weights * scales[:, None]).T + bias * unit
        self._add("Gemm", [source, *constants], real, transB=1)

    def _norm(self, source: tuple[str, np.ndarray]) -> None:
        gains = self._random.integers(50, 256, DEPTH).astype(np.uint8)
        gain = (self.probe.add_constant("g", gains, np.float32(0.004), np.uint8(0)), 0)
        centred = source[1] - source[1].mean(1, keepdims=True)
        real = centred / source[1].std(1, keepdims=True) * gains * 0.004
        zeros = (self.probe.add_constant("o", np.zeros(DEPTH, np.int32), np.float32(0.01), np.int32(0)), 0)
        self._add("LayerNormalization", [source, gain, zeros], real, axis=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--soc", default="sm8650")
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    soc = parse_socs(arguments.soc)[0]
    rows: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    for number in range(arguments.rounds):
        made = Round(arguments.seed + number)
        with tempfile.TemporaryDirectory() as scratch:
            dlc = convert(made.probe, Path(scratch), soc)
            wanted, got = emulate(dlc, soc, [made.feed])[0], Network(dlc, soc).execute(made.feed)
        for name, codes in wanted.items():
            grid = made.grids[name]
            rounded = np.clip(np.rint(made.real[name] / grid.scale) + grid.zero, 0, 255)
            furthest = int(np.abs(codes.astype(int) - got[name]).max())
            rows[name].append((codes.size, int((codes == got[name]).sum()), int((codes == rounded).sum()), furthest))
    shares = {name: np.array(found) for name, found in sorted(rows.items())}
    print(f"{'operation':20} {'values':>9} {'rule':>10} {'rounding':>10} {'furthest':>9}")
    for name, found in shares.items():
        count, rule, rounding, _ = found.sum(0)
        print(f"{name:20} {count:9,} {rule / count:10.4%} {rounding / count:10.4%} {found[:, 3].max():9}")
    if arguments.plot:
        _draw(arguments.plot, shares)


def _draw(file: Path, shares: dict[str, np.ndarray]) -> None:
    """Values that are missed, of a million, by the rule and by rounding."""
    from matplotlib.figure import Figure

    figure = Figure((7, 3.2), layout="constrained")
    axes = figure.subplots()
    for offset, column, label in ((-0.2, 2, "rounding real numbers"), (0.2, 1, "the rule")):
        missed = [1e6 * (1 - found[:, column].sum() / found[:, 0].sum()) for found in shares.values()]
        axes.barh(np.arange(len(shares)) + offset, missed, 0.4, label=label)
    axes.set_yticks(range(len(shares)), shares)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlabel("values of a million that differ from the emulator's")
    axes.legend()
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    main()

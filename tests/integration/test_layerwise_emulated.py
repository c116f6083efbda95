"""Every tensor of a DLC on the emulator against the models it was made from."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from snpe_tools.core.errors import InputError
from snpe_tools.steps.compare import compare
from snpe_tools.steps.compare_layers import compare_layers
from tests.integration.conftest import Tiny


@pytest.fixture(scope="module")
def w8a16(tiny: Callable[[str, str], Tiny]) -> Tiny:
    return tiny("bert", "w8a16")


def test_every_tensor_of_float_qdq_and_dlc(w8a16: Tiny, exported: Callable[[str], Path]) -> None:
    simulated = compare_layers(exported("bert"), w8a16.source, w8a16.listed, limit=2)
    assert (simulated.reshaped, simulated.first_only, simulated.second_only) == ((), (), ())
    assert len(simulated.layers) > 50
    emulated = compare_layers(w8a16.source, w8a16.dlc, w8a16.listed, limit=2)
    assert len(emulated.layers) > 0.85 * len(simulated.layers)
    assert not list(w8a16.dlc.parent.glob("*tapped*"))
    for found in (simulated, emulated):
        assert all(math.isfinite(row.cosine) and row.cosine > 0.98 for row in found.layers)
        assert all(row.grid.bits == 16 if row.grid else row.tensor.endswith("logits") for row in found.layers)
        assert {row.op for row in found.layers} >= {"Gemm", "Softmax", "LayerNormalization", "Gelu"}


def test_the_figures_of_outputs_are_those_of_compare(w8a16: Tiny) -> None:
    wanted = {row.output: row for row in compare(w8a16.source, w8a16.dlc, w8a16.listed)}
    found = {row.tensor: row for row in compare_layers(w8a16.source, w8a16.dlc, w8a16.listed, limit=0).layers}
    for name, row in wanted.items():
        assert found[name].largest == pytest.approx(row.largest)
        assert found[name].equal == pytest.approx(row.equal)
        assert found[name].sqnr_db == pytest.approx(row.sqnr_db)


def test_an_fp16_dlc_is_matched_with_its_float_model(tiny: Callable[[str, str], Tiny]) -> None:
    model = tiny("bert", "fp16")
    found = compare_layers(model.source, model.dlc, model.listed, limit=1)
    assert len(found.layers) > 40
    assert found.diverged == ""
    assert all(row.grid is None for row in found.layers)
    assert all(row.sqnr_db is None or row.sqnr_db > 40 for row in found.layers)


def test_the_command_names_the_losers_and_writes_what_the_report_reads(
    w8a16: Tiny, exported: Callable[[str], Path], tmp_path: Path
) -> None:
    arguments = [str(exported("bert")), str(w8a16.source), "-i", str(w8a16.listed), "--layers", "--limit", "1"]
    command = [sys.executable, "-m", "snpe_tools", "compare", *arguments, "--threshold", "200", "--json"]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "layers.json")], capture_output=True, text=True, check=True, timeout=120
    )
    document = json.loads(done.stdout)
    assert document == json.loads((tmp_path / "layers.json").read_text())
    first = next(row for row in document["layers"] if row["sqnr_db"] is not None)
    assert document["diverged"] == first["tensor"]
    assert f"The first op that diverges (below 200 dB): {first['op']} {first['node']}" in done.stderr
    assert "tensors matched" in done.stderr


def test_a_list_of_another_model_is_refused(w8a16: Tiny, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("nothing:=x.raw\n")
    with pytest.raises(InputError):
        compare_layers(w8a16.source, w8a16.dlc, tmp_path / "list.txt")

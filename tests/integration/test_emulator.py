"""What the emulator computes: the provider's bits, the same from a cache, and which generations differ."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import snpe_tools.dlc as dlc_format
from snpe_tools import prepare, run
from snpe_tools.core.errors import DlcError
from snpe_tools.core.precision import Precision
from snpe_tools.core.raw_files import named, read_inputs, read_list
from snpe_tools.core.soc_generations import distinct, generation
from snpe_tools.core.soc_names import parse_socs
from snpe_tools.core.socs import BY_NAME, DEFAULT, Soc
from snpe_tools.core.tensor_spec import Array
from snpe_tools.dlc.edit.outputs import tap
from snpe_tools.execution.emulator import read_results
from snpe_tools.qnn.handles import Handles
from snpe_tools.qnn.library import QAIRT_BUILD
from snpe_tools.qnn.profile import Level
from snpe_tools.qnn.session import Session
from tests.integration.conftest import FAMILIES, SEQUENCE, Tiny

Make = Callable[[str, str], Tiny]
ONE_PER_ARCHITECTURE = parse_socs("sm8350,sm8450,sm8550,sm8650,sm8750,sm8850")


def _outputs(dlc: Path, listed: Path, soc: Soc, *, use_cache: bool = False, count: int = 2) -> dict[str, Array]:
    with Session(dlc, soc, use_cache=use_cache) as session:
        lines = read_list(listed).lines[:count]
        rows = [
            session.execute(read_inputs(named(line, session.inputs, listed, row), session.inputs))
            for row, line in enumerate(lines)
        ]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _equal(one: dict[str, Array], other: dict[str, Array]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("precision", ["fp16", "w8a8", "w8a16", "w16a16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_results_are_the_providers_bit_for_bit(family: str, precision: str, tiny: Make, tmp_path: Path) -> None:
    made = tiny(family, precision)
    arguments = map(str, (made.source, made.listed, tmp_path / "theirs.npz", DEFAULT.id))
    subprocess.run([sys.executable, "-m", "tests.integration.provider", *arguments], check=True, capture_output=True)
    count = run(made.dlc, made.listed, tmp_path / "ours").inferences
    assert count == 16
    with np.load(tmp_path / "theirs.npz") as theirs:
        assert set(theirs) == {"start_logits", "end_logits"}
        for name in theirs:
            assert np.array_equal(read_results(tmp_path / "ours", name, (1, SEQUENCE), count), theirs[name])
            assert np.ptp(theirs[name]) > 0


@pytest.mark.parametrize("precision", ["w8a16", "fp16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_emulator_tells_three_generations_apart(family: str, precision: str, tiny: Make) -> None:
    made, quantized = tiny(family, precision), precision != "fp16"
    socs = [soc for soc in ONE_PER_ARCHITECTURE if quantized or Precision.parse("fp16").need.fits(soc)]
    found = {soc: _outputs(made.dlc, made.listed, soc, count=8) for soc in socs}
    for one in socs:
        for other in socs:
            if generation(one, quantized=quantized) == generation(other, quantized=quantized):
                assert _equal(found[one], found[other]), f"{one} and {other} should be the same bits"
    assert not _equal(found[socs[0] if quantized else BY_NAME["sm8450"]], found[DEFAULT])


def test_a_soc_stands_for_those_that_the_emulator_computes_alike() -> None:
    groups = distinct(ONE_PER_ARCHITECTURE, quantized=True)
    names = {soc.name: [other.name for other in others] for soc, others in groups.items()}
    assert names == {"sm8350": ["sm8450"], "sm8550": ["sm8650", "sm8750"], "sm8850": []}
    assert [soc.name for soc in distinct(ONE_PER_ARCHITECTURE[1:], quantized=False)] == ["sm8450", "sm8550"]


@pytest.fixture(scope="module")
def prepared(tiny: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("prepared") / "m.dlc"
    prepare(tiny("bert", "w8a16").dlc, target, ONE_PER_ARCHITECTURE)
    return target


@pytest.mark.parametrize("soc", ONE_PER_ARCHITECTURE, ids=str)
def test_a_cache_gives_the_bits_of_a_graph_compiled_on_the_spot(soc: Soc, prepared: Path, tiny: Make) -> None:
    listed = tiny("bert", "w8a16").listed
    with Session(prepared, soc, use_cache=True) as cached, Session(prepared, soc) as compiled:
        assert (cached.start, compiled.start) == ("cache", "compiled")
        assert sorted(map(repr, cached.inputs)) == sorted(map(repr, compiled.inputs))
        assert sorted(map(repr, cached.outputs)) == sorted(map(repr, compiled.outputs))
    assert _equal(_outputs(prepared, listed, soc, use_cache=True), _outputs(prepared, listed, soc))


def test_a_cache_of_another_soc_is_not_used(tiny: Make, tmp_path: Path) -> None:
    """The library would run it, and the results would be another generation's."""
    made = tiny("bert", "w8a16")
    prepare(made.dlc, tmp_path / "p.dlc", [BY_NAME["sm8550"]])
    data = (tmp_path / "p.dlc").read_bytes()
    (tmp_path / "lying.dlc").write_bytes(data.replace(b"htp.cache.sm8550", b"htp.cache.sm8350"))
    with Session(tmp_path / "lying.dlc", BY_NAME["sm8350"], use_cache=True) as session:
        assert session.start.startswith("compiled, since htp.cache.sm8350.0 cannot be used")
        assert "compiled for SoC 43, not for sm8350" in session.start
    with Session(tmp_path / "p.dlc", BY_NAME["sm8650"], use_cache=True) as session:
        assert session.start == "compiled"


def test_the_build_is_the_one_that_the_library_names() -> None:
    import ctypes as c

    handles, build = Handles("test", DEFAULT), c.c_char_p()
    with handles.stack:
        handles.core("backendGetBuildId", c.byref(build))
    assert (build.value or b"").decode() == f"v{QAIRT_BUILD}"


def test_tapped_tensors_are_what_the_next_node_reads(tiny: Make, tmp_path: Path) -> None:
    made = tiny("bert", "w8a16")
    with dlc_format.open(made.dlc) as opened:
        last = opened.graph.nodes[-1]
    assert last.type == "Dequantize"
    tap(made.dlc, tmp_path / "tapped.dlc", last.inputs)
    plain, seen = _outputs(made.dlc, made.listed, DEFAULT), _outputs(tmp_path / "tapped.dlc", made.listed, DEFAULT)
    with Session(tmp_path / "tapped.dlc", DEFAULT) as session:
        spec = next(spec for spec in session.outputs if spec.name == last.inputs[0])
    assert np.allclose(spec.to_real(seen[last.inputs[0]]), plain[last.outputs[0]], rtol=1e-6, atol=0)
    assert all(np.array_equal(seen[name], plain[name]) for name in plain)
    with pytest.raises(DlcError, match=r"has no tensor 'nothing' between its nodes"):
        tap(made.dlc, tmp_path / "x.dlc", ["nothing"])


@pytest.mark.parametrize("level", [Level.BASIC, Level.DETAILED, Level.LINTING])
def test_profiling_changes_no_result(level: Level, tiny: Make) -> None:
    made = tiny("bert", "w8a16")
    with Session(made.dlc, DEFAULT) as session:
        line = read_list(made.listed).lines[0]
        arrays = read_inputs(named(line, session.inputs, made.listed, 0), session.inputs)
        plain, (results, events) = session.execute(arrays), session.profiled(arrays, level)
    assert _equal(plain, results)
    operations = [part for event in events for part in event.parts if part.unit == "cycles"]
    assert bool(operations) == (level is not Level.BASIC)
    assert sum(event.unit == "us" and event.value > 0 for event in events) >= 2
    total = max((event.value for event in events if event.unit == "cycles"), default=0)
    assert sum(part.value for part in operations) == pytest.approx(total, rel=0.02)

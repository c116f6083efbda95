"""Workers elsewhere, profiles, bundles."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snpe_tools import run
from snpe_tools.core.errors import UsageError
from snpe_tools.qnn.profile import Level
from snpe_tools.steps.bundle import bundle
from tests.integration.conftest import Tiny
from tests.integration.net_run.calls import NAMES, absolute_list, call_net_run, command_line, raws_in


def test_a_dask_cluster_gives_the_same_results(model: Tiny, tmp_path: Path, wanted: dict[str, bytes]) -> None:
    """Two workers of a cluster, in processes of their own; one is killed on the way, and the cluster replaces it."""
    arguments = ("--container", model.dlc, "--input_list", absolute_list(model, tmp_path), "--output_dir", "cli")
    command = command_line(*arguments, "--set_unconsumed_as_output")
    script = f"""
import os, signal, subprocess, sys
from pathlib import Path
from distributed import Client, LocalCluster
from snpe_tools import run

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        pids = list(client.run(os.getpid).values())
        assert len(set(pids)) == 2
        done = run(Path({str(model.dlc)!r}), Path({str(model.listed)!r}), Path("out"), executor=client.get_executor())
        os.kill(pids[0], signal.SIGKILL)
        again = run(Path({str(model.dlc)!r}), Path({str(model.listed)!r}), Path("two"), executor=client.get_executor())
        subprocess.run([*{command!r}, "--cluster", cluster.scheduler_address], check=True)
        print(done.inferences, again.inferences, done.not_finite)
"""
    (tmp_path / "cluster.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "cluster.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "16 16 0"
    for folder in ("out", "two", "cli"):
        assert raws_in(tmp_path / folder) == wanted


def test_a_profile_names_operations_their_types_and_its_unit(model: Tiny, tmp_path: Path) -> None:
    made, _ = call_net_run(model, tmp_path, profiling_level=Level.DETAILED)
    assert made.profile
    assert made.profile.inferences == 16
    assert "no latency of any device" in made.profile.unit
    assert sum(operation.share for operation in made.profile.operations) == pytest.approx(100)
    assert sum(made.profile.types.values()) == pytest.approx(100)
    assert {"FullyConnected", "LayerNorm", "Softmax", "MatMul", "Convert"} <= set(made.profile.types)
    assert "unknown" not in made.profile.types
    assert 0 < made.profile.conversions < 20
    assert made.profile.costliest[0].cycles == max(operation.cycles for operation in made.profile.operations)
    trace = json.loads((tmp_path / "out/profile.trace.json").read_text())
    assert "no latency of any device" in trace["otherData"]["unit"]
    bars = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert len(bars) == 16 * len(made.profile.operations)
    assert {event["args"]["type"] for event in bars} == set(made.profile.types)
    summary = json.loads((tmp_path / "out/profile.json").read_text())["summary"]
    assert len(summary["operations"]) == len(made.profile.operations)


def test_a_bundle_can_be_repeated_from_itself(model: Tiny, tmp_path: Path) -> None:
    made = bundle(model.dlc, model.listed, tmp_path / "b", index=3, model=model.source)
    assert (made.graph, made.goldens, made.outputs) == ("m", "cpu", 2)
    manifest = json.loads((tmp_path / "b/manifest.json").read_text())
    part = manifest["partitions"][0]
    assert (manifest["bundle_version"], manifest["edges"], part["dlc_path"]) == (1, [], "m/m.dlc")
    sizes = {"int32_t": 4, "float": 4}
    for tensor in (*part["inputs"], *part["outputs"]):
        file = tmp_path / "b" / tensor["raw_file"]
        assert file.stat().st_size == sizes[tensor["dtype"]] * np.prod(tensor["shape"])
    folder = tmp_path / "b/m"
    run(folder / "m.dlc", folder / "input_list.txt", tmp_path / "again", native_inputs=True, native_outputs=True)
    for name in NAMES:
        again = (tmp_path / "again/Result_0" / f"{name}.raw").read_bytes()
        assert again == (folder / "emulator" / f"{name}.raw").read_bytes()
        golden, ours = (np.fromfile(folder / kind / f"{name}.raw", np.float32) for kind in ("goldens", "emulator"))
        assert np.corrcoef(golden, ours)[0, 1] > 0.99
        assert not np.array_equal(golden, ours)
    with pytest.raises(UsageError, match="has 16 inferences; there is no inference 16"):
        bundle(model.dlc, model.listed, tmp_path / "c", index=16)
    assert bundle(model.dlc, model.listed, tmp_path / "b.tar.gz").different == 0
    shutil.unpack_archive(tmp_path / "b.tar.gz", tmp_path / "unpacked")
    assert (tmp_path / "unpacked/b/m/m.dlc").read_bytes() == model.dlc.read_bytes()

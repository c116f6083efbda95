"""One model, scored on every NPU generation that the emulator tells apart; here, and on a cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SOCS = "sm8350,sm8450,sm8550,sm8750,sm8850"
QUESTIONS = 6


@pytest.fixture(scope="module")
def root(new_root: Callable[[str], Path]) -> Path:
    return new_root("matrix")


@pytest.fixture(scope="module")
def scored(root: Path) -> tuple[dict[str, Any], str]:
    command = (
        f"-m snpe_tools score --model tiny --max-drop 100 --questions {QUESTIONS} --json --soc {SOCS} --root".split()
    )
    shown = subprocess.run([sys.executable, *command, str(root)], capture_output=True, text=True, check=True)
    return json.loads(shown.stdout), shown.stderr


def test_a_stage_for_each_generation_that_differs(scored: tuple[dict[str, Any], str]) -> None:
    document, words = scored
    assert [stage["stage"] for stage in document["stages"]] == [
        "onnx-float",
        "onnx-qdq",
        "dlc-fp16@host:sm8450",
        "dlc-fp16@host:sm8550",
        "dlc-w8a16@host:sm8350",
        "dlc-w8a16@host:sm8550",
        "dlc-w8a16@host:sm8850",
    ]
    assert "sm8450: the emulator computes as for sm8350; not run again." in words
    assert "sm8750, sm8850: the emulator computes as for sm8550; not run again." in words


def test_the_document_says_where_they_differ(scored: tuple[dict[str, Any], str]) -> None:
    document, words = scored
    pairs = {(found["first"], found["second"]): found for found in document["soc_differences"]}
    assert list(pairs) == [
        ("dlc-fp16@host:sm8450", "dlc-fp16@host:sm8550"),
        ("dlc-w8a16@host:sm8350", "dlc-w8a16@host:sm8550"),
        ("dlc-w8a16@host:sm8350", "dlc-w8a16@host:sm8850"),
    ]
    for found in pairs.values():
        assert found["questions"] == QUESTIONS
        assert 0 <= found["equal_logits"] < 100
        assert 0 < found["largest"] < 1
        assert len(found["differing"]) == round(QUESTIONS * (1 - found["equal_answers"] / 100))
    assert "dlc-w8a16@host:sm8350 / dlc-w8a16@host:sm8550: " in words


def test_a_cluster_scores_the_same(root: Path, scored: tuple[dict[str, Any], str], tmp_path: Path) -> None:
    """Two workers of Dask's, with no other change than the executor."""
    script = f"""
import json
from pathlib import Path
from distributed import Client, LocalCluster
from snpe_tools import score
from snpe_tools.project.recipe import load_recipe

if __name__ == "__main__":
    root = Path({str(root)!r})
    recipe = load_recipe("tiny", root / "Models", {{"socs": {SOCS!r}}})
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        scored = score(recipe, root, examples={QUESTIONS}, max_drop=100, executor=client.get_executor())
    Path("out.json").write_text(json.dumps(scored.document))
"""
    (tmp_path / "cluster.py").write_text(script)
    shown = subprocess.run(
        [sys.executable, "cluster.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert shown.returncode == 0, shown.stderr[-3000:]
    here, there = scored[0], json.loads((tmp_path / "out.json").read_text())
    assert there["soc_differences"] == here["soc_differences"]
    for one, other in zip(here["stages"], there["stages"], strict=True):
        assert {key: value for key, value in one.items() if key != "seconds"} == {
            key: value for key, value in other.items() if key != "seconds"
        }

"""Child processes, progress, and what a verbose ONNX Runtime log tells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from snpe_tools.cli import terminal
from snpe_tools.core.errors import SetupError
from snpe_tools.core.process import run
from snpe_tools.core.progress import progress
from snpe_tools.toolchains.pypi.refusals import Refusal, described, find_refusals, next_step
from tests.conftest import make_model

ROOT = Path(__file__).parents[3]


def _python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_output_of_both_streams_arrives_in_order() -> None:
    lines: list[str] = []
    program = (
        "import sys; print('one', flush=True); print('two', file=sys.stderr, flush=True); print('three'); sys.exit(3)"
    )
    finished = run(_python(program), on_line=lines.append)
    assert (finished.status, lines, finished.ending) == (3, ["one", "two", "three"], "exit status 3")
    assert finished.tail(2) == "\n    two\n    three"


def test_a_killed_process_says_by_what() -> None:
    assert run(_python("import os; os.kill(os.getpid(), 11)")).ending == "killed by SIGSEGV"


def test_arguments_never_meet_a_shell() -> None:
    text = "a b; echo $(whoami) 'x' \"y\" *\n"
    assert run([*_python("import sys; print(ascii(sys.argv[1]))"), text]).output == ascii(text) + "\n"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(SetupError, match="no-such-tool cannot be started"):
        run(["no-such-tool"])


def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(SetupError, match="did not end within 1 seconds"):
        run(_python("import time; time.sleep(60)"), timeout=1)


def test_a_log_gets_plain_lines_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(terminal, "say", said.append)
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    with progress("running", 5) as advance:
        for _ in range(5):
            advance()
    assert said == ["  running: 2 of 5, about 30 s left", "  running: 4 of 5, about 10 s left"]


LOG = """2026 [V:onnxruntime:, x.cc:1 LogNodeSupport] Validation FAILED for 2 nodes in OrtNodeUnit (Det) :
\tOperator type: Det Node name: /a/det Node index: 1
\tOperator type: QuantizeLinear Node name: q Node index: 2
\tREASON : Operators of type `Det` are not supported by QNN EP.Det node `det` will not be assigned to QNN EP.

2026 [E:onnxruntime:, x.cc:2 GetCapabilityImpl] Unsupported nodes in QNN EP
2026 [V:onnxruntime:, x.cc:1 LogNodeSupport] Validation PASSED for 1 nodes in OrtNodeUnit (Relu) :
\tOperator type: Relu Node name: r Node index: 0
"""


def test_refused_nodes_are_found_in_the_log() -> None:
    reason = "Operators of type `Det` are not supported by QNN EP."
    assert list(find_refusals(LOG)) == [Refusal("/a/det", "Det", reason), Refusal("q", "QuantizeLinear", reason)]


def _make(*arguments: str) -> str:
    return subprocess.check_output(["make", "--no-print-directory", *arguments], cwd=ROOT, text=True)


def test_make_help_shows_every_variable() -> None:
    shown = _make("help")
    for name in (
        "MODEL",
        "PRECISION",
        "SOC",
        "SEQ",
        "CALIBRATION",
        "QUESTIONS",
        "DATA",
        "CHECKPOINT",
        "TOOLCHAIN",
        "QUANTIZER",
        "SDK_TOOLS",
        "SDK_PYTHON",
        "DRY_RUN",
        "DEVICE",
    ):
        assert f"\n  {name} " in shown


def test_make_passes_on_what_the_sdk_needs() -> None:
    command = _make(
        "--dry-run", "dlc", "TOOLCHAIN=sdk", "SDK_TOOLS=qairt", "SDK_PYTHON=/a b/python", "QUANTIZER=sdk", "DRY_RUN=1"
    ).splitlines()[-1]
    for words in ("--toolchain 'sdk'", "--sdk-tools 'qairt'", "--sdk-python '/a b/python'", "--quantizer 'sdk'"):
        assert words in command
    assert command.endswith("--dry-run")
    assert "--dry-run" not in _make("--dry-run", "dlc").splitlines()[-1]


def test_make_quotes_what_it_passes_on() -> None:
    command = _make("--dry-run", "accuracy", "DATA=a b'; echo $HOME", "QUESTIONS=all", "RANDOM=1").splitlines()[-1]
    assert "--data 'a b'\\''; echo $HOME'" in command or "--data 'a b'\\''; echo OME'" in command
    assert "--questions 'all'" in command
    assert "--random" in command
    assert "--precision" not in command


def test_a_refused_dequantize_linear_is_told_as_the_operation_that_the_user_wrote() -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["w_q", "s", "z"], ["w_dq"], name="QcQuantizeOp_w_dq"),
        helper.make_node("Conv", ["x", "w_dq"], ["y"], name="stem", kernel_shape=[1, 1]),
        helper.make_node("Det", ["y"], ["d"]),
    ]
    constants: dict[str, np.ndarray] = {
        "w_q": np.ones((4, 4, 1, 1), np.int8),
        "s": np.array(0.1, np.float32),
        "z": np.array(0, np.int8),
    }
    model = make_model(nodes, {"x": (1, (1, 4, 5, 5))}, {"d": (1, 4)}, constants)
    weight = Refusal("QcQuantizeOp_w_dq", "DequantizeLinear", "QNNExecutionProvider_QNN_12_1 is refused")
    words = "Conv 'stem' (1,4,5,5) (4,4,1,1) → (1,4,5,5) (its 'w'): the graph is refused"
    assert described(weight, model) == words
    nameless = "Det 'd' (1,4,5,5) → (1,4): the runtime gave no reason"
    assert described(Refusal("", "Det", ""), model) == nameless
    assert "--per-tensor" in next_step([weight])
    assert "simplify" in next_step([Refusal("", "Det", "")])

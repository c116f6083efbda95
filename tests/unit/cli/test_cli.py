"""The command line: usage, exit codes, one JSON document, messages without tracebacks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from snpe_tools.cli import main as cli
from snpe_tools.cli.options import parse_questions, parse_shapes
from snpe_tools.cli.output import decibel, seconds, size
from snpe_tools.core.errors import UsageError
from snpe_tools.core.files import plain

ROOT = Path(__file__).parents[3]
NO_DOCUMENT = {"install-snpe-net-run", "sdk path", "view"}
"""Commands without `--json`: one writes a file, one prints a path for `$(…)`, one serves a page until it is stopped."""


def _names(command: Any, name: str = "") -> list[str]:
    """All commands of the app, whoever adds one; those of a group with its name before them."""
    commands = getattr(command, "commands", None)
    if not commands:
        return [name]
    return [leaf for word, each in sorted(commands.items()) for leaf in _names(each, f"{name} {word}".strip())]


COMMANDS = _names(typer.main.get_command(cli.app))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snpe_tools", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_help_lists_every_command_and_the_exit_codes() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    for command in {name.split()[0] for name in COMMANDS}:
        assert f"\n  {command} " in shown.stdout
    assert "6 accuracy gate" in " ".join(shown.stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    shown = CliRunner().invoke(cli.app, [*command.split(), "--help"])
    assert shown.exit_code == 0
    assert command in NO_DOCUMENT or "--json" in shown.output


def test_help_imports_nothing_heavy() -> None:
    heavy = ["torch", "transformers", "onnx", "onnxruntime", "aimet_onnx", "optimum", "pandas", "loky"]
    program = f"import sys, snpe_tools.cli.main; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"


def test_no_command_shows_the_help() -> None:
    shown = run()
    assert shown.returncode == 2
    assert "Usage" in shown.stdout + shown.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["build", "--root", str(ROOT), "--precision", "w3a3"], 2, "Known precisions"),
        (["build", "--root", str(ROOT), "--soc", "sm1"], 2, "Known SoCs"),
        (["build", "--model", "nothing"], 3, "Known models"),
        (["score", "--root", str(ROOT), "--questions", "few"], 2, "QUESTIONS=all"),
        (["score", "--device", "moon"], 2, "A device is written as"),
        (["convert", "none.onnx", "-o", "out.dlc"], 3, "none.onnx does not exist"),
        (["run", "none.dlc", "-i", "none.txt", "-o", "out"], 3, "none.txt does not exist"),
        (["prepare", "none.dlc", "-o", "out.dlc"], 3, "none.dlc does not exist"),
        (["simplify", "none.onnx", "-o", "x", "--shape", "x=0"], 2, "is not a shape"),
        (["export", "./none", "-o", "x.onnx"], 3, "does not exist"),
        (["build", "--nonsense"], 2, "nonsense"),
    ],
)
def test_a_users_mistake_is_a_message_and_an_exit_code(
    arguments: list[str], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = run(*arguments)
    assert shown.returncode == code
    assert words in shown.stderr
    assert "Traceback" not in shown.stderr
    assert list(tmp_path.iterdir()) == []


def test_errors_are_json_too_when_json_is_asked_for() -> None:
    shown = run("build", "--model", "nothing", "--json")
    document = json.loads(shown.stdout)
    assert (document["error"]["exit_code"], document["error"]["type"]) == (shown.returncode, "RecipeError")


def _main(monkeypatch: pytest.MonkeyPatch, problem: BaseException) -> int | str | None:
    def fail() -> None:
        raise problem

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_interruption_and_full_disks_have_their_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _main(monkeypatch, KeyboardInterrupt()) == 130
    assert _main(monkeypatch, OSError(28, "No space left on device", "file")) == 8


def test_a_defect_says_that_it_is_ours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(monkeypatch, ZeroDivisionError()) == 1
    assert "This is a defect of snpe-tools" in capsys.readouterr().err


def test_questions_are_a_number_or_all() -> None:
    assert (parse_questions(""), parse_questions("all"), parse_questions("7")) == (None, 0, 7)
    for text in ("0", "-1", "x"):
        with pytest.raises(UsageError):
            parse_questions(text)


def test_shapes_parse() -> None:
    assert parse_shapes(["x=1,3,224", "y=2"]) == {"x": (1, 3, 224), "y": (2,)}
    for text in ("x", "=1", "x=", "x=1,,2", "x=-1"):
        with pytest.raises(UsageError):
            parse_shapes([text])


def test_figures_for_people() -> None:
    assert [size(0), size(999), size(35_400_000), size(10**13)] == ["0 B", "999 B", "35.4 MB", "10000.0 GB"]
    assert [seconds(0.0123), seconds(12.34)] == ["0.012", "12.3"]
    assert [decibel(None), decibel(41.26)] == ["equal", "41.3"]


def test_json_has_no_nan_and_no_python_types() -> None:
    assert plain({"a": (Path("x"), float("nan"), float("inf"), 1.5)}) == {"a": ["x", None, None, 1.5]}

"""Every command of the README, as a newcomer types it, in a copy of the repository.

Windows are shortened and questions cut through the variables of `make`, so that this takes minutes; the commands are
those of the README.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from snpe_tools.tasks.question_answering.squad import SHIPPED_CALIBRATION, SHIPPED_QUESTIONS
from tests import device_double, sshd
from tests.adb_device import running

pytestmark = pytest.mark.timeout(1500)
"""Each new DLC is run once on the emulator, and some blocks build several models."""
ROOT = Path(__file__).parents[2]
SMALL = {"SEQ": "64", "WINDOWS": "4", "QUESTIONS": "4", "MAX_DROP": "100"}
WHAT_RUNS_THIS = ("make test", "make check")


def blocks(file: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's files in a folder of their own, with this environment as its `.venv`."""
    if not (Path(sys.prefix) / ".ready").is_file():
        pytest.skip("this environment was not made by `make venv`, so `make` would make another one")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    target = tmp_path_factory.mktemp("clone")
    for name in listed.stdout.decode().splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    (target / ".venv").symlink_to(sys.prefix)
    return target


@pytest.fixture(scope="module")
def shell(clone: Path) -> Callable[[str], str]:
    """Runs a block as one script in the clone; returns what it printed."""
    path = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment = {**outside, **SMALL, "PYTHONPATH": str(clone), "PATH": path}

    def run(script: str) -> str:
        done = subprocess.run(
            ["bash", "-e", "-c", script], cwd=clone, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    return run


ON_DEVICES = [script for script in blocks("README.md", "sh") if "make device" in script]


@pytest.mark.parametrize("script", [script for script in blocks("README.md", "sh") if script not in ON_DEVICES])
def test_commands(script: str, shell: Callable[[str], str]) -> None:
    for command in WHAT_RUNS_THIS:
        script = script.replace(command, command.replace("make", "make --dry-run"))
    assert shell(script)


def test_the_device_commands(shell: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No phone and no board are here: the real adb and a real sshd lead to devices in folders."""
    (script,) = ON_DEVICES
    shell("make dlc")
    home = device_double.make_phone(tmp_path / "phone")
    server = sshd.start(tmp_path / "sshd")
    with running.own_server(tmp_path / "android", monkeypatch):
        phone = running.start(home)
        running.adb("connect", phone.address.removeprefix("adb:"))
        sdk = device_double.make_sdk(tmp_path / "sdk")
        given = {name: value for name, value in os.environ.items() if name.startswith(("ANDROID", "ADB"))}
        given |= {"HOME": str(server.home), "SNPE_ROOT": str(sdk), "TOOLCHAIN": "pypi"}
        variables = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in given.items())
        try:
            said = shell(variables + script.replace("ssh://user@board", server.address))
        finally:
            phone.stop()
            server.stop()
    assert f"dlc-w8a16@{phone.address}" in said
    assert f"dlc-w8a16@{server.address}" in said
    assert said.count("Passed") == 2


def test_the_python_example(shell: Callable[[str], str], clone: Path) -> None:
    (example,) = blocks("README.md", "python")
    shell("make dlc")
    (clone / "example.py").write_text(example)
    assert "input_ids" in shell("python example.py")


def test_the_accuracy_example_on_a_file_of_ones_own(shell: Callable[[str], str], clone: Path) -> None:
    (command,) = re.findall(r"`(make accuracy DATA=[^`]+)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    article = json.loads(SHIPPED_QUESTIONS.read_text())["data"][0]
    (clone / "xquad-en.json").write_text(json.dumps({"data": [article]}))
    assert "questions of xquad-en.json" in shell(command)
    written = json.loads((clone / "Models" / "minilm-qa" / "accuracy.json").read_text())
    assert [stage["stage"] for stage in written["stages"]] == [
        "onnx-float",
        "onnx-qdq",
        "dlc-fp16@host",
        "dlc-w8a16@host",
    ]


def test_the_training_commands(
    shell: Callable[[str], str], clone: Path, checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    """The hub and the data are not here: a tiny checkpoint and our own questions stand in for them."""
    rows, asked = tmp_path / "rows.jsonl", tmp_path / "asked.json"
    rows.write_text("".join(_rows()))
    asked.write_text(json.dumps({"data": json.loads(SHIPPED_QUESTIONS.read_text())["data"][:1]}))
    text = (ROOT / "generating_model" / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^snpe-tools train .*$", text, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        given = command.replace("bert-base-uncased", str(checkpoint("bert"))).replace("--eval squad", f"--eval {asked}")
        given = given.replace("train-v1.1.json", str(SHIPPED_CALIBRATION)).replace("qa-train-mix.jsonl.xz", str(rows))
        assert "F1" in shell(f"{given} --base {checkpoint('bert')} --max-seq-length 48 --epochs 1")
    assert (clone / "my-checkpoint" / "model.safetensors").is_file()


def test_the_distillation_command(shell: Callable[[str], str], clone: Path, tmp_path: Path) -> None:
    """With the shipped teacher; our own questions and their passages stand in for the data."""
    rows, asked, words = tmp_path / "rows.jsonl", tmp_path / "asked.json", tmp_path / "words.txt"
    rows.write_text("".join(_rows("mobilebert-small.toml")))
    asked.write_text(json.dumps({"data": json.loads(SHIPPED_QUESTIONS.read_text())["data"][:1]}))
    words.write_text("\n".join(json.loads(row)["context"] for row in rows.read_text().splitlines()))
    text = (ROOT / "generating_model" / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^snpe-tools distill .*$", text, re.MULTILINE)
    given = command.replace("qa-train-mix.jsonl.xz", str(rows)).replace("english-text.tar.xz", str(words))
    assert "7.7 M parameters" in shell(f"{given} --eval {asked} --share 0.2")
    assert (clone / "Models" / "my-mobilebert" / "checkpoint" / "model.safetensors").is_file()


def _rows(recipe_name: str = "minilm-qa.toml") -> list[str]:
    from snpe_tools.tasks.question_answering.squad import load_questions

    recipe = (ROOT / "generating_model" / recipe_name).read_text(encoding="utf-8")
    sources = sorted(set(re.findall(r'^"?([\w.]+)"? = (?:1\.0|0\.45)$', recipe, re.MULTILINE)) - {"max_grad_norm"})
    return [
        json.dumps(
            {
                "id": question.id,
                "context": question.context,
                "question": question.text,
                "answer": question.answers[0],
                "answer_start": question.starts[0],
                "source": sources[number % len(sources)],
            }
        )
        + "\n"
        for number, question in enumerate(load_questions(SHIPPED_CALIBRATION))
    ]

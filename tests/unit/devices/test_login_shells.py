"""Scripts over SSH run under whichever shell the user logs in with."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snpe_tools.devices.shell import Script, under_any_shell

SHELLS = ("sh", "bash", "mksh", "fish", "tcsh")
WORDS = ("it's", "a\\b \\n", "!!", "two\nlines", "ünï", "$HOME `id` %s", 'say "hi"', "*", "~", "")


def run(shell: str, script: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    return subprocess.run([shell, "-c", under_any_shell(script)], input=given, capture_output=True, check=False)


@pytest.mark.parametrize("shell", SHELLS)
def test_words_arrive_as_they_are(shell: str) -> None:
    script = Script.over('for word; do printf "%s\\0" "$word"; done', *WORDS)
    ended = run(shell, script.text)
    assert ended.stdout.decode().split("\0")[:-1] == list(WORDS)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("shell", SHELLS)
def test_input_and_exit_status_pass_through(shell: str) -> None:
    ended = run(shell, 'read first\necho "got $first, $#"\n(exit 3)', b"a line\n")
    assert (ended.stdout, ended.returncode) == (b"got a line, 0\n", 3)


@settings(max_examples=30)
@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40))
def test_any_word_in_the_shells_that_are_not_posix(word: str) -> None:
    for shell in ("fish", "tcsh"):
        assert run(shell, Script.of("printf %s {}", word).text).stdout == word.encode()

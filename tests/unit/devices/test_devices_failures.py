"""What a device's failure is told as."""

from __future__ import annotations

import pytest

from snpe_tools.core.process import Finished
from snpe_tools.devices.failures import failed, find_cause

OUR_NOTE = "graph: compiled, since its cache cannot be used: the cache was compiled for SoC 43"

KNOWN = {
    "bash: ./x: cannot execute binary file: Exec format error": "another processor",
    'CANNOT LINK EXECUTABLE "x": library "libSNPE.so" not found': "a library is missing",
    'CANNOT LINK EXECUTABLE "x": library "libcdsprpc.so" not found': "libcdsprpc.so",
    "./x: error while loading shared libraries: libSNPE.so: cannot open shared object file": "a library is missing",
    "/lib/libc.so.6: version `GLIBC_2.35' not found (required by x)": "C library is older",
    "[ERROR] QnnDsp <E> Failed to load skel, error: 4000": "the DSP did not load its half",
    "[ERROR] Failed to load skel, error: 1002": "the DSP did not load its half",
    "Transport layer setup failed: 14001": "the DSP did not load its half",
    "error_code=1002; error_message=No backend could validate Op=/Mul": "no backend takes an operation",
    "error_code=1002; error_message=Cache; error_component=Dl": "compiled for another SoC",
    "No cache record matches HTP_V68_SM7325_2MB": "compiled for another SoC",
    "error_code=311; error_message=Dlc container is bad": "another generation",
    "Stub lib id mismatch: expected (v2.31), detected (v2.22)": "different SDK versions",
    "ModuleNotFoundError: No module named 'json'": "python3 is too old",
}


@pytest.mark.parametrize("text", KNOWN)
def test_what_is_known_of_a_failure(text: str) -> None:
    found = find_cause(1, f"before\n{text}\nafter\n")
    assert found
    assert KNOWN[text] in found.cause
    assert found.fix


@pytest.mark.parametrize(
    ("status", "words"), [(126, "cannot be executed"), (127, "is not on the device"), (137, "memory"), (139, "crashed")]
)
def test_an_exit_status_alone(status: int, words: str) -> None:
    found = find_cause(status, "")
    assert found
    assert words in found.cause
    assert find_cause(3, "") is None


def test_a_failure_keeps_the_tools_own_words() -> None:
    problem = failed("adb:A", "snpe-net-run", Finished("x", 137, "one\ntwo\n"), "/here/results.log")
    assert str(problem).startswith("adb:A: snpe-net-run ended with killed by SIGKILL: something killed it")
    assert "\n    two\n    The whole log: /here/results.log" in str(problem)


@pytest.mark.parametrize(
    ("status", "output", "words"),
    [
        (137, OUR_NOTE, "killed it"),
        (137, "No cache record matches", "killed it"),
        (139, OUR_NOTE, "crashed"),
        (134, 'library "libcdsprpc.so" not found', "gave up"),
        (5, f"{OUR_NOTE}\nNo space left on device", "the disk is full"),
        (1, "loaded libcdsprpc.so\nerror_code=311", "another generation"),
        (1, "No cache record matches\n" + "done\n" * 60 + "error_code=311", "another generation"),
    ],
)
def test_how_it_ended_outranks_what_it_said_before(status: int, output: str, words: str) -> None:
    found = find_cause(status, output)
    assert found
    assert words in found.cause


@pytest.mark.parametrize(
    "text",
    [
        'dlopen failed: library "libcdsprpc.so" not found',
        "libcdsprpc.so: cannot open shared object file: No such file or directory",
        'library "/vendor/lib64/libcdsprpc.so" is not accessible for the namespace "default"',
        "Unable to load lib libcdsprpc.so",
    ],
)
def test_the_dsps_library_is_missing_only_where_it_is_said_so(text: str) -> None:
    found = find_cause(1, text)
    assert found
    assert "libcdsprpc.so" in found.cause
    assert find_cause(1, "fastrpc: libcdsprpc.so loaded") is None

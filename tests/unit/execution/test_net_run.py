"""net-run: names of files and tensors, lists, flags, and its installation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpe_tools.core.dtypes import BY_CODE
from snpe_tools.core.errors import TensorError, UsageError
from snpe_tools.core.raw_files import flat_name, nested_name, read_list, result_names
from snpe_tools.core.tensor_spec import TensorSpec
from snpe_tools.execution.net_run import parse_cache_mode, parse_level
from snpe_tools.execution.net_run.flags import read_flags
from snpe_tools.qnn import abi
from snpe_tools.qnn.names import library_name, restore_names
from snpe_tools.steps.install import install

FLOAT = BY_CODE[0x232]


@pytest.mark.parametrize(
    ("tensor", "nested", "flat"),
    [
        ("start_logits", "start_logits.raw", "start_logits.raw"),
        ("Inception/Reshape_1:0", "Inception/Reshape_1:0.raw", "Inception_Reshape_1:0.raw"),
        ("/bert/Add_output_0", "bert/Add_output_0.raw", "_bert_Add_output_0.raw"),
        ("../../etc/passwd", "_/_/etc/passwd.raw", "_.._etc_passwd.raw"),
        ("/", "_.raw", "_.raw"),
    ],
)  # fmt: skip
def test_result_files_are_named_as_the_tool_names_them(tensor: str, nested: str, flat: str) -> None:
    assert nested_name(tensor) == nested
    assert flat_name(tensor) == flat


def test_two_tensors_never_share_a_result_file() -> None:
    assert result_names(["a/b", "a_c"]) == {"a/b": "a_b.raw", "a_c": "a_c.raw"}
    assert result_names(["a/b", "a_b"], nested_name) == {"a/b": "a/b.raw", "a_b": "a_b.raw"}
    for names, name in ((["a/b", "a_b"], flat_name), (["a//b", "a/b"], nested_name)):
        with pytest.raises(TensorError, match="would both be written"):
            result_names(names, name)


@given(st.text(min_size=1))
def test_no_tensor_name_leaves_its_folder(name: str) -> None:
    parts = Path(nested_name(name)).parts
    assert parts
    assert not Path(nested_name(name)).is_absolute()
    assert not {"..", "."} & set(parts)
    assert "\0" not in nested_name(name)


def test_names_return_from_the_library() -> None:
    assert [library_name(name) for name in ("a/b:0", "0b c", "ok_1", "x.y-z")] == ["a_b_0", "_0b_c", "ok_1", "x_y_z"]
    specs = [TensorSpec(name, (1,), FLOAT) for name in ("a_b", "_9", "a_b", "other")]
    assert library_name("entrée") == "entr__e", "two bytes, two underscores"
    counted = [TensorSpec(name, (1,), BY_CODE[0x232]) for name in ("a_b", "a_b_0", "x_0")]
    assert [spec.name for spec in restore_names(counted, ["a.b", "a_b", "x_0"])] == ["a.b", "a_b", "x_0"]
    names = [spec.name for spec in restore_names(specs, ["a/b", "a:b", "9", "unused"])]
    assert names == ["a/b", "9", "a:b", "other"]


def test_relative_paths_of_the_tools_lists_count_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "x.raw").touch()
    listed = tmp_path / "lists" / "list.txt"
    listed.write_text("input_ids:0:=x.raw mask:0:=d/y.raw\n")
    monkeypatch.chdir(tmp_path)
    assert read_list(listed, beside=False).lines == ({"input_ids:0": Path("x.raw"), "mask:0": Path("d/y.raw")},)


def test_flags_without_effect_are_told() -> None:
    flags = read_flags(["--use_dsp", "--perf_profile", "burst", "--userbuffer_floatN=32", "--enable_cpu_fallback"])
    assert flags.ignored == ("--perf_profile burst", "--userbuffer_floatN 32", "--enable_cpu_fallback")
    assert len(flags.remarks()) == 1
    assert flags.remarks()[0].endswith(": --perf_profile burst, --userbuffer_floatN 32, --enable_cpu_fallback.")
    assert read_flags(["--runtime_order", "dsp,cpu"]).asked_for_dsp
    assert "always the emulated HTP" in read_flags([]).remarks()[0]


@pytest.mark.parametrize(
    "words", ["--use_gpu", "--perf_profile", "stray", "--udo_package_path=x", "--inferences_per_duration 3"]
)
def test_other_flags_are_refused(words: str) -> None:
    with pytest.raises(UsageError):
        read_flags(words.split())


def test_levels_and_modes_have_names() -> None:
    assert [parse_level(name).number for name in ("basic", "moderate", "detailed", "linting")] == [1, 1, 2, 7001]
    assert [parse_cache_mode(name) for name in ("permissive", "strict", "always_generate_new")] == [False, False, True]
    with pytest.raises(UsageError, match="Known: permissive, strict"):
        parse_cache_mode("never")


def test_layouts_have_the_sizes_and_places_that_were_measured() -> None:
    import ctypes as c

    assert (c.sizeof(abi.Tensor), abi.Tensor.id.offset, abi.Tensor.name.offset) == (144, 8, 16)
    assert (c.sizeof(abi.GraphInfo), c.sizeof(abi.ProfileEvent)) == (88, 24)
    assert (abi.BinaryInfo.graphs.offset, abi.BinaryInfo.soc_model.offset) == (104, 136)


def test_the_tools_name_is_installed_only_when_asked_for_and_never_over_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "sdk"))
    command = install(tmp_path / "bin")
    shown = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("SNPE v2.")
    assert install(tmp_path / "bin") == command
    (tmp_path / "sdk").mkdir()
    (tmp_path / "sdk" / "snpe-net-run").write_text("#!/bin/sh\n")
    (tmp_path / "sdk" / "snpe-net-run").chmod(0o755)
    with pytest.raises(UsageError, match="is not ours"):
        install(tmp_path / "bin")
    with pytest.raises(UsageError, match="is not ours"):
        install(tmp_path / "sdk")


def test_every_flag_of_the_tool_is_in_the_help() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "snpe_tools", "net-run", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for flag in ("container", "input_list", "output_dir", "set_output_tensors", "use_native_input_files", "duration"):
        assert f"--{flag}" in shown

"""net-run as a script calls it: flags, lists, names, text and exit codes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from snpe_tools import prepare
from snpe_tools.core.errors import UsageError
from snpe_tools.core.socs import DEFAULT
from snpe_tools.execution.net_run import NetRun, net_run
from tests.integration.conftest import Tiny
from tests.integration.net_run.calls import NAMES, absolute_list, call_net_run, command_line, raws_in


def test_a_script_gets_the_folders_text_and_exit_code_of_the_tool(
    model: Tiny, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    """The published MobileBERT call, in the folder of the list, with relative paths."""
    arguments = f"--container {model.dlc} --input_list list.txt --set_output_tensors start_logits,end_logits".split()
    command = [*command_line(*arguments), "--output_dir", str(tmp_path / "out"), "--perf_profile", "burst"]
    done = subprocess.run(command, cwd=model.listed.parent, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == lines[3] == "-" * 79
    assert lines[1] == "Model String: N/A"
    assert lines[2].startswith("SNPE v2.51.0.")
    assert lines[4:6] == [
        "Processing DNN input(s):",
        "input_ids/0.raw attention_mask/0.raw token_type_ids/0.raw",
    ]
    assert lines[-1] == "Successfully executed!"
    assert len(lines) == 4 + 2 * 16 + 1
    assert "without effect on the emulator: --perf_profile burst" in done.stderr
    assert raws_in(tmp_path / "out") == wanted


def test_only_the_last_output_unless_told_with_a_loud_warning(
    model: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str], wanted: dict[str, bytes]
) -> None:
    made, _ = call_net_run(model, tmp_path)
    assert made.outputs == ("start_logits",)
    told = capsys.readouterr().err
    assert "WARNING: only the last output is written (start_logits)" in told
    assert "NOT written: end_logits" in told
    assert "--set_output_tensors end_logits,start_logits" in told
    assert raws_in(tmp_path / "out") == {name: data for name, data in wanted.items() if "start" in name}


@pytest.mark.parametrize("header", ["%start_logits end_logits\n", "#start_logits_dq\n%end_logits\n"])
def test_the_list_may_name_outputs_and_layers(
    header: str, model: Tiny, tmp_path: Path, wanted: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    listed = absolute_list(model, tmp_path, header=header)
    made = net_run(NetRun(model.dlc, listed, tmp_path / "out"), lambda _: None)
    assert set(made.outputs) == set(NAMES)
    assert "WARNING" not in capsys.readouterr().err
    assert raws_in(tmp_path / "out") == wanted


def test_debug_writes_every_tensor_and_slashes_become_folders(
    model: Tiny, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    made, _ = call_net_run(model, tmp_path, debug=True)
    assert len(made.outputs) > 50
    found = raws_in(tmp_path / "out")
    assert len(found) == 16 * len(made.outputs)
    assert (tmp_path / "out/Result_0/bert/embeddings/Add_output_0_q.raw").stat().st_size == 4 * 48 * 64
    assert {name: found[name] for name in wanted} == wanted
    assert not list((tmp_path / "out").glob(".tapped*"))


def test_an_unknown_tensor_is_refused_before_anything_is_written(model: Tiny, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no tensor 'logits'(.|\n)*end_logits, start_logits"):
        call_net_run(model, tmp_path, set_output_tensors=("logits",))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--use_gpu"], "only the HTP can be emulated"),
        (["--runtime_order", "gpu,dsp"], "only the HTP"),
        (["--userbuffer_floatN=16"], "float raw files hold 32 bits"),
        (["--no_such_flag"], "has no flag '--no_such_flag'"),
        (["--profiling_level", "much"], "Unknown profiling level 'much'"),
        (["--perf_profile"], "needs a value"),
    ],
)
def test_what_cannot_be_honoured_is_refused(flags: list[str], words: str, model: Tiny, tmp_path: Path) -> None:
    command = command_line(
        "--container", model.dlc, "--input_list", model.listed, "--output_dir", tmp_path / "out", *flags
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "out").exists()


def test_names_of_other_frameworks_are_the_files_own(tmp_path: Path) -> None:
    """The library knows these tensors by other names."""
    from onnx import helper

    from snpe_tools import convert
    from snpe_tools.graph.loading import save
    from tests.conftest import make_model

    nodes = [
        helper.make_node("Add", ["a/b:0", "1st.input"], ["mid/sum:0"], name="n/add"),
        helper.make_node("Relu", ["mid/sum:0"], ["InceptionV3/Predictions/Reshape_1:0"], name="n/relu"),
        helper.make_node("Neg", ["mid/sum:0"], ["transpose:0"], name="n/neg"),
    ]
    inputs: dict[str, tuple[int, tuple[int, ...]]] = {"a/b:0": (1, (1, 4)), "1st.input": (1, (1, 4))}
    shapes = {"InceptionV3/Predictions/Reshape_1:0": (1, 4), "transpose:0": (1, 4)}
    save(make_model(nodes, inputs, shapes), tmp_path / "m.onnx")
    plain = convert(tmp_path / "m.onnx", tmp_path / "m.dlc").dlc
    prepare(plain, tmp_path / "p.dlc", [DEFAULT])
    for row, name in enumerate("ab"):
        np.array([row + 1, -3, 1, 8], np.float32).tofile(tmp_path / f"{name}.raw")
    header = "%transpose:0 InceptionV3/Predictions/Reshape_1:0 mid/sum:0\n"
    (tmp_path / "list.txt").write_text(f"{header}a/b:0:={tmp_path}/a.raw 1st.input:={tmp_path}/b.raw\n")
    for dlc in (plain, tmp_path / "p.dlc"):
        out = tmp_path / dlc.stem
        net_run(NetRun(dlc, tmp_path / "list.txt", out), lambda _: None)
        found = {str(file.relative_to(out / "Result_0")): np.fromfile(file, np.float32) for file in out.rglob("*.raw")}
        assert set(found) == {"transpose:0.raw", "InceptionV3/Predictions/Reshape_1:0.raw", "mid/sum:0.raw"}
        assert np.allclose(found["mid/sum:0.raw"], [3, -6, 2, 16], rtol=1e-3)
        assert np.array_equal(found["transpose:0.raw"], -found["mid/sum:0.raw"])
        assert np.array_equal(found["InceptionV3/Predictions/Reshape_1:0.raw"], np.maximum(found["mid/sum:0.raw"], 0))


def test_a_batch_is_filled_from_lines_and_its_tail_padded(tmp_path: Path) -> None:
    from onnx import helper

    from snpe_tools import convert
    from snpe_tools.graph.loading import save
    from tests.conftest import make_model

    node = helper.make_node("Mul", ["x", "two"], ["y"], name="double")
    save(make_model([node], {"x": (1, (4, 3))}, {"y": (4, 3)}, {"two": np.array([2], np.float32)}), tmp_path / "m.onnx")
    dlc = convert(tmp_path / "m.onnx", tmp_path / "m.dlc").dlc
    for row in range(6):
        np.full(3, row + 1, np.float32).tofile(tmp_path / f"{row}.raw")
    (tmp_path / "list.txt").write_text("".join(f"{tmp_path}/{row}.raw\n" for row in range(6)))
    made = net_run(NetRun(dlc, tmp_path / "list.txt", tmp_path / "out"), lambda _: None)
    assert made.inferences == 2
    results = [np.fromfile(tmp_path / "out" / f"Result_{index}" / "y.raw", np.float32) for index in range(2)]
    assert np.allclose(results[0], [2, 2, 2, 4, 4, 4, 6, 6, 6, 8, 8, 8], rtol=1e-6)
    assert np.allclose(results[1], [10, 10, 10, 12, 12, 12, 0, 0, 0, 0, 0, 0], rtol=1e-6)


def test_a_cache_is_used_unless_the_call_wants_a_new_one(prepared: Path, model: Tiny, tmp_path: Path) -> None:
    both = Tiny(model.source, prepared, model.listed)
    assert call_net_run(both, tmp_path, set_output_tensors=NAMES)[0].started == ("cache",)
    cached = raws_in(tmp_path / "out")
    made = call_net_run(both, tmp_path, set_output_tensors=NAMES, always_generate_new=True)[0]
    assert (made.started, made.kept) == (("compiled",), 0)
    assert raws_in(tmp_path / "out") == cached


def test_duration_repeats_the_list_and_writes_each_result_once(
    prepared: Path, model: Tiny, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    made, lines = call_net_run(
        Tiny(model.source, prepared, model.listed), tmp_path, duration=4, set_output_tensors=NAMES
    )
    assert made.executed >= 16
    assert lines.count("Processing DNN input(s):") == 16
    assert raws_in(tmp_path / "out") == wanted

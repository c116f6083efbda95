"""What the SDK's tools get wrong is found: every lie of the double, and inputs that no tool should see."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import snpe_tools.dlc as dlc_format
from snpe_tools import convert, prepare
from snpe_tools.core.errors import ConversionError, SnpeToolsError, TensorError, UsageError
from snpe_tools.core.soc_names import parse_socs
from snpe_tools.toolchains import Quantization
from snpe_tools.toolchains.sdk import SdkTools
from snpe_tools.toolchains.sdk.versions import Family
from tests.integration.conftest import SEQUENCE, Tiny
from tests.integration.sdk.conftest import Sdks


def test_a_mixed_dlc_of_one_width_does_not_pass(sdk: Sdks, model: Path, mixed: Quantization, tmp_path: Path) -> None:
    lying = sdk(lie="wrong-bits")
    with pytest.raises(ConversionError, match="activations have one width, 8 bits; w8a8-mixed was asked for"):
        convert(model, tmp_path / "m.dlc", name="m", toolchain=lying, quantization=mixed)


@pytest.mark.parametrize(
    ("lie", "family", "words"),
    [
        ("no-file", "snpe", r"snpe-onnx-to-dlc reported success, and wrote no m\.w8a16\.float\.dlc"),
        ("no-file", "qairt", r"qairt-converter reported success, and wrote no m\.w8a16\.float\.dlc"),
        ("empty-file", "snpe", "wrote an empty"),
        ("cut-file", "snpe", "no readable DLC"),
        ("lost-output", "snpe", "with the outputs"),
        ("segfault", "snpe", r"SIGSEGV\) while it ran the calibration inputs|killed by SIGSEGV while it ran"),
        ("float-int8", "snpe", "the DLC is float: nothing was quantized, whatever its name says"),
        ("float-int8", "qairt", "the DLC is float: nothing was quantized, whatever its name says"),
        ("wrong-bits", "snpe", "activations have 8 bits; w8a16 was asked for"),
        ("ignored-encodings", "snpe", "did not apply the encodings it was given"),
        ("ignored-encodings", "qairt", "did not apply the encodings it was given"),
        ("old-onnx", "snpe", "the onnx package of the SDK's Python is outside the range"),
    ],
)
def test_no_lie_of_converter_or_quantizer_passes(
    lie: str, family: Family, words: str, sdk: Sdks, model: Path, asked: Quantization, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "m.w8a16.dlc"
    with pytest.raises(ConversionError, match=words) as caught:
        convert(model, target, name="m", toolchain=sdk(family=family, lie=lie), quantization=asked)
    assert "log" in caught.value.hint
    assert [file.name for file in target.parent.iterdir()] == ["m.w8a16.dlc.log"], "the tool's words, and no DLC"


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ("half-socs", r"no cache for sm8650; it has sm8550\.\n.*SM8550 :  Success\n.*SM8650 :  Failed"),
        ("half-socs-success", r"no cache for sm8650; it has sm8550\."),
        ("no-caches", r"no cache for sm8550, sm8650; it has none at all\."),
    ],
)
def test_no_lie_of_graph_prepare_passes(
    lie: str, words: str, sdk: Sdks, tiny: Callable[[str, str], Tiny], tmp_path: Path
) -> None:
    target = tmp_path / "out" / "p.dlc"
    with pytest.raises(ConversionError, match=words):
        prepare(tiny("bert", "w8a16").dlc, target, parse_socs("sm8550,sm8650"), toolchain=sdk("QAIRT 2.4x", lie=lie))
    assert [file.name for file in target.parent.iterdir()] == ["p.dlc.log"]


def test_the_published_recipe_does_not_quantize(sdk: Sdks, model: Path, tmp_path: Path) -> None:
    """graph-prepare takes an input list, even one whose files are missing, ends with 0, and leaves the model float."""
    tools = sdk("SNPE 2.17").sdk
    made = convert(model, tmp_path / "mobile_bert.dlc", toolchain=SdkTools(tools))
    (tmp_path / "tf_raw_list.txt").write_text("input_ids:=none.raw attention_mask:=none.raw token_type_ids:=none.raw\n")
    words = ["--input_dlc", "mobile_bert.dlc", "--input_list", "tf_raw_list.txt", "--output_dlc", "mobile_bert_int.dlc"]
    done = subprocess.run(
        [*tools.launcher("snpe-dlc-graph-prepare"), *words],
        cwd=tmp_path, env={**os.environ, **tools.environment}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, "Success" in done.stderr) == (0, True)
    with dlc_format.open(tmp_path / "mobile_bert_int.dlc") as published, dlc_format.open(made.dlc) as before:
        assert not published.is_quantized
        assert published.graph.tensors.keys() == before.graph.tensors.keys()
        assert [cache.soc for cache in published.caches] == ["sm8550"], "that version's default, whatever the phone is"


def test_raws_of_another_size_are_found_before_any_tool_runs(
    sdk: Sdks, model: Path, asked: Quantization, tmp_path: Path
) -> None:
    """int64 raws are twice the size: a real quantizer takes them for a batch of denormals."""
    folder = tmp_path / "raws"
    shutil.copytree(asked.input_list.parent, folder)
    first = next((folder / "input_ids").iterdir())
    first.write_bytes(np.zeros(SEQUENCE, np.int64).tobytes())
    wrong = Quantization(asked.options, folder / "list.txt", asked.encodings)
    with pytest.raises(TensorError, match="needs 192"):
        convert(model, tmp_path / "m.dlc", toolchain=sdk(), quantization=wrong)
    assert not (tmp_path / "m.dlc.log").exists()


def test_a_quantized_model_is_not_quantized_again(
    sdk: Sdks, asked: Quantization, tiny: Callable[[str, str], Tiny], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="already quantized"):
        convert(tiny("bert", "w8a16").source, tmp_path / "m.dlc", toolchain=sdk(), quantization=asked)
    with pytest.raises(UsageError, match="quantizes nothing itself"):
        convert(tiny("bert", "w8a16").source, tmp_path / "m.dlc", quantization=asked)


def test_a_flag_that_a_version_does_not_know_is_explained(
    sdk: Sdks, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snpe_tools.toolchains.sdk import commands as sdk_commands
    from snpe_tools.toolchains.sdk.commands import Option

    unknown = Option("--keep_int64_inputs", (), "of another tool")
    monkeypatch.setattr(sdk_commands, "_layout", lambda _: [unknown])
    with pytest.raises(SnpeToolsError, match=r"does not know a flag(.|\n)*unrecognized arguments: --keep_int64_inputs"):
        convert(model, tmp_path / "m.dlc", toolchain=sdk())

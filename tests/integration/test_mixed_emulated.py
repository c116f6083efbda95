"""Mixed precision, from a plan to a DLC of 8- and 16-bit operations on the emulator."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import snpe_tools.dlc as dlc_format
from snpe_tools import convert, inputs, quantize
from snpe_tools.cli.main import app
from snpe_tools.core.errors import RecipeError, UsageError
from snpe_tools.core.precision import Precision
from snpe_tools.graph.fingerprint import weights_fingerprint
from snpe_tools.graph.loading import load
from snpe_tools.project.recipe import load_recipe
from snpe_tools.project.workspace import Workspace
from snpe_tools.quantization.plan import Plan
from snpe_tools.quantization.simulator import QuantizationOptions
from snpe_tools.quantization.writing import float_path
from snpe_tools.steps import score
from snpe_tools.steps.build import build_sources
from snpe_tools.steps.build_quantized import read_plan
from snpe_tools.steps.compare import compare
from snpe_tools.tasks.question_answering.features import load_tokenizer, make_windows
from snpe_tools.tasks.question_answering.squad import SHIPPED_CALIBRATION, SHIPPED_QUESTIONS, load_questions
from tests.integration.conftest import FAMILIES, SEQUENCE

W8A8, MIXED = Precision.parse("w8a8"), Precision.parse("w8a8-mixed")
RESIDUAL = ("Add>LayerNormalization", "LayerNormalization")
WIDE = dict.fromkeys(FAMILIES, ("Add>Softmax", "Softmax", *RESIDUAL)) | {"mobilebert": ("Add",)}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mixed_dlc_stays_in_integers_and_computes_what_the_qdq_model_does(
    family: str, exported: Callable[[str], Path], tmp_path: Path
) -> None:
    model, plan = exported(family), Plan(wide=WIDE[family], fold_scales=True, score_floor=True)
    questions = load_questions(SHIPPED_CALIBRATION)[:4]
    listed = inputs(model, questions, model.with_suffix(".tokenizer.json"), tmp_path / "raws", limit=4).list_file
    narrow = quantize(model, listed, tmp_path / "8.qdq.onnx", QuantizationOptions(Precision.parse("w8a8")))
    made = quantize(model, listed, tmp_path / "m.qdq.onnx", QuantizationOptions(MIXED, plan=plan))
    assert 0 < made.wide < made.activations <= narrow.activations
    converted = convert(made.qdq, tmp_path / "m.dlc")
    assert converted.float_steps == 2, "only the two outputs may leave the integers"
    assert converted.operations["Convert"] > 0
    with dlc_format.open(converted.dlc) as opened:
        written = {name for node in opened.graph.nodes for name in node.outputs}
        assert {opened.graph.tensors[name].dtype.bits for name in written} >= {8, 16}
    pairs = zip(
        compare(model, made.qdq, listed), compare(model, narrow.qdq, listed), compare(model, converted.dlc, listed),
        strict=True,
    )  # fmt: skip
    for mixed, plain, emulated in pairs:
        assert (mixed.sqnr_db or 0) > (plain.sqnr_db or 0), "16 bits must gain something"
        assert (emulated.sqnr_db or 0) > (mixed.sqnr_db or 0) - 4


def test_a_plan_for_other_operations_is_refused(exported: Callable[[str], Path], tmp_path: Path) -> None:
    model = exported("bert")
    questions = load_questions(SHIPPED_CALIBRATION)[:2]
    listed = inputs(model, questions, model.with_suffix(".tokenizer.json"), tmp_path / "raws", limit=2).list_file
    with pytest.raises(RecipeError, match="No operation of the model fits 'Conv'"):
        quantize(model, listed, tmp_path / "m.qdq.onnx", QuantizationOptions(MIXED, plan=Plan(wide=("Conv",))))
    with pytest.raises(UsageError, match="needs a plan"):
        quantize(model, listed, tmp_path / "m.qdq.onnx", QuantizationOptions(MIXED))
    with pytest.raises(UsageError, match="takes no plan"):
        quantize(model, listed, tmp_path / "m.qdq.onnx", QuantizationOptions(Precision.parse("w8a16"), plan=Plan()))
    with pytest.raises(UsageError, match="operations in 16 bits; w8a8 has none"):
        quantize(model, listed, tmp_path / "m.qdq.onnx", QuantizationOptions(W8A8, plan=Plan(wide=("Softmax",))))


def test_the_folded_graph_stands_beside_its_source(exported: Callable[[str], Path], tmp_path: Path) -> None:
    model = tmp_path / "qa.onnx"
    model.write_bytes(exported("bert").read_bytes())
    before = model.read_bytes()
    questions, tokenizer = load_questions(SHIPPED_CALIBRATION)[:2], exported("bert").with_suffix(".tokenizer.json")
    listed = inputs(model, questions, tokenizer, tmp_path / "raws", limit=2).list_file
    plan = Plan(wide=("Softmax",), fold_scales=True)
    made = quantize(model, listed, tmp_path / "qa.qdq.onnx", QuantizationOptions(MIXED, plan=plan))
    assert model.read_bytes() == before
    assert float_path(made.qdq) == tmp_path / "qa.float.onnx"
    assert all((row.sqnr_db or 999) > 90 for row in compare(model, tmp_path / "qa.float.onnx", listed))


def _layers_are_those_of_the_folded_graph(root: Path) -> None:
    recipe, space = load_recipe("tiny", root / "Models", {}), Workspace(root, "tiny")
    questions = load_questions(SHIPPED_QUESTIONS)[:2]
    score._keep_layers(recipe, space, MIXED, make_windows(questions, load_tokenizer(space.tokenizer), SEQUENCE))
    layers = json.loads(space.layers.read_text())
    assert (layers["first"], layers["second"]) == (space.quantized_float(MIXED).name, space.qdq(MIXED).name)
    products = [row["sqnr_db"] for row in layers["layers"] if row["op"] == "Gemm"]
    assert min(products) > 10, "no weights were scaled on one side only"


def test_the_build_follows_the_plan(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "Models" / "tiny"
    folder.mkdir(parents=True)
    recipe = f'checkpoint = "{checkpoint("bert")}"\nsequence_length = {SEQUENCE}\ncalibration_windows = 4\n'
    (folder / "recipe.toml").write_text(recipe)
    given = ["build", "--model", "tiny", "--root", str(tmp_path), "--precision", "w8a8-mixed", "--json"]

    def build() -> dict[str, bool]:
        result = CliRunner().invoke(app, given)
        assert result.exit_code == 0, result.stderr
        return {item["step"]: item["fresh"] for item in json.loads(result.stdout)["artefacts"]}

    with pytest.raises(RecipeError, match=r"There is no plan .*w8a8-mixed\.toml"):
        CliRunner().invoke(app, given, catch_exceptions=False)
    plan = folder / "w8a8-mixed.toml"
    plan.write_text('wide = ["Softmax"]\n')
    assert not build()["quantize"]
    assert build()["quantize"]
    plan.write_text('# remarks change nothing\nwide = ["Softmax"]\n')
    assert build()["quantize"]
    plan.write_text('fold_scales = true\nwide = ["Softmax"]\n')
    assert not build()["quantize"]
    assert (folder / "tiny.w8a8-mixed.float.onnx").is_file()
    _layers_are_those_of_the_folded_graph(tmp_path)
    known = json.loads((folder / "tiny.w8a8-mixed.dlc.provenance.json").read_text())
    assert known["settings"]["plan"]["wide"] == ["Softmax"]


def test_ranges_that_were_found_for_other_weights_are_told(
    exported: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = exported("bert")
    questions = load_questions(SHIPPED_CALIBRATION)[:2]
    listed = inputs(model, questions, model.with_suffix(".tokenizer.json"), tmp_path / "raws", limit=2).list_file
    for weights, warned in ((weights_fingerprint(load(model)), False), ("0123456789abcdef", True)):
        plan = Plan(clip={"Gelu#0": (1, 0.5)}, weights=weights)
        quantize(model, listed, tmp_path / "q.qdq.onnx", QuantizationOptions(W8A8, plan=plan))
        assert ("found for other weights" in capsys.readouterr().err) == warned


def test_what_a_plan_does_for_8_bits_serves_w8a8_as_well(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "Models" / "tiny"
    folder.mkdir(parents=True)
    text = f'checkpoint = "{checkpoint("bert")}"\nsequence_length = {SEQUENCE}\ncalibration_windows = 4\n'
    (folder / "recipe.toml").write_text(text)
    recipe, space = load_recipe("tiny", tmp_path / "Models", {}), Workspace(tmp_path, "tiny")

    def largest_of_gelu(plan: str) -> float:
        space.plan.write_text(plan)
        build_sources(recipe, space, W8A8)
        encodings = json.loads(space.legacy_encodings(W8A8).read_text())["activation_encodings"]
        assert {entry[0]["bitwidth"] for entry in encodings.values()} == {8}
        model = load(space.quantized_float(W8A8))
        return float(encodings[next(node.output[0] for node in model.graph.node if node.op_type == "Gelu")][0]["max"])

    plain = largest_of_gelu('fold_scales = true\nwide = ["Softmax"]\n')
    clipped = largest_of_gelu('fold_scales = true\nwide = ["Softmax"]\n[clip]\n"Gelu#0" = [1, 0.5]\n')
    assert clipped == pytest.approx(plain / 2, rel=0.02)
    assert read_plan(recipe, space, W8A8) == Plan(fold_scales=True, clip={"Gelu#0": (1, 0.5)})
    for update in ({"method": "mse"}, {"quantizer": "sdk"}):
        assert read_plan(recipe.model_copy(update=update), space, W8A8) is None
    assert read_plan(recipe, space, Precision.parse("w8a16")) is None

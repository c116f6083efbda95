"""Precisions, SoCs and recipes: values that parse and print."""

from __future__ import annotations

from pathlib import Path

import pytest

from snpe_tools.core.errors import RecipeError, UsageError
from snpe_tools.core.precision import Precision
from snpe_tools.core.soc_names import ALSO, DEVICES, find, note, parse_socs, plain
from snpe_tools.core.socs import BY_ID, BY_NAME
from snpe_tools.project.recipe import Recipe, load_recipe

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("text", ["w8a8", "w8a8-mixed", "w8a16", "w16a16", "fp16"])
def test_precisions_round_trip(text: str) -> None:
    assert str(Precision.parse(text)) == text


@pytest.mark.parametrize("text", ["", "w8", "w8a16-mixed", "w8a8-", "W8A8", "w3a8", "w8a8 ", "int8"])
def test_unknown_precisions_are_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(UsageError, match="w8a16"):
        Precision.parse(text)


def test_socs_parse_in_order_without_repeats() -> None:
    assert [soc.name for soc in parse_socs("sm8650, SM8550,sm8650")] == ["sm8650", "sm8550"]
    assert len(BY_NAME) == len(BY_ID)
    assert not Precision.parse("fp16").need.fits(BY_NAME["sm8350"])
    assert Precision.parse("fp16").need.fits(BY_NAME["sm8650"])
    assert not Precision.parse("w16a16").need.fits(BY_NAME["sm8450"])
    assert Precision.parse("w8a16").need.fits(BY_NAME["sm8350"])


@pytest.mark.parametrize("text", ["", ",", "sm9999", "sm8650;rm"])
def test_unknown_socs_are_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(UsageError, match="sm8650, sm8735"):
        parse_socs(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Galaxy S24", "sm8650"), ("s24", "sm8650"), ("Samsung Galaxy S25 Ultra", ""), ("8 Gen 1", "sm8450"),
        ("8+ gen 1", "sm8475"), ("Snapdragon 8 Elite", "sm8750"), ("snapdragon-8-elite-gen-5", "sm8850"),
        ("X Elite", "sc8380xp"), ("RB3 Gen 2", "qcs6490"), ("QCM6490", "qcs6490"), ("sa8775p", "qcs9100"),
    ],
)  # fmt: skip
def test_socs_by_the_names_of_products(text: str, name: str) -> None:
    if not name:
        with pytest.raises(UsageError, match="Did you mean Galaxy S25 Ultra"):
            parse_socs(text)
        return
    assert [soc.name for soc in parse_socs(f"{text},{name}")] == [name]


def test_every_name_of_a_product_is_one_socs() -> None:
    names = [plain(device) for devices in DEVICES.values() for device in devices]
    names += [plain(soc.marketing) for soc in BY_NAME.values() if soc.marketing]
    assert len(names) == len(set(names))
    assert {*DEVICES, *ALSO.values()} <= BY_NAME.keys()
    assert not ALSO.keys() & BY_NAME.keys()
    for soc, devices in DEVICES.items():
        assert {find(device) for device in devices} == {BY_NAME[soc]}
    assert "Exynos" in note("S24")
    assert not note("sm8650")


def test_a_recipe_keeps_the_compilers_names() -> None:
    given = {"checkpoint": "folder", "socs": "Galaxy S24, SM8550"}
    assert load_recipe("mine", ROOT / "Models", given).socs == "sm8650,sm8550"


def test_every_shipped_recipe_is_valid() -> None:
    found = sorted(file.parent.name for file in (ROOT / "Models").glob("*/recipe.toml"))
    assert found == ["albert", "bert", "distilbert", "electra", "minilm-qa", "mobilebert", "mobilebert-small"]
    for name in found:
        assert load_recipe(name, ROOT / "Models", {}).name == name
        assert load_recipe(name, ROOT / "Models", {"random": True}).architecture


def _write(folder: Path, text: str) -> Path:
    (folder / "m").mkdir()
    (folder / "m" / "recipe.toml").write_text(text)
    return folder


def test_an_unknown_key_is_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"unknown key 'precison'(.|\n)*precision"):
        load_recipe("m", _write(tmp_path, 'checkpoint = "x"\nprecison = "w8a8"'), {})


def test_broken_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is not TOML"):
        load_recipe("m", _write(tmp_path, "checkpoint ="), {})


@pytest.mark.parametrize(
    "change", [{"sequence_length": 8}, {"mask_value": -1e5}, {"mask_value": 1.0}, {"method": "magic"}]
)
def test_wrong_values_name_their_key(tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(change))):
        load_recipe("m", _write(tmp_path, 'checkpoint = "x"'), change)


def test_a_model_without_recipe_needs_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="CHECKPOINT=folder"):
        load_recipe("mine", tmp_path, {})
    assert load_recipe("mine", tmp_path, {"checkpoint": "here"}) == Recipe(name="mine", checkpoint="here")


def test_random_weights_need_an_architecture(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="RANDOM=1 needs an architecture"):
        load_recipe("m", _write(tmp_path, 'checkpoint = "x"'), {"random": True})


def test_model_names_cannot_leave_the_models_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name"):
        load_recipe("../other", tmp_path, {"checkpoint": "x"})

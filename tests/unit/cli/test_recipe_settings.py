"""A setting of a recipe stands in one place: options, Makefile and help are made from it."""

from __future__ import annotations

import inspect
import shlex
import subprocess
from pathlib import Path
from typing import Annotated, get_args, get_type_hints

import pytest
import typer

from snpe_tools.cli import flow, options, scoring, tuning
from snpe_tools.cli.recipe_options import Chosen, takes_recipe
from snpe_tools.project.makefile import fragment
from snpe_tools.project.recipe import Recipe
from snpe_tools.project.settings import DEFAULT_MODEL, SETTINGS, Setting

ROOT = Path(__file__).parents[3]
ONLY_IN_FILES = {
    "name", "task", "tokenizer", "architecture", "mask_value", "percentile", "train_examples", "emulated_examples",
}  # fmt: skip


def test_every_field_of_a_recipe_can_be_set_by_an_option_or_is_known_not_to_be() -> None:
    fields = [setting.field for setting in SETTINGS]
    assert len(set(fields)) == len(fields)
    assert {*fields, *ONLY_IN_FILES} == set(Recipe.model_fields)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.field)
def test_kind_and_default_are_those_of_the_recipe(setting: Setting) -> None:
    field = Recipe.model_fields[setting.field]
    assert isinstance(field.default, setting.kind)
    if setting.usual.isdecimal():
        assert field.default == int(setting.usual)
    if setting.kind is str and setting.usual in {"w8a16", "sm8650", "min-max", "aimet"}:
        assert field.default == setting.usual
    assert bool(setting.off) is (field.default is True)


def test_the_makefiles_part_is_up_to_date() -> None:
    assert (ROOT / "recipe.mk").read_text(encoding="utf-8") == fragment(), "run `make variables`"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ("SOC=sm8550,sm8650 PRECISION=w8a8", "--precision w8a8 --soc sm8550,sm8650"),
        ("RANDOM=1 PER_TENSOR=1 CHECK=0", "--random --per-tensor --no-check"),
        ("RANDOM=0 PER_TENSOR=no CHECK=1", ""),
        ("CHECKPOINT='a b' SDK_PYTHON=python3.10", "--checkpoint a b --sdk-python python3.10"),
    ],
)
def test_make_passes_on_what_it_is_given(variables: str, said: str, tmp_path: Path) -> None:
    lines = [
        line
        for line in (ROOT / "Makefile").read_text().splitlines()
        if line.startswith(("quote =", "yes =", "option ="))
    ]
    makefile = tmp_path / "Makefile"
    makefile.write_text(
        "\n".join(
            [*lines, f"include {ROOT}/recipe.mk", ".DEFAULT_GOAL := all", "all:", "\t@echo $(RECIPE_OPTIONS)", ""]
        )
    )
    given = shlex.split(variables)
    shown = subprocess.run(["make", "-s", "-f", makefile, *given], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["--model", DEFAULT_MODEL, *said.split()]


@pytest.mark.parametrize("command", [flow.build, scoring.score, tuning.tune])
def test_commands_have_the_options(command: object) -> None:
    parameters = inspect.signature(command).parameters  # type: ignore[arg-type]
    wanted = [setting for setting in SETTINGS if setting.tuned or command is not tuning.tune]
    assert {setting.parameter for setting in wanted} < set(parameters)
    for setting in wanted:
        words: str = get_args(parameters[setting.parameter].annotation)[1].help
        assert setting.help.lower() in words.lower()
    assert "chosen" not in parameters


def test_what_is_left_out_is_not_among_the_settings() -> None:
    seen: list[Chosen] = []

    @takes_recipe()
    def command(chosen: Chosen, extra: Annotated[str, typer.Option()] = "", as_json: options.Json = False) -> None:  # noqa: FBT002 - an option
        assert (extra, as_json) == ("more", False)
        seen.append(chosen)

    hints = get_type_hints(command)
    assert hints["seq"] == int | None
    left_out = dict.fromkeys(setting.parameter for setting in SETTINGS)
    command(model="mine", root=ROOT, extra="more", as_json=False, **{**left_out, "seq": 64, "soc": "", "check": False})
    assert seen == [Chosen("mine", ROOT, {"sequence_length": 64, "check": False})]
    assert seen[0].as_variables() == "MODEL=mine SEQ=64 CHECK=0"
    assert Chosen(DEFAULT_MODEL, ROOT, {"per_channel": False, "random": True}).as_variables() == "PER_TENSOR=1 RANDOM=1"

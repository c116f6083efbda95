"""Options for the settings of a recipe, made from their one table, for the commands that take a recipe."""

from __future__ import annotations

import functools
import inspect
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from snpe_tools.project.settings import BY_FIELD, DEFAULT_MODEL, SETTINGS, Setting

if TYPE_CHECKING:
    from snpe_tools.project.recipe import Recipe

_PARAMETER = "chosen"


@dataclass(frozen=True)
class Chosen:
    """What the options of a command say of a recipe.

    Attributes:
        model: a folder below Models/.
        root: the folder that holds Models/ and raw_inputs/.
        settings: values by field of the recipe; options that were left out, or are empty, are not in it.
    """

    model: str
    root: Path
    settings: dict[str, Any]

    def recipe(self) -> Recipe:
        """The recipe that the options ask for; what they leave out stays as its file has it.

        Raises:
            UsageError: a value that a setting cannot have.
            RecipeError: nothing is known of the model, or its recipe is wrong.
        """
        from snpe_tools.project.recipe import load_recipe

        return load_recipe(self.model, self.root / "Models", self.settings)

    def as_variables(self) -> str:
        """The same choice as variables of `make`: "MODEL=mine SOC=sm8550"; "" where all is as usual."""
        words = [] if self.model == DEFAULT_MODEL else [f"MODEL={shlex.quote(self.model)}"]
        for field, value in self.settings.items():
            setting = BY_FIELD[field]
            shown = str(int(value is not setting.negated)) if isinstance(value, bool) else str(value)
            words.append(f"{setting.variable}={shlex.quote(shown)}")
        return " ".join(words)


def takes_recipe(*, tuning: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command `--model`, `--root` and an option for each setting; it gets them as its parameter `chosen`.

    Args:
        tuning: leave out what means nothing to a search.
    """
    settings = [setting for setting in SETTINGS if setting.tuned or not tuning]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def called(**given: Any) -> None:  # noqa: ANN401 - values of any option
            model, root = given.pop("model"), given.pop("root")
            values = {setting.field: given.pop(setting.parameter) for setting in settings}
            said = {field: value for field, value in values.items() if value not in {None, ""}}
            command(chosen=Chosen(model, root, said), **given)

        own = _parameters(command)
        parameters = [_MODEL, *map(_parameter, settings), *own[:-1], _ROOT, own[-1]]
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return called

    return decorate


def sentence(words: str) -> str:
    """The words with a capital, unless they begin with a name such as w8a8."""
    first = words.partition(" ")[0]
    return words[0].upper() + words[1:] if first.isalpha() else words


def _parameters(command: Callable[..., None]) -> list[inspect.Parameter]:
    """The command's own parameters, with annotations that are types; the last is `--json`."""
    hints = get_type_hints(command, include_extras=True)
    named = inspect.signature(command).parameters.values()
    return [
        one.replace(annotation=hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for one in named
        if one.name != _PARAMETER
    ]


def _parameter(setting: Setting) -> inspect.Parameter:
    flags = f"--{setting.option}" + (f"/--{setting.off}" if setting.off else "")
    return _keyword(
        setting.parameter,
        setting.kind | None,
        typer.Option(flags, help=sentence(setting.words), show_default=False),
        None,
    )


def _keyword(name: str, kind: Any, option: Any, default: Any) -> inspect.Parameter:  # noqa: ANN401 - as typer takes them
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


_MODEL = _keyword("model", str, typer.Option("--model", help="Folder below Models/."), DEFAULT_MODEL)
_ROOT = _keyword("root", Path, typer.Option("--root", help="Folder that holds Models/ and raw_inputs/."), Path())

"""`recipe.mk`, the part of the Makefile that knows the settings of recipes: `python -m snpe_tools.project.makefile`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from snpe_tools.project.settings import DEFAULT_MODEL, SETTINGS, Setting

_HELP_COLUMN, _USUAL_COLUMN = 15, 70


def fragment() -> str:
    """The text of `recipe.mk`."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield "# Made from snpe_tools/project/settings.py by `make variables`; change it there."
    yield f"MODEL ?= {DEFAULT_MODEL}"
    yield from (f"{setting.variable} ?=" for setting in SETTINGS)
    yield "RECIPE_OPTIONS = --model $(call quote,$(MODEL))"
    yield from (f"RECIPE_OPTIONS += {_option(setting)}" for setting in SETTINGS)
    yield "TUNE_OPTIONS = --model $(call quote,$(MODEL))"
    yield from (f"TUNE_OPTIONS += {_option(setting)}" for setting in SETTINGS if setting.tuned)
    yield ""
    yield "help-recipe:"
    yield _help("MODEL", "a folder below Models/", DEFAULT_MODEL)
    yield from (_help(setting.variable, _words(setting), setting.usual) for setting in SETTINGS)


def _option(setting: Setting) -> str:
    value = f"$({setting.variable})"
    if setting.negated:
        return f"$(if $(call yes,{value}),--{setting.off})"
    if setting.off:
        return f"$(if $(filter 0 no false,{value}),--{setting.off})"
    if setting.kind is bool:
        return f"$(if $(call yes,{value}),--{setting.option})"
    return f"$(call option,--{setting.option},{value})"


def _words(setting: Setting) -> str:
    if setting.kind is not bool:
        return setting.help
    return f"{'0: do not ' if setting.off and not setting.negated else '1: '}{setting.help}"


def _help(variable: str, words: str, usual: str) -> str:
    line = f"  {variable}".ljust(_HELP_COLUMN) + words
    if usual:
        line = f"{line.ljust(_USUAL_COLUMN)} ({usual})"
    return "\t@echo '" + line.replace("'", "'\\''") + "'"


if __name__ == "__main__":
    sys.stdout.write(fragment())

"""What comes from outside, against what it should be: settings and documents by a model of them, names by a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from snpe_tools.core.errors import DataError, RecipeError, UsageError

Model = TypeVar("Model", bound=BaseModel)
Name = TypeVar("Name", bound=str)
Value = TypeVar("Value")
_UNKNOWN = "extra_forbidden"


@dataclass(frozen=True)
class Fault:
    """The first thing that does not fit.

    Attributes:
        place: such as `data[0].title`; "" is the whole.
        words: what is wrong with it.
        unknown: it is a key that nothing reads.
        others: how many more there are.
    """

    place: str
    words: str
    unknown: bool
    others: int

    def __str__(self) -> str:
        if self.unknown:
            return f"unknown key {self.place!r}."
        more = f" (and {self.others} more)" if self.others else ""
        return f"{self.place}: {self.words}{more}." if self.place else f"{self.words}{more}."


def first_fault(problem: ValidationError) -> Fault:
    """What pydantic says first, in our form; but an unknown key before all, since it may be why another is missing."""
    first = min(problem.errors(include_url=False), key=lambda error: error["type"] != _UNKNOWN)
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    words = first["msg"].removeprefix("Value error, ")
    return Fault(place, words, first["type"] == _UNKNOWN, problem.error_count() - 1)


def validated(kind: type[Model], content: Mapping[str, Any], what: str, hint: str = "") -> Model:
    """Settings, from a TOML file and options.

    Args:
        what: names the file in the message.
        hint: the known keys by default.

    Raises:
        RecipeError: an unknown key, or a wrong value.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as problem:
        known = f"Known keys: {', '.join(kind.model_fields)}."
        raise RecipeError(f"{what}: {first_fault(problem)}", hint or known) from problem


def validated_json(kind: type[Model], text: bytes | str, what: str, hint: str = "") -> Model:
    """A JSON document.

    Args:
        what: names the file in the message.

    Raises:
        DataError: no JSON, or something else in it.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as problem:
        raise DataError(f"{what}: {first_fault(problem)}", hint) from problem


def one_of(known: Iterable[Name], text: str, what: str) -> Name:
    """The known name that `text` is.

    Args:
        what: says in the message what it should name.

    Raises:
        UsageError: it is none of them; the hint lists them.
    """
    names = list(known)
    if text not in names:
        raise UsageError(f"Unknown {what} {text!r}.", f"Known: {', '.join(names)}.")
    return names[names.index(text)]


def chosen(source: object, outputs: Mapping[str, Value], names: Iterable[str]) -> list[Value]:
    """The outputs of a model that are asked for, each once, in the order of `names`.

    Args:
        source: the model, for the message.
        outputs: all that it has, by name.

    Raises:
        UsageError: it has no output of such a name; the hint lists them.
    """
    asked = list(dict.fromkeys(names))
    for name in asked:
        if name not in outputs:
            raise UsageError(f"{source} has no output {name!r}.", f"It has: {', '.join(outputs)}.")
    return [outputs[name] for name in asked]

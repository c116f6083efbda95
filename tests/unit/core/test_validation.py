"""Content that does not fit its model is told by its place."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, field_validator

from snpe_tools.core.errors import DataError, RecipeError
from snpe_tools.core.validation import validated, validated_json


class Part(BaseModel):
    size: int = 1


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    parts: list[Part] = []

    @field_validator("name")
    @classmethod
    def _short(cls, name: str) -> str:
        if len(name) > 3:
            raise ValueError("is too long")
        return name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "m.toml: name: Field required."),
        ({"name": "long"}, "m.toml: name: is too long."),
        ({"name": "a", "nome": "b"}, "m.toml: unknown key 'nome'."),
        ({"nome": "b"}, "m.toml: unknown key 'nome'."),
        (
            {"name": "a", "parts": [{}, {"size": "x"}]},
            "m.toml: parts[1].size: Input should be a valid integer, unable to parse string as an integer.",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_key(content: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        validated(Whole, content, "m.toml")
    assert caught.value.message == message
    assert caught.value.hint == "Known keys: name, parts."


def test_settings_that_fit_are_their_model() -> None:
    assert validated(Whole, {"name": "a", "parts": [{"size": 2}]}, "m.toml").parts == [Part(size=2)]
    with pytest.raises(RecipeError) as caught:
        validated(Whole, {}, "m.toml", "See the example.")
    assert caught.value.hint == "See the example."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "m.json: Invalid JSON"),
        (b"\xff", "m.json: Invalid JSON"),
        ("[]", "m.json: Input should be an object."),
        ('{"name": 1, "parts": 2}', "m.json: name: Input should be a valid string (and 1 more)."),
    ],
)
def test_a_document_that_does_not_fit_is_refused_by_place(text: bytes | str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        validated_json(Whole, text, "m.json", "Make it again.")
    assert caught.value.message.startswith(message)
    assert caught.value.hint == "Make it again."

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field

from fairlead.model import Model
from fairlead.model.base import meanings


class Inner(Model):
    """A word within a word."""

    plain: int = 0


class Word(Model):
    """What a word is."""

    told: int
    """What it
    means."""
    silent: int = 0
    other: Inner = Inner()
    """Its own meaning here."""
    alias: int = Field(0, alias="as-written")
    """By another name."""

    def method(self) -> None:
        """No field's."""


class Heir(Word):
    """A word with more."""

    told: int
    """Said anew."""
    more: int = 0
    """Its own."""


OWN = {"told": "What it\nmeans.", "other": "Its own meaning here.", "alias": "By another name."}


@pytest.mark.parametrize(
    ("word", "says"), [(Inner, {}), (Word, OWN), (Heir, {**OWN, "told": "Said anew.", "more": "Its own."})]
)
def test_what_fields_mean_stands_below_them(word: type[Model], says: dict[str, str]) -> None:
    assert meanings(word) == says


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_a_schema_says_what_fields_mean(mode: Any) -> None:
    schema = Heir.model_json_schema(mode=mode)
    told = {name: part.get("description") for name, part in schema["properties"].items()}
    assert told == {
        "told": "Said anew.",
        "silent": None,
        "other": "Its own meaning here.",
        "as-written": "By another name.",
        "more": "Its own.",
    }
    assert schema["description"] == "A word with more."
    assert schema["$defs"]["Inner"]["description"] == "A word within a word."


def test_a_word_without_source_means_nothing() -> None:
    made: dict[str, type[Model]] = {}
    exec('class Made(Model):\n    field: int\n    """Nobody can read this."""\n', {"Model": Model}, made)
    assert meanings(made["Made"]) == {}
    assert "description" not in made["Made"].model_json_schema()["properties"]["field"]

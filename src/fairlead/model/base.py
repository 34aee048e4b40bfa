from __future__ import annotations

import ast
import hashlib
import inspect
import json
import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


class Model(BaseModel):
    """A word of Fairlead: frozen, JSON both ways, unknown keys refused."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no blanks, so that equal words have equal text and equal hashes."""
        return canonical(self.model_dump(mode="json"))

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        # Not `use_attribute_docstrings`: every start would read the source of every word, for the few that show it.
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, meaning in meanings(cls).items():
            alias = cls.model_fields[name].alias
            properties[alias if alias in properties else name].setdefault("description", meaning)
        return schema


def meanings(word: type[BaseModel]) -> dict[str, str]:
    """By field, what the docstring below it says, inherited fields included; empty where there is no source to read."""
    found: dict[str, str] = {}
    for kind in reversed(word.__mro__):
        if issubclass(kind, Model) and kind is not Model:
            found |= _docstrings(kind)
    return found


def _docstrings(word: type[Model]) -> dict[str, str]:
    try:
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(word))).body
    except (OSError, TypeError, SyntaxError):
        return {}
    lines = definition.body if isinstance(definition, ast.ClassDef) else []
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in pairwise(lines)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    }


def canonical(value: object) -> str:
    """Return `value` as JSON in the one form that is hashed and written into records."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def sha256(text: str | bytes) -> str:
    """SHA-256 of a text (as UTF-8) or of bytes, 64 hex digits."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()

"""The JSON Schema says of a written file what loading says, as far as a schema can."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import pytest

from fairlead.config import ENGINES, STRATEGIES, schema
from fairlead.config.document import compose
from fairlead.config.scalars import typed

SCHEMA = schema()
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def fits(value: Any, part: Any) -> bool:
    """As much of JSON Schema as ours uses; a keyword that is not known here is an error of this test."""
    if "$ref" in part and not fits(value, SCHEMA["$defs"][part["$ref"].removeprefix("#/$defs/")]):
        return False
    return all(RULES[key](value, part) for key in part if key not in ("$ref", "$schema", "$defs"))


def of_type(value: Any, part: Any) -> bool:
    names = part["type"] if isinstance(part["type"], list) else [part["type"]]
    return any(isinstance(value, TYPES[name]) and (not isinstance(value, bool) or name == "boolean") for name in names)


def keys_fit(value: Any, part: Any) -> bool:
    if not isinstance(value, dict):
        return True
    known, patterns, rest = (
        part.get("properties", {}),
        part.get("patternProperties", {}),
        part.get("additionalProperties", {}),
    )
    for key, item in value.items():
        matching = (
            [known[key]] if key in known else [kind for pattern, kind in patterns.items() if re.search(pattern, key)]
        )
        if not matching and rest is False:
            return False
        if not all(fits(item, kind) for kind in matching or [rest or {}]):
            return False
    return True


def no_rule(value: Any, part: Any) -> bool:
    return True


RULES: dict[str, Any] = {
    **dict.fromkeys(("title", "description", "default", "format"), no_rule),
    **dict.fromkeys(("properties", "patternProperties", "additionalProperties"), keys_fit),
    "type": of_type,
    "enum": lambda value, part: value in part["enum"],
    "const": lambda value, part: value == part["const"],
    "pattern": lambda value, part: not isinstance(value, str) or re.search(part["pattern"], value) is not None,
    "required": lambda value, part: not isinstance(value, dict) or set(part["required"]) <= set(value),
    "items": lambda value, part: not isinstance(value, list) or all(fits(item, part["items"]) for item in value),
    "minItems": lambda value, part: not isinstance(value, list) or len(value) >= part["minItems"],
    "minimum": lambda value, part: not isinstance(value, int) or value >= part["minimum"],
    "maximum": lambda value, part: not isinstance(value, int) or value <= part["maximum"],
    "anyOf": lambda value, part: any(fits(value, kind) for kind in part["anyOf"]),
    "oneOf": lambda value, part: sum(fits(value, kind) for kind in part["oneOf"]) == 1,
}


def written(text: str) -> Any:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return typed(value.text) if value.plain else value.text

    return plain(compose(text, "fairlead.yml").tree)


@pytest.mark.parametrize("name", ["starter", "plesk"])
def test_the_examples_fit(name: str) -> None:
    assert fits(written((files("fairlead.config") / "examples" / f"{name}.yml").read_text("utf-8")), SCHEMA)


@pytest.mark.parametrize(
    ("text", "ok"),
    [
        ("hosts: {web: {address: a, port: 22}}", True),
        ('hosts: {web: {address: a, port: "${PORT:-22}"}}', True),
        ("hosts: {web: {address: a, port: many}}", False),
        ("hosts: {web: {adress: a}}", False),
        ("hosts: {Web: {address: a}}", False),
        ("hosts: {web: {address: a, key: DEPLOY_KEY}}", True),
        ('hosts: {web: {address: a, key: "${KEY}"}}', False),
        ("hosts: {web: {commands: sudo}, two: {commands: {preset: plesk, own: [x]}}}", True),
        ("hosts: {web: {commands: sudoo}}", False),
        ("services: {a: , b: {}, c: {on_switch: {run: [x]}, shared: verify_only}, d: {shared: [x]}}", True),
        ("services: {a: {health: [{path: /, status: 200}, {path: /, status: [200, 302]}]}}", True),
        ("services: {a: {health: [{status: 200}]}}", False),
        ("services: {a: {source: {folder: a, build: [a, b]}}, b: {source: {folder: a, build: [[a], [b]]}}}", True),
        ("services: {a: {source: {folder: a, build: a}}}", False),
        ("services: {a: {host: web}}", False),
        ("environments: {p: {services: {a: , b: {host: web, port: 80}}}}", True),
        ("sources: [environment, {dotenv: .env}, {command: [a]}, {file: {name: K, path: p}}]", True),
        ("sources: [environmnt]", False),
    ],
)
def test_what_the_schema_accepts(text: str, ok: bool) -> None:
    assert fits(written(f"fairlead: 1\nproject: shop\n{text}"), SCHEMA) is ok


def test_format_and_project_are_needed() -> None:
    assert not fits({"project": "shop"}, SCHEMA)
    assert not fits({"fairlead": 2, "project": "shop"}, SCHEMA)


def test_every_key_is_described() -> None:
    for part in (SCHEMA, *SCHEMA["$defs"].values()):
        assert all("description" in key for key in part.get("properties", {}).values())


def test_a_word_of_a_table_is_a_word_of_the_schema() -> None:
    words = SCHEMA["$defs"]["ServiceEntry"]["properties"]["strategy"]["anyOf"][0]["enum"]
    assert words == list(STRATEGIES)
    words = SCHEMA["$defs"]["GroupEntry"]["properties"]["engine"]["anyOf"][0]["enum"]
    assert words == list(ENGINES)

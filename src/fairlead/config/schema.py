from __future__ import annotations

from typing import Any

from fairlead.config.file import File

_SETTING = {"type": "string", "pattern": r"\$\{", "description": "A setting: `${NAME}` or `${NAME:-default}`."}
_NEVER_SETTINGS = ("SourceEntry", "FileSourceEntry", "SecretEntry")


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of fairlead.yml as it is written, for editors; settings may stand for any value."""
    raw = File.model_json_schema(by_alias=True)
    definitions = raw.get("$defs", {})
    opened = {name: part if name in _NEVER_SETTINGS else _open(part) for name, part in definitions.items()}
    top = {**_open({key: value for key, value in raw.items() if key != "$defs"}), "$defs": opened}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, "title": "fairlead.yml"}


def _open(part: Any) -> Any:
    """Let `${...}` stand where something narrower than text is wanted."""
    if isinstance(part, list):
        return [_open(item) for item in part]
    if not isinstance(part, dict):
        return part
    inner = {
        key: _keys(value) if key in ("properties", "additionalProperties") else _open(value)
        for key, value in part.items()
    }
    narrow = (
        part.get("type") in ("integer", "number", "boolean") or "enum" in part or "const" in part or "pattern" in part
    )
    if not narrow:
        return inner
    outer = {key: inner.pop(key) for key in ("description", "default", "title") if key in inner}
    return {**outer, "anyOf": [inner, _SETTING]}


def _keys(properties: Any) -> Any:
    if not isinstance(properties, dict):
        return properties
    if "type" in properties or "$ref" in properties or "anyOf" in properties:
        return _open(properties)
    return {key: _open(value) for key, value in properties.items()}

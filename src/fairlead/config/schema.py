from __future__ import annotations

from typing import Any

from fairlead.config.file import File
from fairlead.config.types import NO_SETTING

_SETTING = {"type": "string", "pattern": r"\$\{", "description": "A setting: `${NAME}` or `${NAME:-default}`."}
_NEVER_SETTINGS = ("SourceEntry", "FileSourceEntry")
_NARROW = ("enum", "const", "pattern")


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of fairlead.yml as it is written, for editors; settings may stand for any value."""
    raw = File.model_json_schema(by_alias=True)
    definitions = raw.pop("$defs")
    opened = {name: _open(part, name not in _NEVER_SETTINGS) for name, part in definitions.items()}
    top = {**_open(raw), "$defs": {**opened, "Setting": _SETTING}, "title": "fairlead.yml"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top}


def _open(part: Any, settings: bool = True) -> Any:
    """Let `${...}` stand where something narrower than text is wanted, and leave out what only pydantic needs."""
    if isinstance(part, list):
        return [_open(item, settings) for item in part]
    if not isinstance(part, dict):
        return part
    inner = {key: _inner(key, value, settings) for key, value in part.items() if not _is_noise(key, value)}
    if "patternProperties" in inner:
        inner["additionalProperties"] = False
    narrow = part.get("type") in ("integer", "number", "boolean") or any(key in part for key in _NARROW)
    if not settings or not narrow or part.get("format") == NO_SETTING:
        return inner
    outer = {key: inner.pop(key) for key in ("description", "default") if key in inner}
    return {**outer, "anyOf": [inner, {"$ref": "#/$defs/Setting"}]}


def _inner(key: str, value: Any, settings: bool) -> Any:
    if key in ("properties", "patternProperties"):
        return {name: _open(item, settings) for name, item in value.items()}
    return value if key in ("enum", "default", "required") else _open(value, settings)


def _is_noise(key: str, value: Any) -> bool:
    return key == "title" or (key == "default" and value in ("", None, [], {}))

"""pydantic's errors as sentences, at their place in the file; none of them repeats a value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fairlead.config.document import Document
from fairlead.config.file import File
from fairlead.config.problems import Path, Problem, closest
from fairlead.config.service import PLACED, ServiceEntry
from fairlead.config.types import Wrong, choice

UNKNOWN_KEY = "not a known key"
_PLAIN = {
    "string_type": ("should be text", ""),
    "bool_type": ("should be `true` or `false`", ""),
    "int_type": ("should be a whole number", ""),
    "float_type": ("should be a number", ""),
    "dict_type": ("should be a mapping of keys", ""),
    "model_type": ("should be a mapping of keys", ""),
    "tuple_type": ("should be a list", "write [a, b] or one `- item` a line"),
    "missing": ("is missing", ""),
}


def explain(error: ValidationError, data: Any, document: Document) -> Iterator[Problem]:
    """Every error with its path in the file, its place and its hint."""
    for found in error.errors(include_url=False):
        path = _path(found, data)
        on_key = found["type"] == "extra_forbidden" or found["loc"][-1:] == ("[key]",)
        what, hint = _sentence(found, path)
        yield Problem(document.key_mark(path) if on_key else document.mark(path), path, what, hint)


def _path(error: ErrorDetails, data: Any) -> Path:
    """Where the error is in the data: names that pydantic gives to alternatives are left out."""
    path: Path = ()
    for number, part in enumerate(error["loc"]):
        last = number == len(error["loc"]) - 1
        here = (isinstance(data, dict) and part in data) or (isinstance(data, list) and _is_item(part, data))
        if here:
            data, path = data[part], (*path, part)
        elif last and error["type"] == "missing":
            path = (*path, part)
    return path


def _is_item(part: str | int, data: list[Any]) -> bool:
    return isinstance(part, int) and part < len(data)


def _sentence(error: ErrorDetails, path: Path) -> tuple[str, str]:
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return UNKNOWN_KEY, _other_key(path)
    if kind == "value_error" and isinstance(wrong := context.get("error"), Wrong):
        return str(wrong), wrong.hint
    if given is None and kind != "missing":
        return "has no value", "give one or leave the key out"
    if kind in _LIMITS:
        return _LIMITS[kind](context, given)
    if kind == "string_type" and isinstance(given, bool):
        return "should be text", "put it in quotes"
    return _PLAIN.get(kind, ("has a value that does not belong here", ""))


def _word(context: Mapping[str, Any], given: object) -> tuple[str, str]:
    words = tuple(re.findall(r"'([^']*)'", context["expected"])) or (context["expected"],)
    return f"should be {choice(words)}", closest(str(given), words)


_LIMITS: dict[str, Callable[[Mapping[str, Any], object], tuple[str, str]]] = {
    "greater_than_equal": lambda limit, _: (f"should be at least {limit['ge']}", ""),
    "less_than_equal": lambda limit, _: (f"should be at most {limit['le']}", ""),
    "literal_error": _word,
}


def _other_key(path: Path) -> str:
    """What could have been meant by a key that is not known at its place."""
    known: list[str] = []
    kinds: list[Any] = [File]
    for part in path[:-1]:
        kinds = [inner for kind in kinds for inner in _inside(kind, part)]
    for kind in kinds:
        known += [field.alias or name for name, field in kind.model_fields.items()] if _is_model(kind) else []
    if ServiceEntry in kinds and path[-1] in PLACED:
        return f"`{path[-1]}` differs by environment: write it in environments.ENVIRONMENT.services.{path[1]}"
    return closest(str(path[-1]), known) or (f"known are {', '.join(known)}" if len(known) <= 8 else "")


def _inside(kind: Any, part: str | int) -> list[Any]:
    """The kinds of value that may stand at a key or number of a value of this kind."""
    if _is_model(kind):
        return [
            inner
            for name, field in kind.model_fields.items()
            if part in (field.alias, name)
            for inner in _kinds(field.annotation)
        ]
    if get_origin(kind) is dict:
        return _kinds(get_args(kind)[1])
    return _kinds(get_args(kind)[0]) if get_origin(kind) is tuple else []


def _kinds(annotation: Any) -> list[Any]:
    """A type, or all members of a union, without what is annotated to them."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in (dict, tuple) or _is_model(annotation):
        return [annotation]
    return [kind for member in get_args(annotation) for kind in _kinds(member)]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)

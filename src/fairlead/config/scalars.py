"""The scalars of YAML 1.2's core schema: `off`, `no` and `on` are text here, as they look."""

from __future__ import annotations

import math
import re

_WHOLE = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_DECIMAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOTHING = ("", "~", "null", "Null", "NULL")
_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


class Whole(int):
    """A whole number that knows how it was written, for keys that take text: an argument `007` stays `007`."""

    text: str


class Decimal(float):
    """A number that knows how it was written: the version `1.10` is not `1.1`."""

    text: str


class Filled(str):
    """A text with a setting in it; whoever wants the *name* of a secret refuses it."""

    __slots__ = ()


Value = Whole | Decimal | bool | str | None


def typed(text: str) -> Value:
    """What a plain (unquoted) scalar means. Numbers too large to be meant as such stay text."""
    if text in _NOTHING:
        return None
    if text in _FLAGS:
        return _FLAGS[text]
    number = _number(text)
    return text if number is None else number


def filled(text: str) -> Value:
    """What a scalar means after its settings were put in, quoted or not: in flow style it has to be quoted."""
    value = typed(text)
    return Filled(text) if value is None or isinstance(value, str) else value


def _number(text: str) -> Whole | Decimal | None:
    number: Whole | Decimal
    if _WHOLE.fullmatch(text):
        number = Whole(text, 10 if text[1:2] not in ("o", "x") else 0)
    elif len(text) < 40 and _DECIMAL.fullmatch(text) and math.isfinite(float(text)):
        number = Decimal(text)
    else:
        return None
    number.text = text
    return number


def bare(value: object) -> object:
    """A value without the memory of how it was written: what JSON is compared with."""
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items()}
    if isinstance(value, list):
        return [bare(item) for item in value]
    for kind in (str, bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value

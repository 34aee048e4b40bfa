from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fairlead.config.document import Document, Scalar
from fairlead.config.problems import Path, Problem
from fairlead.config.scalars import filled, typed

_SETTING = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?")


class Filling:
    """The values of a document with its settings put in, and what went wrong on the way."""

    def __init__(self, document: Document, settings: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self.used: dict[str, Path] = {}
        """Every setting that the file asks for, and where first."""
        self.unset: set[Path] = set()
        """Paths of values that could not be filled; they hold an empty text."""
        self._document, self._settings = document, settings
        self.data: dict[str, Any] = {key: self._value(value, (key,)) for key, value in document.tree.items()}

    def _value(self, value: Any, path: Path) -> Any:
        if isinstance(value, Scalar):
            return self._scalar(value, path)
        if isinstance(value, dict):
            return {key: self._value(item, (*path, key)) for key, item in value.items()}
        return [self._value(item, (*path, number)) for number, item in enumerate(value)]

    def _scalar(self, scalar: Scalar, path: Path) -> Any:
        if "${" not in scalar.text:
            return typed(scalar.text) if scalar.plain else scalar.text
        whole = _SETTING.sub(lambda found: self._setting(found, path), scalar.text)
        return filled(whole) if path not in self.unset else ""

    def _setting(self, found: re.Match[str], path: Path) -> str:
        name, default = found[1], found[2]
        if found[0] == "$${":
            return "${"
        if path[0] == "sources":
            return self._wrong(path, "settings come from `sources` and cannot be used in them")
        if name is None:
            return self._wrong(
                path, "`${` begins a setting", "write ${NAME} or ${NAME:-default}, or $${ for a literal ${"
            )
        self.used.setdefault(name, path)
        value = self._settings.get(name) or default
        if value is None:
            hint = f"set {name} in the environment or a dotenv file of `sources`, or write ${{{name}:-default}}"
            return self._wrong(path, f"setting {name} is {'empty' if name in self._settings else 'not set'}", hint)
        return value

    def _wrong(self, path: Path, what: str, hint: str = "") -> str:
        self.unset.add(path)
        self.problems.append(Problem(self._document.mark(path), path, what, hint))
        return ""

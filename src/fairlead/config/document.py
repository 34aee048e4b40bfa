from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from fairlead.config.problems import Mark, Path, Problem, refusal
from fairlead.config.source import Source
from fairlead.errors import ConfigError

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LARGEST = 1_000_000  # characters; the whole installation of seven services needs 15,000
_DEEPEST = 40
_MOST = 20_000  # values, aliases followed: a few lines of aliases can mean billions
# Control characters, what YAML 1.1 took for line ends, halves of characters, and what changes the direction of text.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


class Scalar(NamedTuple):
    """A value as it was written; what it means is decided when its settings are known."""

    text: str
    plain: bool
    """Written without quotes."""


@dataclass(frozen=True)
class Document:
    """A file that is well-formed YAML: its values and where each of them stands."""

    name: str
    tree: dict[str, Any]
    """Dicts, lists and `Scalar`s."""
    places: Mapping[Path, Mark]
    """Where a value stands; for mappings and lists, their key."""
    keys: Mapping[Path, Mark]
    """Where the key of a value stands."""
    sources: tuple[Source, ...] = field(default=())
    """Where settings and secrets come from, first hit wins."""
    settings: tuple[str, ...] = field(default=())
    """Names of all settings that the file asks for."""

    def mark(self, path: Path) -> Mark:
        """Where `path` stands, or the nearest thing above it that is in the file."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Mark(1, 1))

    def names(self, *path: str) -> tuple[str, ...] | None:
        """The keys of the mapping at `path`; none where the path is not there, None where it is no mapping."""
        value: Any = self.tree
        for part in path:
            value = value.get(part, {}) if isinstance(value, dict) else None
        return tuple(value) if isinstance(value, dict) else None

    def key_mark(self, path: Path) -> Mark:
        """Where the key of `path` stands."""
        return self.keys.get(path) or self.mark(path)


def compose(raw: str | bytes, name: str) -> Document:
    """Read YAML and remember positions. Raises ConfigError with the first place that is no YAML of ours."""
    text = _text(raw, name)
    builder = _Builder(name)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, text, name) from None
    except (yaml.YAMLError, ValueError, OverflowError):
        raise refusal(name, [Problem(Mark(1, 1), (), "not valid YAML")]) from None
    if not isinstance(builder.root, dict):
        what = "the file is empty" if builder.root is None else "the file should be a mapping of keys"
        raise refusal(name, [Problem(Mark(1, 1), (), what, "`fairlead init` writes a starter")])
    return Document(name, builder.root, builder.places, builder.keys)


def _text(raw: str | bytes, name: str) -> str:
    if len(raw) > _LARGEST:
        raise refusal(name, [Problem(Mark(1, 1), (), f"the file is larger than {_LARGEST} characters")])
    # A byte that is no UTF-8 becomes half a character, which is refused with its place like any other of its kind.
    text = raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else raw
    text = text.removeprefix("\ufeff")
    if bad := _UNSEEN.search(text):
        before = re.split("\r\n|\r|\n", text[: bad.start()])
        half = 0xD800 <= ord(bad[0]) <= 0xDFFF
        what = "this byte is not UTF-8" if half else f"the control character U+{ord(bad[0]):04X} is not allowed"
        raise refusal(name, [Problem(Mark(len(before), len(before[-1]) + 1), (), what)])
    return text


def _not_yaml(error: yaml.MarkedYAMLError, text: str, name: str) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    place = Mark(mark.line + 1, mark.column + 1) if mark else Mark(1, 1)
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        what, hint = "a tab cannot indent", "use blanks"
    else:
        what, hint = f"not valid YAML: {' '.join((error.problem or 'unreadable').split())}", ""
        if "${" in line and ("{" in line.replace("${", "") or "[" in line):
            hint = 'inside {...} and [...] a setting needs quotes: "${NAME}"'
    return refusal(name, [Problem(place, (), what, hint)])


class _Frame:
    """A mapping or list that is not yet closed."""

    def __init__(self, value: dict[str, Any] | list[Any], path: Path, anchor: str | None) -> None:
        self.value, self.path, self.anchor = value, path, anchor
        self.key: str | None = None


class _Builder:
    """Builds values out of parser events without recursion, so that no depth of nesting can break it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.root: Any = None
        self.places: dict[Path, Mark] = {}
        self.keys: dict[Path, Mark] = {}
        self._open: list[_Frame] = []
        self._anchors: dict[str, tuple[Path, Any]] = {}
        self._documents = 0

    def take(self, event: Any) -> None:
        mark = Mark(event.start_mark.line + 1, event.start_mark.column + 1)
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise self._refuse(mark, "a second document begins here", "keep one document in the file")
            case yaml.AliasEvent():
                self._alias(event, mark)
            case yaml.NodeEvent():
                self._node(event, mark)
            case yaml.CollectionEndEvent():
                frame = self._open.pop()
                self._remember(frame.anchor, frame.path, frame.value)

    def _node(self, event: Any, mark: Mark) -> None:
        if event.tag is not None:
            raise self._refuse(mark, "tags are not supported", "put text into quotes instead")
        if isinstance(event, yaml.ScalarEvent):
            if self._takes_key():
                self._key(event, mark)
                return
            value: Any = Scalar(event.value, event.implicit[0])
            self._remember(event.anchor, self._place(value, mark), value)
            return
        value = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._open.append(_Frame(value, self._place(value, mark), event.anchor))

    def _takes_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is None

    def _key(self, event: Any, mark: Mark) -> None:
        frame, key = self._open[-1], event.value
        path = (*frame.path, key)
        if key == "<<" and event.implicit[0]:
            raise self._refuse(mark, "merge keys are not supported", "write the keys out")
        if key in frame.value:
            raise self._refuse(mark, f"the key stands here twice, first in line {self.keys[path].line}", path=path)
        frame.key, self.keys[path] = key, mark

    def _place(self, value: Any, mark: Mark) -> Path:
        """Put a value where it belongs and note its place; returns its path."""
        if not self._open:
            self.root, path = value, Path()
        else:
            frame = self._open[-1]
            if self._takes_key():
                raise self._refuse(mark, "a key should be text")
            if isinstance(frame.value, list):
                path = (*frame.path, len(frame.value))
                frame.value.append(value)
            else:
                path = (*frame.path, str(frame.key))
                frame.value[str(frame.key)], frame.key = value, None
        self._note(path, mark if isinstance(value, Scalar) else self.keys.get(path, mark), mark)
        return path

    def _note(self, path: Path, place: Mark, mark: Mark) -> None:
        self.places[path] = place
        if len(path) > _DEEPEST:
            raise self._refuse(mark, f"nested more than {_DEEPEST} deep")
        if len(self.places) > _MOST:
            raise self._refuse(mark, f"more than {_MOST} values")

    def _remember(self, anchor: str | None, path: Path, value: Any) -> None:
        if anchor is not None:
            self._anchors[anchor] = (path, value)

    def _alias(self, event: Any, mark: Mark) -> None:
        if event.anchor not in self._anchors:
            raise self._refuse(mark, "this alias has no anchor before it")
        origin, value = self._anchors[event.anchor]
        path = self._place(value, mark)
        for inner in _paths(value):
            self._note(path + inner, self.places[origin + inner], mark)
            if origin + inner in self.keys:
                self.keys[path + inner] = self.keys[origin + inner]

    def _refuse(self, mark: Mark, what: str, hint: str = "", path: Path = ()) -> ConfigError:
        return refusal(self.name, [Problem(mark, path, what, hint)])


def _paths(value: Any) -> Iterator[Path]:
    """Paths of everything inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (key,)
        for inner in _paths(item):
            yield (key, *inner)

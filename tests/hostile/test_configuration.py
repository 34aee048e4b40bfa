"""Hostile values in fairlead.yml: refused with a position where a place cannot hold them, else kept by the letter."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fairlead.config import Installation, load, parse
from fairlead.errors import ConfigError

NASTY = ('it\'s "so"', "$(touch /tmp/x)", "`id`", "x; rm -rf /y", "a b", "grüße", "*", "a|b", "a&b", "x>y")
NEVER = ("a\nb", "a\x00b", "a\x1b[2J", "\u202e", "-rf", "--x=y")
"""Refused in every place."""
UPWARDS = ("..", "../x", "a/../../b", "/", "~/x")
PLACES = {
    "service's path": "environments.e.services.api.path",
    "access log": "environments.e.services.api.access_log",
    "database's path": "databases.g.path",
    "backup store": "databases.g.backup_store.path",
    "state": "hosts.h.state",
    "shared path": "services.api.shared.0",
    "protected path": "services.api.protected.0",
    "maintenance page": "services.api.maintenance.page",
}
WORDS = {
    "unit": "environments.e.services.api.unit",
    "url": "environments.e.services.api.url",
    "owner": "services.api.owner",
    "address": "hosts.h.address",
    "key's name": "hosts.h.key",
}
NAMES = ("environments", "services", "hosts", "databases")


def document() -> dict[str, Any]:
    return {
        "fairlead": 1,
        "project": "p",
        "hosts": {"h": {"address": "a.example.org", "state": "s", "key": "KEY"}},
        "databases": {"g": {"engine": "sqlite", "reached_from": "h", "path": "d/{name}.db", "names": {"n": {}},
                            "backup_store": {"path": "b"}}},
        "services": {"api": {"source": {"folder": "api"}, "shared": ["s"], "protected": ["p"], "owner": "u:g",
                             "maintenance": {"page": "m"}}},
        "environments": {"e": {"services": {"api": {"host": "h", "path": "p", "access_log": "l", "unit": "u",
                                                    "url": "https://a.example.org"}}}},
    }  # fmt: skip


def loaded(path: str, value: str) -> Installation:
    data = document()
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = data
    for part in way:
        place = place[part]
    place[last] = value
    return load(parse(json.dumps(data, ensure_ascii=False).encode()), {})


def refused(path: str, value: str) -> None:
    with pytest.raises(ConfigError) as error:
        loaded(path, value)
    lines = error.value.what.split("\n")
    assert all(re.fullmatch(r"fairlead\.yml:[1-9]\d*:[1-9]\d*: .+", line) and line.isprintable() for line in lines)


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize("path", PLACES.values(), ids=PLACES.keys())
def test_a_path_is_kept_letter_by_letter(path: str, value: str) -> None:
    given = f"{value}/{{name}}.db" if path == "databases.g.path" else value
    kept = json.dumps(json.loads(loaded(path, given).to_json()))
    assert json.dumps(given.replace("{name}", "n"))[1:-1] in kept


@pytest.mark.parametrize("value", [*NEVER, *UPWARDS])
@pytest.mark.parametrize("path", PLACES.values(), ids=PLACES.keys())
def test_a_path_that_is_refused(path: str, value: str) -> None:
    refused(path, value)


@pytest.mark.parametrize("value", [*NEVER, *NASTY])
@pytest.mark.parametrize("path", WORDS.values(), ids=WORDS.keys())
def test_a_word_that_is_refused(path: str, value: str) -> None:
    refused(path, value)


@pytest.mark.parametrize("value", [*NEVER, *NASTY, "..", "x" * 300, ""])
@pytest.mark.parametrize("kind", NAMES)
def test_a_name_that_is_refused(kind: str, value: str) -> None:
    data = document()
    data[kind][value] = next(iter(data[kind].values()))
    with pytest.raises(ConfigError) as error:
        load(parse(json.dumps(data, ensure_ascii=False).encode()), {})
    lines = error.value.what.split("\n")
    assert all(line.startswith("fairlead.yml:") and line.isprintable() for line in lines)

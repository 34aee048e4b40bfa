"""Whatever is done to the example: an installation, or a ConfigError of which every line has a position."""

from __future__ import annotations

import contextlib
import json
import os
import re
from importlib.resources import files
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.config import load, parse
from fairlead.config.document import compose
from fairlead.config.scalars import typed
from fairlead.errors import ConfigError

EXAMPLE = (files("fairlead.config") / "examples" / "plesk.yml").read_text("utf-8")
LINES = [line for line in EXAMPLE.split("\n") if line.strip() and not line.lstrip().startswith("#")]
POSITION = re.compile(r"fairlead\.yml:[1-9][0-9]*:[1-9][0-9]*: [^ ].*")
ROUNDS = int(os.environ.get("FAIRLEAD_FUZZ", "100"))
"""How many mutations are tried; `make prove` tries more, and other ones each time."""

HOSTILE = [
    *(
        "",
        "~",
        "null",
        "true",
        "off",
        "[]",
        "{}",
        "[[]]",
        "{a: b}",
        "-",
        "- -",
        ":",
        "?",
        "*a",
        "&a",
        "*a : b",
        "!!x y",
    ),
    *(
        "0",
        "-1",
        "1e999",
        "9" * 400,
        ".nan",
        ".inf",
        "0x",
        "0o9",
        "1_000",
        "5%",
        "-5m",
        "1" * 5000 + "s",
        "٣",
        "|",
        ">",
    ),
    *('"', "'", '"\\0"', '"\\n"', '"\\x1b[2J"', '"\\ud800"', '"\\u2028"', '"$(reboot)"', "`id`", "; rm -rf /", "-rf"),
    *("${", "${X}", "${X:-}", "${X:-${Y}}", "$${X}", "${PLESK_HOST}", "../..", "/", ".", "~/x", "a/../b", "//x", "--"),
    *("http://", "https://[", "https://u:p@x", "{name}", "{0}", "{__class__}", "%s", "\\", "ü", "😀", "\t", "a\tb"),
    *(
        "\u202e",
        "\ufeff",
        "\x00",
        "\x7f",
        "x" * 3000,
        "[" * 60,
        "{a: " * 60,
        "<<: *a",
        "---",
        "...",
        "%YAML 9.9",
        "# x",
    ),
    "-----BEGIN OPENSSH PRIVATE KEY-----",
]
VALUE = re.compile(r"(?<=: )[^#\n]+|(?<=- )[^#\n]+")

line = st.integers(0, len(LINES) - 1)
where = st.integers(0, 10**6)
odd = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=8))


def scalar(lines: list[str], number: int, value: str) -> None:
    lines[number % len(lines)] = VALUE.sub(lambda _: value, lines[number % len(lines)], count=1)


def inner_scalar(lines: list[str], number: int, value: str) -> None:
    at = number % len(lines)
    words = re.split(r"([\[\]{},: ]+)", lines[at])
    words[(number // 7) % len(words)] = value
    lines[at] = "".join(words)


def indent(lines: list[str], number: int, by: int) -> None:
    at = number % len(lines)
    lines[at] = lines[at][-by:] if by < 0 else " " * by + lines[at]


def swap(lines: list[str], one: int, other: int) -> None:
    one, other = one % len(lines), other % len(lines)
    lines[one], lines[other] = lines[other], lines[one]


def key(lines: list[str], one: int, other: int) -> None:
    """Give a line the key of another one: right keys in wrong places."""
    names = [re.match(r" *(?:- )?([a-z0-9_]+):", text) for text in lines]
    found = names[other % len(lines)]
    if found and names[one % len(lines)]:
        lines[one % len(lines)] = re.sub(r"[a-z0-9_]+(?=:)", found[1], lines[one % len(lines)], count=1)


def cut(lines: list[str], number: int, keep: int) -> None:
    lines[number % len(lines)] = lines[number % len(lines)][: keep % 60]


MUTATION: st.SearchStrategy[tuple[Any, ...]] = st.one_of(
    st.tuples(st.just(scalar), line, odd),
    st.tuples(st.just(inner_scalar), where, odd),
    st.tuples(st.just(indent), line, st.integers(-4, 4)),
    st.tuples(st.just(swap), line, line),
    st.tuples(st.just(key), line, line),
    st.tuples(st.just(cut), line, where),
    st.tuples(st.just(lambda lines, number, _: lines.pop(number % len(lines))), line, where),
    st.tuples(st.just(lambda lines, number, _: lines.insert(number, lines[number % len(lines)])), line, where),
    st.tuples(st.just(lambda lines, number, value: lines.insert(number, value)), line, odd),
)
MUTATIONS = st.lists(MUTATION, min_size=1, max_size=4)
BYTES = st.lists(st.tuples(where, st.binary(min_size=1, max_size=4)), max_size=2)
SETTINGS = st.dictionaries(st.sampled_from(["PLESK_HOST", "PLESK_PORT", "PG_HOST", "X"]), odd, max_size=2)

fuzz = settings(
    max_examples=ROUNDS,
    derandomize="FAIRLEAD_FUZZ" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@fuzz
@given(MUTATIONS, BYTES, SETTINGS)
def test_a_damaged_file_is_refused_with_positions_or_loads(
    mutations: list[tuple[Any, ...]], inserted: list[tuple[int, bytes]], given_settings: dict[str, str]
) -> None:
    lines = list(LINES)
    for mutate, *arguments in mutations:
        mutate(lines, *arguments)
    raw = "\n".join(lines).encode("utf-8", "surrogatepass")
    for place, some in inserted:
        at = place % len(raw)
        raw = raw[:at] + some + raw[at:]
    answer(raw, given_settings)


def plain(value: Any) -> Any:
    """The example's values as JSON has them: any JSON is YAML, so what is changed in them is never a syntax error."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else typed(value.text)


DOCUMENT = compose(EXAMPLE, "fairlead.yml")
PATHS = sorted((path for path in DOCUMENT.places if path), key=str)
WRONG = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), odd),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(odd, inner, max_size=2)),
    max_leaves=4,
)
CHANGES = st.lists(
    st.tuples(st.sampled_from(PATHS), st.sampled_from(["replace", "drop", "rename", "move"]), WRONG, odd, where),
    min_size=1,
    max_size=6,
)


@fuzz
@given(CHANGES, SETTINGS)
def test_wrong_values_anywhere(changes: list[tuple[Any, ...]], given_settings: dict[str, str]) -> None:
    data = plain(DOCUMENT.tree)
    for path, how, value, name, number in changes:  # an earlier change may have taken the place away
        with contextlib.suppress(LookupError, TypeError, AttributeError):
            change(data, path, how, value, name, number)
    answer(json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass"), given_settings)


def at(data: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        data = data[part]
    return data


def change(data: Any, path: tuple[Any, ...], how: str, value: Any, name: str, number: int) -> None:
    parent, part = at(data, path[:-1]), path[-1]
    match how:
        case "replace":
            parent[part] = value
        case "drop":
            del parent[part]
        case "rename":
            parent[name] = parent.pop(part)
        case "move":
            parent[part] = json.loads(json.dumps(at(data, PATHS[number % len(PATHS)])))


def answer(raw: bytes, given_settings: dict[str, str]) -> None:
    try:
        load(parse(raw), given_settings)
    except ConfigError as error:
        wrong = [line for line in error.what.split("\n") if not POSITION.fullmatch(line)]
        assert wrong == []
        assert all(text.isprintable() for text in (error.what + "\n" + error.hint).split("\n"))

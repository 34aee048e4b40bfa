"""Rows in errors/*.txt: a snippet of fairlead.yml -> exactly what is said about it, and the hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.config import load, parse
from fairlead.errors import ConfigError

SETTINGS = {"EMPTY": "", "LINES": "a\nb", "SENTINEL": "s3ntinel value"}
ROWS = [
    pytest.param(row, id=f"{file.stem}: {row.partition(chr(10))[0]}")
    for file in sorted((Path(__file__).parent / "errors").glob("*.txt"))
    for row in file.read_text().split("=== ")[1:]
]
HEAD = "fairlead: 1\nproject: shop\n"


def refused(text: str | bytes, settings: dict[str, str] = SETTINGS) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(parse(text), settings)
    return caught.value


@pytest.mark.parametrize("row", ROWS)
def test_what_is_said(row: str) -> None:
    text, _, says = row.partition("\n")[2].partition("--- says\n")
    what, _, hint = says.removesuffix("\n").partition("\n--- hint\n")
    error = refused(text)
    assert (error.what, error.hint) == (what, hint)
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        pytest.param(b"fairlead: 1\nproject: sh\xffop\n", "2:12: this byte is not UTF-8", id="a lone byte"),
        pytest.param("project: a\x00b", "1:11: the control character U+0000 is not allowed", id="NUL"),
        pytest.param("a: 1\r\nb: \x1b[2J", "2:4: the control character U+001B is not allowed", id="escape"),
        pytest.param("project: a\u202eb", "1:11: the control character U+202E is not allowed", id="backward text"),
        pytest.param("project: a\u2028b", "1:11: the control character U+2028 is not allowed", id="a hidden line end"),
        pytest.param("project: \ud800", "1:10: this byte is not UTF-8", id="half a character"),
        pytest.param("# " + "x" * 1_000_000, "1:1: the file is larger than 1000000 characters", id="a huge file"),
        pytest.param("a: " + "[" * 100_000, "1:44: nested more than 40 deep", id="deeper than any stack"),
        pytest.param("a: " + "{a: " * 100_000, "1:164: nested more than 40 deep", id="mappings deeper than any stack"),
        pytest.param("x: [" + "1," * 30_000 + "]", "1:40001: more than 20000 values", id="a very long list"),
        pytest.param("", "1:1: the file is empty", id="nothing at all"),
        pytest.param("\ufeff", "1:1: the file is empty", id="only a byte order mark"),
        pytest.param("%YAML 3.0\n---\na: 1", "1:1: not valid YAML: found incompatible YAML document", id="YAML 3"),
    ],
)
def test_what_is_no_text_of_ours(raw: str | bytes, says: str) -> None:
    assert refused(raw).what == f"fairlead.yml:{says}"


def test_a_few_lines_of_aliases_do_not_become_billions() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert refused("\n".join(lines)).what == "fairlead.yml:5:10: more than 20000 values"


def test_a_chain_of_aliases_is_no_deeper_than_any_other_nesting() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 2000))]
    assert refused("\n".join(lines)).what == "fairlead.yml:40:12: nested more than 40 deep"


def test_an_alias_stands_where_it_is_written() -> None:
    text = HEAD + "services:\n  a: {health: &h [{path: x}]}\n  b: {health: *h}\n"
    assert [line.split(": ")[0] for line in refused(text).what.split("\n")] == ["fairlead.yml:4:26"] * 2


def test_the_file_keeps_its_name_in_messages() -> None:
    with pytest.raises(ConfigError, match=r"^deploy\.yml:1:1: fairlead: is missing\n"):
        load(parse("hosts: {}", "deploy.yml"), {})


SECRETS = [
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----",
    "hunter2!",
    "correct horse battery staple",
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQyNTUxOQAAACA",
    "pässwort",
]
PLACES = [
    "hosts: {{w: {{address: x, key: {0}}}}}",
    "hosts: {{w: {{address: {0}, user: {0}, port: {0}}}}}",
    "databases: {{m: {{engine: {0}, reached_from: {0}, password: {0}}}}}",
    "databases: {{m: {{engine: mariadb, reached_from: w, maintenance: {{user: u, password: {0}}}}}}}",
    "services: {{a: {{strategy: {0}, health: [{{path: /, headers: {{Cookie: {{secret: {0}}}, Token: {0}}}}}]}}}}",
    "sources: [{0}, {{file: {{name: {0}, path: x}}}}, {{command: {0}}}]",
    "github: {{api: {0}, token: {0}, repository: {0}, main: {0}}}",
    "environments: {{p: {{unattended: {0}, services: {{a: {{url: {0}, unit: {0}, path: {0}, databases: [{0}]}}}}}}}}",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("secret", SECRETS, ids=["a private key", "a password", "words", "base64", "unicode"])
def test_a_secret_in_the_wrong_place_is_not_repeated(place: str, secret: str) -> None:
    quoted = '"' + secret.replace("\n", "\\n") + '"'
    error = refused(HEAD + place.format(quoted))
    for part in (secret, *secret.split("\n")):
        assert part not in error.what + error.hint


@pytest.mark.parametrize("place", PLACES)
def test_the_value_of_a_setting_is_not_repeated(place: str) -> None:
    error = refused(HEAD + place.format('"${SENTINEL}"'))
    assert "s3ntinel" not in error.what + error.hint

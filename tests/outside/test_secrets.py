from __future__ import annotations

import base64
import html
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from fairlead.config.source import CommandSource, DotenvSource, EnvironmentSource, FileSource, Source
from fairlead.errors import NotReady
from fairlead.model import Command, SecretRef
from fairlead.outside.dotenv import parse_dotenv
from fairlead.outside.secrets import Secrets

DOTENV = {
    "plain": ("A=b", {"A": "b"}),
    "blanks, comments, empty lines": ("\n# A=no\n A = no\n B=c  \n\nC=d # e\nD=e#f", {"B": "c", "C": "d", "D": "e#f"}),
    "export": ("export A=b\nexport\tC='d'\nexported=E", {"A": "b", "C": "d", "exported": "E"}),
    "quotes": ("A=\"b c\"\nB='d # $e'\nC=\"f \\\"g\\\" \\$h \\\\i\"", {"A": "b c", "B": "d # $e", "C": 'f "g" $h \\i'}),
    "several lines": ("K='a\nb\nX=no'\nL=\"c\nd\"\nM=e", {"K": "a\nb\nX=no", "L": "c\nd", "M": "e"}),
    "escaped newlines": ('K="a\\nb"', {"K": "a\nb"}),
    "unclosed quote is a plain value": ("A='b\nC=d", {"A": "'b", "C": "d"}),
    "empty": ("A=\nB=''\nC=#x", {"A": "", "B": "", "C": ""}),
    "last wins": ("A=b\nA=c", {"A": "c"}),
    "an equals sign in the value": ("A=b=c==", {"A": "b=c=="}),
    "a shell script": ('#!/bin/bash\nset -e\nif [ "$X" = y ]; then\n  A=b\nfi\necho A=no\nrm -rf "$B"', {"A": "b"}),
    "what only a shell could compute": ('A=$(id)\nB="`id`"\nC=\'$(literal)\'\nD=x$y', {"C": "$(literal)", "D": "x$y"}),
    "names that are none": ("1A=b\nA-B=c\n=d\nÄ=e", {}),
    "Windows": ("A=b\r\nC='d'\r\n", {"A": "b", "C": "d"}),
}  # fmt: skip


@pytest.mark.parametrize(("text", "found"), DOTENV.values(), ids=DOTENV.keys())
def test_dotenv(text: str, found: Mapping[str, str]) -> None:
    assert parse_dotenv(text) == found


def made(folder: Path, *sources: Source, **environ: str) -> Secrets:
    (folder / ".env").write_text("A=dotenv\nB=dotenv\nEMPTY=\n")
    (folder / "key").write_text("line 1\nline 2\n")
    return Secrets(sources, folder, environ=environ)


def counted(folder: Path) -> CommandSource:
    (folder / "print").write_text("echo x >>count; echo A=command; echo C=command; echo \"E='$FOR_IT'\"")
    return CommandSource(argv=("sh", "print"))


async def opened(secrets: Secrets, name: str) -> str:
    return await secrets.open(SecretRef(name=name))


async def test_the_first_source_that_has_a_name_wins(tmp_path: Path) -> None:
    sources = (EnvironmentSource(), DotenvSource(path=".env"), FileSource(name="KEY", path="key"), counted(tmp_path))
    secrets = made(tmp_path, *sources, A="environment", FOR_IT="passed", PATH="/usr/bin:/bin")
    assert [await opened(secrets, name) for name in ("A", "B", "KEY")] == ["environment", "dotenv", "line 1\nline 2"]
    assert not (tmp_path / "count").exists()  # nothing is run before it is needed
    assert [await opened(secrets, name) for name in ("C", "E", "C")] == ["command", "passed", "command"]
    assert (tmp_path / "count").read_text() == "x\n"
    assert await secrets.exists("C") and not await secrets.exists("EMPTY") and not await secrets.exists("NONE")
    assert secrets.settings().items() >= {"A": "environment", "B": "dotenv"}.items()
    assert not {"C", "KEY"} & secrets.settings().keys()


async def test_a_missing_secret_says_where_it_was_looked_for(tmp_path: Path) -> None:
    sources = (EnvironmentSource(), DotenvSource(path=".none"), FileSource(name="KEY", path="~/key"), counted(tmp_path))
    with pytest.raises(NotReady, match="the secret NONE is missing") as error:
        await opened(made(tmp_path, *sources, PATH="/usr/bin:/bin"), "NONE")
    assert error.value.hint == "looked in: the environment, .none, ~/key, `sh print`"


@pytest.mark.parametrize("script", ["echo A=leak; echo leak >&2; exit 3", "no-such-program-leak"])
async def test_a_source_that_fails_is_an_error_without_its_words(tmp_path: Path, script: str) -> None:
    (tmp_path / "print").write_text(script)
    with pytest.raises(NotReady, match="the source `sh print` ended with code") as error:
        await opened(made(tmp_path, CommandSource(argv=("sh", "print")), PATH="/usr/bin:/bin"), "A")
    assert "leak" not in f"{error.value} {error.value.hint}"


async def test_a_source_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"A=\xff")
    for path in ("binary", "."):
        with pytest.raises(NotReady, match="cannot be read"):
            await opened(made(tmp_path, DotenvSource(path=path)), "A")


async def test_standard_input_of_a_command(tmp_path: Path) -> None:
    secrets = made(tmp_path, DotenvSource(path=".env"))
    assert await secrets.stdin_of(Command(argv=("cat",), stdin=SecretRef(name="A"))) == b"dotenv"
    assert await secrets.stdin_of(Command(argv=("cat",))) == b""


VALUE = "p\"ä/ß+ \\w&=%d'é"
ESCAPED = {
    "plain": VALUE,
    "base64": base64.b64encode(VALUE.encode()).decode(),
    "base64 of a line": base64.b64encode(VALUE.encode() + b"\n").decode(),
    "URL-safe base64": base64.urlsafe_b64encode(VALUE.encode()).decode(),
    "in a URL": quote(VALUE, safe=""),
    "in JSON": json.dumps(VALUE)[1:-1],
    "in JSON with umlauts": json.dumps(VALUE, ensure_ascii=False)[1:-1],
    "in JSON of PHP": json.dumps(VALUE)[1:-1].replace("/", "\\/"),
    "in a URL, small letters": quote(VALUE, safe="").lower(),
    "on a page": html.escape(VALUE),
    "in a dotenv file": VALUE.replace("\\", "\\\\").replace('"', '\\"'),
    "in hexadecimal digits": VALUE.encode().hex(),
    "in small letters": VALUE.lower(),
}


@pytest.mark.parametrize("leaked", ESCAPED.values(), ids=ESCAPED.keys())
async def test_opened_secrets_are_taken_out_of_texts(leaked: str) -> None:
    secrets = Secrets((EnvironmentSource(),), environ={"PASSWORD": VALUE, "PIN": "1234", "OTHER": "not opened"})
    assert leaked in secrets.redact(f"<{leaked}>")  # not known yet
    await opened(secrets, "PASSWORD")
    await opened(secrets, "PIN")
    text = secrets.redact(f"<{leaked}> 1234 not opened")
    assert text.rstrip("=").startswith("<[secret PASSWORD]") and text.endswith("> 1234 not opened")


@pytest.mark.parametrize("before", ["", "u", "u:", "user:"])
async def test_opened_secrets_are_taken_out_of_longer_base64(before: str) -> None:
    secrets = Secrets((EnvironmentSource(),), environ={"PASSWORD": VALUE})
    await opened(secrets, "PASSWORD")
    told = secrets.redact(base64.b64encode(f"{before}{VALUE}!".encode()).decode())
    assert "[secret PASSWORD]" in told and len(told.replace("[secret PASSWORD]", "")) <= 12


async def test_named_secrets_are_kept_back_before_they_are_opened(tmp_path: Path) -> None:
    (tmp_path / "print").write_text("echo \"SEEN='$A$FOR_IT'\"; echo UNASKED=unasked-value")
    (tmp_path / ".env").write_text("B=in a file\n")
    sources = (EnvironmentSource(), DotenvSource(path=".env"), CommandSource(argv=("sh", "print")))
    environ = {"A": "in the environment", "FOR_IT": "passed on", "PATH": "/usr/bin:/bin"}
    secrets = Secrets(sources, tmp_path, environ=environ)
    secrets.guard(["A", "B", "UNASKED"])
    told = secrets.redact("in the environment, in a file, passed on, unasked-value")
    assert told == "[secret A], [secret B], passed on, unasked-value"  # the program was never run
    assert await opened(secrets, "SEEN") == "passed on"  # and does not get what is called a secret
    assert secrets.redact("unasked-value") == "[secret UNASKED]"


async def test_a_key_is_found_line_by_line() -> None:
    key = "-----BEGIN X PRIVATE KEY-----\nAAAAB3NzaC1yc2E\nQUJDREVGR0hJSg\n-----END X PRIVATE KEY-----\n"
    secrets = Secrets((EnvironmentSource(),), environ={"KEY": key})
    await opened(secrets, "KEY")
    assert secrets.redact("> AAAAB3NzaC1yc2E\n> QUJDREVGR0hJSg") == "> [secret KEY]\n> [secret KEY]"


async def test_a_longer_secret_is_taken_out_before_one_that_is_part_of_it() -> None:
    secrets = Secrets((EnvironmentSource(),), environ={"SHORT": "abcdef", "LONG": "abcdefghi"})
    await opened(secrets, "SHORT")
    await opened(secrets, "LONG")
    assert secrets.redact("abcdefghi abcdef") == "[secret LONG] [secret SHORT]"


async def test_no_value_in_its_representation() -> None:
    secrets = Secrets((EnvironmentSource(),), environ={"PASSWORD": "sentinel"})
    await opened(secrets, "PASSWORD")
    assert "sentinel" not in f"{secrets!r} {secrets}"
    with pytest.raises(TypeError):
        pickle.dumps(secrets)

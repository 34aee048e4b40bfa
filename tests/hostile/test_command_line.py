"""Hostile words on the command line and in the files that it reads: one clear message, no traceback, nothing done."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.operator import Operator

CONFIG = """\
fairlead: 1
project: shop
hosts: {here: {connect: local, home: HOME}}
services: {api: {source: {folder: source, version: VERSION}}}
environments: {e: {unattended: allow, services: {api: {host: here, path: site}}}}
"""
WORDS = {
    "command": "$(touch executed)",
    "backticks": "`touch executed`",
    "semicolon": "x; touch executed",
    "upwards": "../../../etc/passwd",
    "blanks": "a b",
    "quotes": 'it\'s "so"',
    "line break": "a\nerror: b",
    "terminal": "\x1b[2J\x1b]0;x\x07",
    "unicode": "grüße\u202e",
    "not UTF-8": os.fsdecode(b"\xff\xfe"),
    "long": "x" * 5000,
    "dot": ".",
}
RUNS = {
    "show": ("show", "WORD"),
    "report": ("report", "WORD"),
    "rollback": ("rollback", "WORD", "--yes"),
    "environment": ("history", "-e", "WORD"),
    "service": ("plan", "WORD"),
    "database": ("db", "backup", "WORD"),
    "configuration": ("status", "--config", "WORD"),
    "plan file": ("deploy", "--plan", "WORD", "--yes"),
}
SPREAD = [(place, word) for number, place in enumerate(RUNS) for word in list(WORDS)[number % 4 :: 4]]
"""Each place with a quarter of the words, each word in several places: every pair would take minutes."""


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    for name in ("home", "checkout/source"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "checkout" / "fairlead.yml").write_text(CONFIG.replace("HOME", str(tmp_path / "home")))
    (tmp_path / "checkout" / "source" / "VERSION").write_text("v1\n")
    return Operator(tmp_path / "checkout", tmp_path / "operator")


def canaries(operator: Operator) -> list[Path]:
    return list(operator.folder.parent.rglob("executed*"))


@pytest.mark.parametrize(("place", "word"), SPREAD, ids=[f"{place}: {word}" for place, word in SPREAD])
def test_a_word_that_means_nothing(operator: Operator, place: str, word: str) -> None:
    words = [WORDS[word] if part == "WORD" else part for part in RUNS[place]]
    done = operator.run(*words)
    assert done.returncode in (1, 2), done.stdout + done.stderr
    told = done.stderr.split("\n")
    assert "Traceback" not in done.stderr
    assert sum(line.lower().startswith("error:") for line in told) == 1 or word == "line break", done.stderr
    assert all(line.isprintable() for line in told)
    assert canaries(operator) == []


@pytest.mark.parametrize("word", ["not UTF-8", "terminal", "line break"])
def test_an_error_as_json_is_one_document(operator: Operator, word: str) -> None:
    done = operator.run("plan", WORDS[word], "--json")
    assert json.loads(done.stdout)["exit"] == 2
    assert done.stderr == ""


@pytest.mark.parametrize("word", ["command", "quotes", "unicode", "not UTF-8", "terminal"])
def test_a_file_to_write_may_be_called_anything(operator: Operator, word: str) -> None:
    operator.must(0, "plan", "--out", WORDS[word])
    assert (operator.folder / WORDS[word]).stat().st_mode & 0o777 == 0o600
    assert canaries(operator) == ([operator.folder / WORDS[word]] if WORDS[word].startswith("executed") else [])


@pytest.mark.parametrize("out", ["x" * 300, "fairlead.yml/x", "."], ids=["too long", "below a file", "a folder"])
def test_a_file_that_cannot_be_written(operator: Operator, out: str) -> None:
    done = operator.run("plan", "--out", out)
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr and "rror:" in done.stderr


@pytest.mark.parametrize("word", [word for word in WORDS if word != "long"])
def test_a_reason_is_kept_literally(operator: Operator, word: str) -> None:
    operator.must(0, "deploy", "--yes", "--no-watch", "--reason", WORDS[word])
    shown = operator.must(0, "show")
    assert all(line.isprintable() for line in shown.split("\n"))
    assert canaries(operator) == []


def _name(name: bytes) -> Callable[[Path], None]:
    return lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text("x") and None


def _link(target: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "link").symlink_to(target)


REFUSED = {
    "a line break in a name": _name(b"a\nb"),
    "a control character in a name": _name(b"a\x1b[2Jb"),
    "a name that is not UTF-8": _name(b"a\xff"),
    "an absolute link": _link("/etc/passwd"),
    "a link that leaves": _link("../../home"),
    "a line break in a link": _link("a\nb"),
    "a pipe": lambda folder: os.mkfifo(folder / "pipe"),
    "the release's own name": _name(b"release.json"),
    "a version that is not UTF-8": lambda folder: (folder / "VERSION").write_bytes(b"v\xff") and None,
    "a version with control characters": lambda folder: (folder / "VERSION").write_text("v\x1b[2J\x07") and None,
    "a version of a megabyte": lambda folder: (folder / "VERSION").write_text("v" * 1_000_000) and None,
}


@pytest.mark.parametrize("put", REFUSED.values(), ids=REFUSED.keys())
def test_a_source_that_cannot_be_released(operator: Operator, put: Callable[[Path], None]) -> None:
    put(operator.folder / "source")
    done = operator.run("plan")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.count("error:") == 1 and "Traceback" not in done.stderr
    assert all(line.isprintable() for line in done.stderr.split("\n")) and len(done.stderr) < 2000

"""What the documents say is there is there, and every fairlead.yml in them loads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fairlead.config import load, parse

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(?P<kind>\S*)(?P<rest>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


def _blocks(page: Path, kind: str) -> list[tuple[str, str]]:
    return [
        (found["rest"].strip(), found["text"]) for found in FENCE.finditer(page.read_text()) if found["kind"] == kind
    ]


def _merged(base: yaml.Node | None, part: yaml.Node) -> yaml.Node:
    """A mapping with another put into it; as nodes, so that every scalar stays as it was written."""
    if not isinstance(base, yaml.MappingNode) or not isinstance(part, yaml.MappingNode):
        return part
    pairs = {key.value: (key, value) for key, value in base.value}
    for key, value in part.value:
        pairs[key.value] = (key, _merged(pairs.get(key.value, (key, None))[1], value))
    return yaml.MappingNode(base.tag, list(pairs.values()))


def _files() -> Iterator[Any]:
    """Whole files as they stand, and parts put into the last whole file before them."""
    for page in PAGES:
        whole = ""
        for number, (title, text) in enumerate(_blocks(page, "yaml"), 1):
            name = f"{page.name}, snippet {number}"
            if title == "fairlead.yml":
                whole = text
                yield pytest.param(text, id=name)
            else:
                assert title == "part of fairlead.yml", f"{name}: what is ```yaml {title}?"
                yield pytest.param(yaml.serialize(_merged(yaml.compose(whole), yaml.compose(text))), id=name)


@pytest.mark.parametrize("text", [*_files()])
def test_a_fairlead_yml_in_the_documents_loads(text: str) -> None:
    assert load(parse(text), {"PWD": "/home/reader/tutorial"}).environments


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))
    asked = set(re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), re.MULTILINE))
    assert asked <= targets


def test_the_readme_names_the_two_commands() -> None:
    (_, text), *_rest = _blocks(ROOT / "README.md", "sh")
    assert re.findall(r"(?m)^make \w+", text) == ["make demo", "make test"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(re.sub(FENCE, "", page.read_text())):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        if anchor:
            assert anchor in _anchors(target), f"{path}#{anchor}"


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"(?m)^#+ (.*)$", re.sub(FENCE, "", page.read_text()))
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_fairlead_exist(page: Path) -> None:
    from fairlead.surfaces.cli import COMMANDS

    text = "\n".join(text for _, text in _blocks(page, "sh"))
    spoken = re.findall(r"`fairlead ([a-z]+)", page.read_text())
    typed = re.findall(r"(?m)^(?:.*&& )?fairlead ([a-z]+)", text)
    assert {*spoken, *typed} <= set(COMMANDS)

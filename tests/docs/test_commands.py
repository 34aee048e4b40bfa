"""Every command says what it does and shows how; the reference says what they say."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from fairlead.surfaces.cli import COMMANDS, load, main

ROOT = Path(__file__).parents[2]


def _commands() -> Iterator[tuple[str, click.Command]]:
    for name in COMMANDS:
        command = load(name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", below) for inner, below in command.commands.items())
        else:
            yield name, command


ALL = dict(_commands())


def _example(command: click.Command) -> str:
    lines = [line.strip() for line in (command.help or "").splitlines()]
    return next((line.removeprefix("Example: ") for line in lines if line.startswith("Example: ")), "")


@pytest.mark.parametrize("name", ALL)
def test_help_is_a_sentence(name: str) -> None:
    first = (ALL[name].help or "").split("\n\n")[0].strip()
    assert first[:1].isupper()
    assert first.endswith((".", "?"))


@pytest.mark.parametrize("name", ALL)
def test_the_example_can_be_typed(name: str) -> None:
    words = shlex.split(_example(ALL[name]).split(" > ")[0])
    assert words[: 1 + len(name.split())] == ["fairlead", *name.split()], "the help has no example of this command"
    command, rest = ALL[name], words[1 + len(name.split()) :]
    command.make_context(name, rest)  # parses, and calls nothing


@pytest.mark.parametrize("name", ALL)
def test_options_are_explained(name: str) -> None:
    silent = [p.name for p in ALL[name].params if isinstance(p, click.Option) and not p.help and not p.show_default]
    assert not silent


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_shown_without_an_installation(name: str, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("fairlead")), name, "--help"]
    asked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert asked.returncode == 0
    assert asked.stdout.startswith("Usage: fairlead")
    assert not asked.stderr


def test_the_table_of_help_imports_no_command() -> None:
    code = "import sys; from fairlead.surfaces.cli import main; main(['--help'], standalone_mode=False)\n"
    code += "heavy = ('asyncio', 'pydantic', 'h11', 'httpx', 'rich', 'fairlead.app')\n"
    code += "print([name for name in sys.modules if name in heavy])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]"
    assert all(name in shown for name in main.list_commands(click.Context(main)))


def test_the_reference_is_current() -> None:
    checked = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr

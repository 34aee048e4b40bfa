"""Leaks on purpose: a copy of the product with one thing wrong, a command of it, where the search must find it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from support.leaks import PRODUCT, Story


@dataclass(frozen=True)
class Leak:
    """One thing wrong."""

    file: str
    """Below `fairlead/`."""
    right: str
    wrong: str
    words: tuple[str, ...]
    """The command in which it shows."""
    places: tuple[str, ...]
    """Each of these must be part of some sentence about what was found."""
    refusing: bool = False
    """The gates refuse meanwhile."""

    def found(self, hits: Collection[str]) -> bool:
        """Whether the search has found it everywhere where it is."""
        return all(any(place in hit for hit in hits) for place in self.places)


ECHO = 'line = f"echo {ready}; exec cat >/dev/null"'
PLANTED = {
    "a key on the command line": Leak(
        "outside/ssh_master.py",
        ECHO,
        ECHO.replace("; exec", "; : {shlex.quote(key.read_text()) if key else 0}; exec"),
        ("lock", "show"),
        ("the arguments of", "/ssh (trace ", "(trace sshd)"),
    ),
    "ssh with the operator's environment": Leak(
        "outside/environment.py",
        "return plain_environment() | {name",
        "return dict(os.environ) | {name",
        ("lock", "show"),
        ("the environment of",),
    ),
    "a build with the operator's environment": Leak(
        "outside/environment.py",
        "if name not in without}",
        "}",
        ("plan", "--config", "build.yml"),
        ("the environment of", "what the build sees"),
    ),
    "a source with the operator's environment": Leak(
        "outside/secrets.py",
        "if name not in self._names}",
        "}",
        ("health",),
        ("the environment of",),
    ),
    "a plan that holds values": Leak(
        "strategies/proof.py",
        "headers=",
        'headers={"X": __import__("os").environ["OWN_TOKEN"]} or ',
        ("plan", "--out", "leak.json"),
        ("estate: leak.json",),
    ),
    "a record that holds values": Leak(
        "run/operate.py",
        "says=reason,",
        'says=__import__("os").environ["OWN_TOKEN"],',
        ("deploy", "--yes", "--no-watch"),
        ("runs/", "history.db"),
    ),
    "echoes that are repeated": Leak(
        "outside/secrets.py",
        'text = text.replace(form, f"[secret {name}]")',
        "pass",
        ("health",),
        ("in said:",),
        refusing=True,
    ),
    "key files that stay": Leak(
        "outside/ssh_master.py",
        "key.unlink(missing_ok=True)",
        'key.rename(key.parent.parent / "stays")',
        ("health",),
        ("operator's temporary files",),
    ),
}
"""By what is wrong."""


def plant(story: Story, leak: Leak) -> None:
    """Run the command of a leak with a product that has it. AssertionError when the product is not as it is thought."""
    with tempfile.TemporaryDirectory(prefix="fl-planted-") as folder:
        shutil.copytree(PRODUCT / "fairlead", Path(folder) / "fairlead", ignore=shutil.ignore_patterns("__pycache__"))
        file = Path(folder) / "fairlead" / leak.file
        text = file.read_text()
        assert leak.right in text, f"{leak.file} has no longer: {leak.right}"
        file.write_text(text.replace(leak.right, leak.wrong))
        story.product, story.refusing = Path(folder), leak.refusing
        story.estate.write_version(f"leak {len(list((story.folder / 'traces').iterdir()))}")
        try:
            with suppress(AssertionError):  # what it leaves behind is the point
                story.tell(leak.words)
        finally:
            story.product, story.refusing = PRODUCT, False

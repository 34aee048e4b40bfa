"""Gates of one's own: a command, or a check of an installed Python package."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from fairlead.config.types import Arguments, Json, Line, LocalPath, MoreSeconds, Wrong
from fairlead.model import Model


class OwnEntry(Model):
    """A gate of one's own."""

    run: Arguments = ()
    """A command on this machine, without a shell. 0 is yes, 1 is no, everything else means that it does not know; the
    last line that it prints is told."""
    folder: LocalPath = "."
    """Where `run` is run, seen from this file."""
    check: Line = ""
    """The name of an entry point of the group `fairlead.checks`, which an installed Python package brings."""
    settings: dict[str, Json] = {}
    """What `check` is told beside the environment and its commit."""
    timeout: MoreSeconds = 60.0
    """Later than this it does not know."""
    hint: Line = ""
    """The next thing to type when it says no."""


def _one_of_both(entry: OwnEntry) -> OwnEntry:
    if bool(entry.run) == bool(entry.check):
        raise Wrong("should have `run` or `check`")
    if entry.check and "folder" in entry.model_fields_set:
        raise Wrong("`folder` is only for `run`")
    if entry.run and entry.settings:
        raise Wrong("`settings` are only for `check`")
    return entry


Own = Annotated[OwnEntry, AfterValidator(_one_of_both)]


class OwnSpec(Model):
    """A gate of one's own, everything resolved."""

    name: str
    run: tuple[str, ...]
    folder: str
    check: str
    settings: dict[str, Any]
    timeout: float
    """Seconds."""
    hint: str


def own_spec(name: str, entry: OwnEntry) -> OwnSpec:
    """The gate that an entry stands for."""
    return OwnSpec(name=name, **entry.model_dump())

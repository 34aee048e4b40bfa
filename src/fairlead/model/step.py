from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from fairlead.model.base import Model
from fairlead.model.command import Command

Where = Literal["before", "after", "between", "cannot_tell"]
Back = Literal["reversible", "stays", "by_data", "no"]
Phase = Literal["stage", "activate", "close"]


_TURNED = """\
case $("$@" | tail -n 1) in
before) echo after;; after) echo before;; between) echo between;; *) echo cannot_tell;;
esac
"""


def as_where(words: str) -> Where:
    """The last word of what a probe has printed; one that is none of the four is `cannot_tell`."""
    last = words.split()[-1:]
    return next((known for known in get_args(Where) if [known] == last), "cannot_tell")


def turned(probe: Command) -> Command:
    """The probe of a step that does what another one takes back."""
    return probe.model_copy(update={"argv": ("sh", "-c", _TURNED, "fairlead", *probe.argv), "several": False})


class Run(Model):
    """Run a command on the step's host."""

    kind: Literal["run"] = "run"
    command: Command

    def __str__(self) -> str:
        return str(self.command)


class Patch(Model):
    """How a folder differs from another one; relative paths of files and links, and of folders that are new."""

    sends: tuple[str, ...] = ()
    """What is other or new."""
    drops: tuple[str, ...] = ()
    """What is gone."""
    size: int = 0
    """Bytes of all that is sent."""


class Upload(Model):
    """Copy an artifact from the operator's machine to a folder on the step's host."""

    kind: Literal["upload"] = "upload"
    artifact: str
    """The artifact's tree hash: its name in the operator's artifact store."""
    to: str
    """The folder that takes the tree's content; made by the upload, absent before."""
    link_from: str = ""
    """A folder on the host, from the home, whose equal files (content, owner, mode) may be hard-linked instead of sent
    again."""
    files: int
    size: int
    """Bytes."""
    patch: Patch | None = None
    """What is sent when all else is linked from `link_from`; None = the copying finds out."""
    then: Command | None = None
    """Run on the host once all of a patch is there, in the same trip."""
    by: Literal["", "tar"] = ""
    """tar: as one stream, because the host has no rsync; empty = as the connection copies best."""

    def __str__(self) -> str:
        told = f"upload {self.files} files, {self.size} bytes -> {self.to}"
        if self.patch is not None:
            return f"{told}; sends {self.patch.size} bytes of them"
        return f"{told}, as one tar stream" if self.by == "tar" else told


Action = Annotated[Run | Upload, Field(discriminator="kind")]


class Step(Model):
    """The smallest change that can be taken back on its own.

    `probe` prints one word on its last line: before, after, between or cannot_tell. `undo` leads from all of
    before, after and between to before, and survives running twice.
    """

    id: str
    """A word of letters, digits and `._@+-`, unique in its plan, such as `api.switch`."""
    title: str
    """For people: `api: switch to 3f2a91c0b7de`."""
    host: str
    """Name of the account it runs on."""
    service: str = ""
    """The service it belongs to; steps of one service are never reordered."""
    phase: Phase
    do: Action
    probe: Command
    undo: Command | None = None
    back: Back = "reversible"
    """reversible: by `undo`; stays: harmless and kept (a backup); by_data: only by restoring data; no: never."""
    loss: Literal["end", "finish"] = "end"
    """What happens to a running change when its operator vanishes: it is ended, or may finish."""
    grace: int = 5
    """Seconds between TERM and KILL when it is ended."""
    heavy: bool = False
    """It reads or writes a whole database: of these, only some are done at once on one account."""
    leaves: bool = False
    """It starts a daemon on purpose; its probe asks the daemon."""
    fresh: float = 0.0
    """`do` runs over a new connection that is opened for it; seconds within which that must succeed, or the step has
    failed. 0 = over the one that is open."""
    shows: tuple[str, ...] = ()
    """What `do` amounts to, as commands that a person can read; `do` itself also guards and marks them."""
    shows_back: tuple[str, ...] = ()
    """The same of `undo`."""
    warns: tuple[str, ...] = ()
    """What a person must know before approving it."""

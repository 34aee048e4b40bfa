from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from fairlead.config.types import Arguments, LocalPath, SecretName, Wrong, either, enum, one_of, text
from fairlead.model import Model


class EnvironmentSource(Model):
    """The environment variables of this process."""

    kind: Literal["environment"] = "environment"


class DotenvSource(Model):
    """A file of `KEY=value` lines; never executed."""

    kind: Literal["dotenv"] = "dotenv"
    path: str


class FileSource(Model):
    """A file whose whole content is one secret."""

    kind: Literal["file"] = "file"
    name: str
    path: str


class CommandSource(Model):
    """A program that prints `KEY=value` lines."""

    kind: Literal["command"] = "command"
    argv: tuple[str, ...]


Source = Annotated[EnvironmentSource | DotenvSource | FileSource | CommandSource, Field(discriminator="kind")]
"""Where settings (only environment and dotenv) and secrets (all of them) come from."""


class FileSourceEntry(Model):
    """A secret that is a file's whole content."""

    name: SecretName
    """The name under which the rest of this file asks for it."""
    path: LocalPath
    """The file, relative to the folder of this file; `~/` is your home."""


class SourceEntry(Model):
    """One source: exactly one of these keys."""

    dotenv: LocalPath | None = None
    """A file of `KEY=value` lines, such as `.env.deployment`; read, never executed; it need not exist."""
    file: FileSourceEntry | None = None
    """One file that is one secret, such as a private key."""
    command: Arguments | None = None
    """A program that prints `KEY=value` lines, such as `[sops, -d, --output-type, dotenv, secrets.env]`."""


def _one_key(entry: SourceEntry | str) -> SourceEntry | str:
    if (
        isinstance(entry, SourceEntry)
        and sum(part is not None for part in (entry.dotenv, entry.file, entry.command)) != 1
    ):
        raise Wrong("should have exactly one of `dotenv`, `file` and `command`")
    return entry


WORDS = ("environment",)
Word = Annotated[str, BeforeValidator(text), AfterValidator(one_of(WORDS)), enum(WORDS)]
SourceChoice = Annotated[SourceEntry | str, either(SourceEntry, Word), AfterValidator(_one_key)]


def source(entry: SourceEntry | str) -> Source:
    """The source that an item of `sources` stands for."""
    if isinstance(entry, str):
        return EnvironmentSource()
    if entry.dotenv:
        return DotenvSource(path=entry.dotenv)
    if entry.file:
        return FileSource(name=entry.file.name, path=entry.file.path)
    return CommandSource(argv=entry.command or ())

"""Secrets: by name everywhere, by value only here and behind the doors that ask here."""

from __future__ import annotations

import asyncio
import base64
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, quote_plus

from fairlead.config.source import CommandSource, DotenvSource, EnvironmentSource, FileSource, Source
from fairlead.errors import NotReady
from fairlead.model import Command, SecretRef
from fairlead.outside.dotenv import parse_dotenv
from fairlead.outside.environment import environment
from fairlead.outside.program import run_program
from fairlead.outside.secret_forms import render

SHORTEST = 6
"""Shorter values are not searched for in texts: they would be found everywhere."""


class Secrets:
    """Opens secrets and settings from their sources; the first source that has a name wins, an empty value is none.

    `base` is the folder of fairlead.yml. Nothing is read before it is asked for, and each source once.
    """

    def __init__(
        self,
        sources: Sequence[Source] = (EnvironmentSource(),),
        base: Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._sources, self._base = tuple(sources), base or Path()
        self._environ = environment() if environ is None else environ
        self._read: dict[Source, Mapping[str, str]] = {}
        self._opened: dict[str, str] = {}
        self._lock = asyncio.Lock()

    def __getstate__(self) -> None:
        raise TypeError("secrets are never written down")

    async def open(self, ref: SecretRef) -> str:
        """The value. Raises NotReady when no source has it, or a source cannot be read."""
        value = await self._find(ref.name)
        if not value:
            places = ", ".join(_place(source) for source in self._sources) or "no sources are given"
            raise NotReady(f"the secret {ref.name} is missing", hint=f"looked in: {places}")
        self._opened[ref.name] = value
        return value

    async def rendered(self, ref: SecretRef) -> bytes:
        """The value as its reader wants it. Raises NotReady as `open`, and where the form cannot hold the value."""
        return render(ref, await self.open(ref))

    async def exists(self, name: str) -> bool:
        """Whether some source has it. Raises NotReady when a source cannot be read."""
        return bool(await self._find(name))

    async def stdin_of(self, command: Command) -> bytes:
        """What the command's `stdin` stands for, exactly; nothing when it has none."""
        return await self.rendered(command.stdin) if command.stdin else b""

    def settings(self) -> dict[str, str]:
        """What `${NAME}` in fairlead.yml may stand for: the environment and dotenv sources, by name."""
        found: dict[str, str] = {}
        for source in reversed(self._sources):
            if isinstance(source, EnvironmentSource | DotenvSource):
                found |= self._values(source)
        return found

    def redact(self, text: str) -> str:
        """`text` with every secret opened so far replaced by `[secret NAME]`, also where it is escaped or encoded."""
        forms = {form: name for name, value in self._opened.items() for form in _forms(value)}
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, f"[secret {forms[form]}]")
        return text

    async def _find(self, name: str) -> str:
        for source in self._sources:
            if isinstance(source, CommandSource):
                await self._run(source)
            value = self._values(source).get(name)
            if value:
                return value
        return ""

    def _values(self, source: Source) -> Mapping[str, str]:
        if source not in self._read:
            self._read[source] = self._look(source)
        return self._read[source]

    def _look(self, source: Source) -> Mapping[str, str]:
        if isinstance(source, EnvironmentSource):
            return self._environ
        if isinstance(source, DotenvSource):
            return parse_dotenv(self._text(source.path))
        if isinstance(source, FileSource):
            return {source.name: self._text(source.path).rstrip("\n")}
        raise AssertionError("a command was run before it is looked at")

    def _text(self, path: str) -> str:
        place = self._base / Path(path).expanduser()
        try:
            return place.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise NotReady(f"the source {place} cannot be read: {why}") from None

    async def _run(self, source: CommandSource) -> None:
        async with self._lock:
            if source in self._read:
                return
            result = await run_program(source.argv, folder=self._base.absolute(), env=self._environ)
            if not result.ok:  # its words may hold a secret, so they are not repeated
                raise NotReady(
                    f"the source `{shlex.join(source.argv)}` ended with code {result.code}",
                    hint="run it by hand to see why",
                )
            self._read[source] = parse_dotenv(result.stdout)


def _place(source: Source) -> str:
    if isinstance(source, EnvironmentSource):
        return "the environment"
    if isinstance(source, CommandSource):
        return f"`{shlex.join(source.argv)}`"
    return source.path


def _forms(value: str) -> set[str]:
    lines = [line.strip() for line in value.splitlines() if "-----" not in line]  # a key may be printed line by line
    texts = {value, value.strip(), *lines}
    forms = {form for text in texts for form in _escaped(text)}
    return {form for form in forms if len(form) >= SHORTEST}


def _escaped(text: str) -> set[str]:
    if len(text) < SHORTEST:
        return set()
    raw = text.encode()
    return {
        text,
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        base64.b64encode(raw + b"\n").decode().rstrip("="),
        quote(text, safe=""),
        quote(text),
        quote_plus(text),
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        shlex.quote(text).strip("'"),
    }

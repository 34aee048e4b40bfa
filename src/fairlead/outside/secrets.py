"""Secrets: by name everywhere, by value only here and behind the doors that ask here."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
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
        self._names: frozenset[str] = frozenset()
        self._forms: dict[tuple[str, str], set[str]] = {}
        self._lock = asyncio.Lock()

    def __getstate__(self) -> None:
        raise TypeError("secrets are never written down")

    def guard(self, names: Collection[str]) -> None:
        """These names are secrets, also while nobody has opened them: no program gets them, and no text keeps them."""
        self._names = frozenset(names)

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
        refs = (command.stdin,) if isinstance(command.stdin, SecretRef) else command.stdin or ()
        return b"".join([await self.rendered(ref) for ref in refs])

    def settings(self) -> dict[str, str]:
        """What `${NAME}` in fairlead.yml may stand for: the environment and dotenv sources, by name."""
        found: dict[str, str] = {}
        for source in reversed(self._sources):
            if isinstance(source, EnvironmentSource | DotenvSource):
                found |= self._values(source)
        return found

    def redact(self, text: str) -> str:
        """`text` with every secret replaced by `[secret NAME]`, also where it is escaped or encoded.

        A secret that is only known to a program that was never asked is not known here either.
        """
        for form, name in self._known_forms():
            text = text.replace(form, f"[secret {name}]")
        return text

    def _known_forms(self) -> list[tuple[str, str]]:
        """Everything that gives a known secret away, and its name; the longest first."""
        for known in {*self._known(), *self._opened.items()} - self._forms.keys():
            self._forms[known] = _forms(known[1])
        forms = {form: name for (name, _), several in self._forms.items() for form in several}
        return sorted(forms.items(), key=lambda item: len(item[0]), reverse=True)

    def _known(self) -> Iterator[tuple[str, str]]:
        for source in self._sources:
            if not isinstance(source, CommandSource) or source in self._read:
                with suppress(NotReady):
                    values = self._values(source)
                    yield from ((name, values[name]) for name in self._names if values.get(name))

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
            env = {name: value for name, value in self._environ.items() if name not in self._names}
            result = await run_program(source.argv, folder=self._base.absolute(), env=env)
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
    texts = {value, value.strip(), " ".join(value.split()), *lines}
    forms = {form for text in texts if len(text) >= SHORTEST for form in (*_escaped(text), *_encoded(text))}
    return {form for form in forms if len(form) >= SHORTEST}


def _escaped(text: str) -> Iterator[str]:
    plain = (text, text.lower(), html.escape(text), shlex.quote(text).strip("'"))  # a content type is in small letters
    yield re.sub(r'(["\\$`])', r"\\\1", text)  # in double quotes, as a dotenv file has it
    in_urls = (quote(text, safe=""), quote(text), quote_plus(text))
    in_json = (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    yield from plain
    yield from in_urls
    yield from (form.lower() for form in in_urls)
    yield from in_json
    yield from (form.replace("/", "\\/") for form in in_json)  # as PHP writes it


def _encoded(text: str) -> Iterator[str]:
    """Hexadecimal digits and base64, also inside something longer: three ways to cut the same bytes."""
    raw = text.encode("utf-8", "surrogateescape")
    yield raw.hex()
    for shift in range(3):
        digits = base64.b64encode(b"\0" * shift + raw).decode()
        inner = digits[(0, 2, 3)[shift] : (shift + len(raw)) * 8 // 6]
        yield from (inner, inner.replace("+", "-").replace("/", "_"))

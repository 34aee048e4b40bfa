"""Logins for the commands of a migration: a file that only they can read, gone when they have ended.

Its name is in FAIRLEAD_DATABASES. It holds a JSON object: by database, `engine`, `address`, `port`, `tls`, `database`,
`user`, `password` and `url`, or for SQLite `engine` and `path`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fairlead.config.database import Login
from fairlead.model import SecretRef, canonical

# $1 the folder, $2 the commands, then pieces of the file: between two of them comes a line of standard input.
GIVEN = """\
commands=$2; shift 2
where=/dev/shm; [ -d "$where" ] && [ -w "$where" ] || where=${TMPDIR:-/tmp}
usual=$(umask); umask 077
made=$(mktemp -d "$where/fairlead-XXXXXXXXXX") || exit 1
trap 'rm -rf -- "$made"' EXIT
trap 'exit 143' HUP INT TERM
for piece do printf '%s' "$piece"; IFS= read -r word && printf '%s' "$word"; done >"$made/databases.json"
umask "$usual"
FAIRLEAD_DATABASES=$made/databases.json sh -c "$commands" </dev/null
"""
"""A part of a shell script. In memory where there is a place for that, so that no disk ever has it."""

_SCHEMES = {"mariadb": "mysql", "postgres": "postgresql"}
_SSL_MODE = {"off": "disable", "required": "require", "verify": "verify-full"}
_SECRET = re.compile(r'"<password (?P<plain>[a-z0-9_-]+)>"|<password in the url of (?P<url>[a-z0-9_-]+)>')


def written(several: Iterable[Login]) -> tuple[tuple[str, ...], tuple[SecretRef, ...]]:
    """The file in pieces, and the secrets that stand between them; nothing where there are no logins."""
    by_name = {one.name: one for one in several}
    if not by_name:
        return (), ()
    text = canonical({name: _entry(one) for name, one in by_name.items()})
    found = list(_SECRET.finditer(text))
    ends = [0, *(one.end() for one in found)]
    starts = [*(one.start() for one in found), len(text)]
    pieces = tuple(text[end:start] for end, start in zip(ends, starts, strict=True))
    return pieces, tuple(_ref(by_name, one) for one in found)


def shown(several: Iterable[Login]) -> tuple[str, ...]:
    """What a person sees of it."""
    told = ", ".join(f"{one.name} as {one.user or 'a file'}" for one in several)
    return (f"FAIRLEAD_DATABASES=(a file with the logins: {told})",) if told else ()


def _entry(one: Login) -> dict[str, object]:
    if one.path:
        return {"engine": one.engine, "path": one.path}
    words = one.model_dump(include={"engine", "address", "port", "tls", "database", "user"})
    if one.password is None:
        return words
    host = f"[{one.address}]" if ":" in one.address else one.address
    tail = f"?sslmode={_SSL_MODE[one.tls]}" if one.engine == "postgres" else ""
    login = f"{one.user}:<password in the url of {one.name}>@{host}:{one.port}"
    url = f"{_SCHEMES[one.engine]}://{login}/{one.database}{tail}"
    return {**words, "password": f"<password {one.name}>", "url": url}


def _ref(by_name: dict[str, Login], found: re.Match[str]) -> SecretRef:
    ref = by_name[found["plain"] or found["url"]].password
    assert ref is not None  # noqa: S101 - only logins with a password have a place for one
    return SecretRef(name=ref.name, form="json" if found["plain"] else "url")

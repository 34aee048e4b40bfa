"""How a secret is written for the program that reads it on standard input: the one place that quotes for them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote

from fairlead.errors import NotReady
from fairlead.model import SecretRef


def render(ref: SecretRef, value: str) -> bytes:
    """The value in the reference's form. Raises NotReady where that form cannot hold it."""
    return _FORMS[ref.form](ref.name, value)


def _plain(name: str, value: str) -> bytes:
    return value.encode()


def _pgpass(name: str, value: str) -> bytes:
    """One line of a password file of PostgreSQL, for any server, database and user."""
    if any(sign in value for sign in "\n\r\0"):
        raise NotReady(
            f"the secret {name} holds a line break, and a password file of PostgreSQL cannot",
            hint="give the account a password without one",
        )
    return b"*:*:*:*:" + value.replace("\\", "\\\\").replace(":", "\\:").encode() + b"\n"


def _mariadb(name: str, value: str) -> bytes:
    """One line of an option file of MariaDB, in quotes: whatever the password holds, no other option begins in it."""
    if "\0" in value:
        raise NotReady(
            f"the secret {name} holds a NUL byte, and no option file can", hint="give the account another one"
        )
    for sign, written in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        value = value.replace(sign, written)
    return f'password="{value}"\n'.encode()


def _mariadb_hash(name: str, value: str) -> bytes:
    """What MariaDB keeps of a password (mysql_native_password): who sets it there need not be told the password."""
    once = hashlib.sha1(value.encode()).digest()  # noqa: S324 - the server's own algorithm
    return f"*{hashlib.sha1(once).hexdigest().upper()}\n".encode()  # noqa: S324


def _json(name: str, value: str) -> bytes:
    """A JSON string on a line of its own."""
    return f"{json.dumps(value)}\n".encode()


def _url(name: str, value: str) -> bytes:
    """As it stands in a URL, on a line of its own."""
    return f"{quote(value, safe='')}\n".encode()


def _age(name: str, value: str) -> bytes:
    """The one line of an identity file of age that is not a comment."""
    lines = [line.strip() for line in value.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) != 1 or not re.fullmatch(r"AGE-SECRET-KEY-1[0-9A-Z]{58}", lines[0]):
        raise NotReady(
            f"the secret {name} is no identity of age",
            hint="it is one line, AGE-SECRET-KEY-1...; `fairlead init --backup-key` makes one",
        )
    return lines[0].encode() + b"\n"


_FORMS: Mapping[str, Callable[[str, str], bytes]] = {
    "plain": _plain,
    "pgpass": _pgpass,
    "mariadb": _mariadb,
    "mariadb_hash": _mariadb_hash,
    "json": _json,
    "url": _url,
    "age": _age,
}

"""Checks as data: what a plan carries so that the same look can be taken later, from another machine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from fairlead.model.base import Model
from fairlead.model.command import Command, SecretRef


class HttpCheck(Model):
    """One HTTP request from the operator's machine and what the answer must be."""

    kind: Literal["http"] = "http"
    check: Literal["http", "identity"] = "http"
    subject: str
    url: str
    method: Literal["GET", "HEAD"] = "GET"
    status: tuple[int, ...] = (200,)
    content_type: str = ""
    """The answer's media type must begin with this; empty = any."""
    contains: str = ""
    """A text that the body must contain; empty = any."""
    fields: dict[str, JsonValue] = {}
    """Dotted paths into a JSON body and the values they must have."""
    headers: dict[str, str | SecretRef] = {}
    timeout: float = 5.0
    """Seconds."""
    slow_ms: float = 0.0
    """Slower than this is a warning; 0 = never."""


class TreeCheck(Model):
    """A release folder on a host must still have the content that its name promises."""

    kind: Literal["tree"] = "tree"
    subject: str
    host: str
    path: str
    tree: str
    """The expected hash, as `model.tree` defines it."""


class CommandCheck(Model):
    """A command on a host that changes nothing and exits 0 when all is well."""

    kind: Literal["command"] = "command"
    subject: str
    host: str
    command: Command


class DatabaseCheck(Model):
    """A database must answer the account of its service, asked on the host that reaches it."""

    kind: Literal["database"] = "database"
    subject: str
    """Its name in fairlead.yml."""
    engine: str
    host: str
    database: str = ""
    """Name on the server; empty for a file."""
    user: str = ""
    password: SecretRef | None = None
    path: str = ""
    address: str = ""
    port: int | None = None
    tls: Literal["off", "required", "verify"] = "off"


class PortCheck(Model):
    """A TCP port of a machine must be reached from a host, or must not."""

    kind: Literal["port"] = "port"
    subject: str
    """From where, as people call it."""
    host: str = ""
    """From where; empty = from the operator's machine."""
    address: str
    port: int
    open: bool
    """Whether a connection must succeed."""


Check = Annotated[HttpCheck | TreeCheck | CommandCheck | DatabaseCheck | PortCheck, Field(discriminator="kind")]

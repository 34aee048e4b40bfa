"""The kinds of values that keys take: each refuses what could hurt, in a sentence that never repeats the value."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    GetPydanticSchema,
    JsonValue,
    Tag,
    WithJsonSchema,
)

from fairlead.config.problems import closest
from fairlead.config.scalars import Decimal, Filled, Whole, bare

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)?")
_SECRET_LENGTH = 80
NO_SETTING = "name, never a setting"
"""Marks in the JSON Schema what may never be a setting."""
NAME = r"[a-z][a-z0-9_-]{0,40}"
VARIABLE = r"[A-Za-z_][A-Za-z0-9_.-]*"


class Wrong(ValueError):
    """A value that is refused, with the next thing to type."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


def text(value: Any) -> Any:
    """Numbers count as text where text is wanted, as they were written."""
    if isinstance(value, Whole | Decimal):
        return value.text
    return str(value) if isinstance(value, str) else value


def _line(value: str) -> str:
    if _CONTROL.search(value):
        raise Wrong("should have no line breaks and no control characters")
    if not value.strip():
        raise Wrong("should not be empty", "give a value or leave the key out")
    return value


def _argument(value: str) -> str:
    if re.search("[\x00-\x08\x0b-\x1f\x7f]|[\ud800-\udfff]", value):
        raise Wrong("should have no control characters")
    return value


def matching(pattern: str, what: str, hint: str = "") -> Callable[[str], str]:
    """A validator: the whole text is of this form."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise Wrong(what, hint)
        return value

    return check


def no_option(value: str) -> str:
    """A validator: no program can take it for an option."""
    if value.startswith("-"):
        raise Wrong("should not begin with `-`: a program would take it for an option")
    return value


def _remote_path(value: str) -> str:
    if ".." in value.split("/"):
        raise Wrong("should not contain `..`")
    if value.startswith("~"):
        raise Wrong("should not begin with `~`", "leave `~/` out: a relative path begins at the login's home")
    path = posixpath.normpath(value)
    if path.strip("/") in ("", "."):
        raise Wrong("should be a folder or file of its own, not the root or the home")
    return "/" + path.lstrip("/") if path.startswith("/") else path


def _inner_path(value: str) -> str:
    if value.startswith("/"):
        raise Wrong("should be relative to the release's folder")
    return _remote_path(value)


def _shared_path(value: str) -> str:
    return _inner_path(value) + ("/" if value.endswith("/") else "")


def _client(value: str) -> str:
    if value == "localhost":
        return value
    try:
        return str(ip_address(value))
    except ValueError:
        raise Wrong("should be an IP address or `localhost`", "such as 203.0.113.10") from None


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        port_is_readable = parts.port is None or parts.port > 0
    except ValueError:
        raise Wrong("should be a URL such as https://www.example.org") from None
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or not port_is_readable
        or re.search(r"[\s\\]", value)
    ):
        raise Wrong("should be a URL such as https://www.example.org")
    if "@" in parts.netloc:
        raise Wrong("should hold no user and no password", "send a secret in a header of the health check")
    if parts.query or parts.fragment or "?" in value or "#" in value:
        raise Wrong("should end before `?` and `#`", "put the rest into the path of a health check")
    return value.rstrip("/")


def _secret(value: Any) -> Any:
    if isinstance(value, Filled):
        raise Wrong("a secret is given by its name, never through a setting", "write the name without `${...}`")
    return text(value)


def _secret_name(value: str) -> str:
    if not re.fullmatch(VARIABLE, re.sub(r"\{(name|NAME)\}", "x", value)) or len(value) > _SECRET_LENGTH:
        raise Wrong(
            "should be the name of a secret, not a secret itself",
            "give a name such as DEPLOY_KEY, and its value in one of `sources`",
        )
    return value


def _plain_secret_name(value: str) -> str:
    if "{" in value:
        raise Wrong("patterns such as {name} are not known here")
    return _secret_name(value)


def _seconds(value: Any) -> float:
    given = text(value)
    found = _DURATION.fullmatch(given) if isinstance(given, str) else None
    if isinstance(value, float | int) and not isinstance(value, bool) and found is None:
        found = _DURATION.fullmatch(f"{value:f}")
    if found is None:
        raise Wrong("should be a duration", "such as 30s, 5m, 24h, 250ms")
    seconds = float(found[1]) * _UNITS[found[2] or "s"]
    if seconds > 366 * _UNITS["d"]:
        raise Wrong("should be at most a year")
    return seconds


def _recipient(value: str) -> str:
    from pyrage import (
        RecipientError,
        x25519,
    )  # only the files that encrypt need it, and the command line starts quickly

    try:
        return str(x25519.Recipient.from_str(value)) if value else ""
    except RecipientError:
        raise Wrong("should be a public key of age, `age1...`", "`fairlead init --backup-key` makes one") from None


def _positive(value: float) -> float:
    if value <= 0:
        raise Wrong("should be more than 0")
    return value


def _share(value: Any) -> float:
    given = text(value)
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)(%?)", str(given)) if not isinstance(given, bool) else None
    share = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0 <= share <= 1:
        raise Wrong("should be a share", "such as 5% or 0.05")
    return share


def _nothing(value: Any) -> Any:
    return {} if value is None else value


def bare_name(kind: Any) -> BeforeValidator:
    """A name alone, with nothing behind its colon, stands for a mapping without keys."""
    return BeforeValidator(_nothing, json_schema_input_type=kind | None)


def placeholders(*known: str) -> Callable[[str], str]:
    """A validator: `{...}` in the text may only be one of these words."""

    def check(value: str) -> str:
        for word in re.findall(r"\{([A-Za-z_]*)\}", value):
            if word not in known:
                allowed = ", ".join(f"{{{name}}}" for name in known)
                raise Wrong("names something in {...} that is not known here", f"known are {allowed}")
        return value

    return check


def one_of(words: Iterable[str]) -> Callable[[str], str]:
    """A validator: one of the words of a table, so that a new word is one row there."""
    known = tuple(words)

    def check(value: str) -> str:
        if value not in known:
            raise Wrong(f"should be {choice(known)}", closest(value, known))
        return value

    return check


def enum(words: Iterable[str]) -> WithJsonSchema:
    """The JSON Schema that goes with `one_of`."""
    return WithJsonSchema({"type": "string", "enum": list(words)})


def choice(words: tuple[str, ...]) -> str:
    """Words as a sentence offers them: `a`, `b` or `c`."""
    quoted = [f"`{word}`" for word in words]
    return " or ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))


def either(keys: Any, other: Any) -> Any:
    """A value of one kind where a mapping is written, of the other kind where anything else is."""
    kinds = Annotated[Annotated[keys, Tag("<keys>")] | Annotated[other, Tag("<other>")], Discriminator(_shape)]
    return GetPydanticSchema(lambda _, handler: handler(kinds))


def listed_or(word: Any, item: Any) -> Any:
    """A word, or a list of items."""
    kinds = Annotated[Annotated[tuple[item, ...], Tag("<list>")] | Annotated[word, Tag("<word>")], Discriminator(_list)]
    return GetPydanticSchema(lambda _, handler: handler(kinds))


def _list(value: Any) -> str:
    return "<list>" if isinstance(value, list | tuple) else "<word>"


def _shape(value: Any) -> str:
    return "<keys>" if isinstance(value, dict) or hasattr(value, "model_fields_set") else "<other>"


def _one_or_many(value: Any) -> str:
    return "<many>" if isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple) else "<one>"


def _many(value: Any) -> Any:
    return value if value and isinstance(value[0], tuple) else (value,)


def some(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """A validator: a list that is not empty."""
    if not value:
        raise Wrong("should not be empty", "give a value or leave the key out")
    return value


def _program(value: tuple[str, ...]) -> tuple[str, ...]:
    if not some(value)[0].strip() or value[0].startswith("-"):
        raise Wrong("should begin with a program")
    return value


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


_TEXT = {"type": ["string", "number"]}

Text = Annotated[str, BeforeValidator(text), AfterValidator(_argument), WithJsonSchema(_TEXT)]
"""Any text, also of several lines."""
Line = Annotated[str, BeforeValidator(text), AfterValidator(_line), WithJsonSchema(_TEXT)]
"""Text of one line, not empty."""
Name = Annotated[
    str,
    BeforeValidator(text),
    AfterValidator(matching(NAME, "should be a name", "small letters, digits, `-` and `_`, beginning with a letter")),
    WithJsonSchema({"type": "string", "pattern": f"^{NAME}$"}),
]
Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
HttpStatus = Annotated[int, Field(strict=True, ge=100, le=599)]
Seconds = Annotated[float, BeforeValidator(_seconds), WithJsonSchema(_TEXT)]
MoreSeconds = Annotated[Seconds, AfterValidator(_positive)]
Positive = Annotated[float, Field(strict=True), AfterValidator(_positive)]
Share = Annotated[float, BeforeValidator(_share), WithJsonSchema(_TEXT)]
Address = Annotated[
    Line,
    AfterValidator(no_option),
    AfterValidator(matching(r"[A-Za-z0-9_.:%\[\]-]{1,253}", "should be a host name or an address")),
]
ClientAddress = Annotated[Line, AfterValidator(_client)]
"""An address that a server sees its clients come from."""
User = Annotated[
    Line,
    AfterValidator(no_option),
    AfterValidator(matching(r"[A-Za-z0-9_.@\\+$-]{1,80}", "should be the name of a user")),
]
Identifier = Annotated[
    Line,
    AfterValidator(no_option),
    AfterValidator(matching(r"[A-Za-z0-9_.${}-]{1,80}", "should be letters, digits, `_`, `-`, `.` and `{name}`")),
    AfterValidator(placeholders("name", "NAME")),
]
"""A naming pattern for a database or its user."""
Word = Annotated[Line, AfterValidator(matching(r"[A-Za-z_][A-Za-z0-9_-]{0,62}", "should be one word"))]
GRANTABLE = (
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "ALTER",
    "INDEX",
    "REFERENCES",
    "CREATE TEMPORARY TABLES",
    "LOCK TABLES",
    "CREATE VIEW",
    "SHOW VIEW",
    "TRIGGER",
    "EVENT",
    "EXECUTE",
    "CREATE ROUTINE",
    "ALTER ROUTINE",
    "DELETE HISTORY",
)
"""Privileges that MariaDB gives in one database; to give on what one has is none of them."""
Privilege = Annotated[str, BeforeValidator(text), AfterValidator(one_of(GRANTABLE)), enum(GRANTABLE)]
Owner = Annotated[
    Line,
    AfterValidator(no_option),
    AfterValidator(matching(r"[A-Za-z0-9_.$-]{1,64}(:[A-Za-z0-9_.$-]{1,64})?", "should be `user` or `user:group`")),
]
Unit = Annotated[
    Line,
    AfterValidator(no_option),
    AfterValidator(matching(r"[A-Za-z0-9_.:@\\-]{1,250}", "should be the name of a systemd unit")),
]
Recipient = Annotated[
    str, BeforeValidator(text), AfterValidator(_recipient), WithJsonSchema({"type": "string", "pattern": "^(age1.*)?$"})
]
"""A public key of age; empty = it is not made yet."""
LocalPath = Annotated[Line, AfterValidator(no_option)]
"""On the operator's machine; relative to the folder of fairlead.yml, `~/` is the operator's home."""
RemotePath = Annotated[Line, AfterValidator(no_option), AfterValidator(_remote_path)]
"""On a host; relative to the login's home, or absolute."""
PathPattern = Annotated[RemotePath, AfterValidator(placeholders("name", "NAME"))]
InnerPath = Annotated[Line, AfterValidator(no_option), AfterValidator(_inner_path)]
"""Inside a release."""
SharedPath = Annotated[Line, AfterValidator(no_option), AfterValidator(_shared_path)]
"""Inside a release; a slash at its end says that it is a folder."""
Url = Annotated[Line, AfterValidator(_url)]
UrlPath = Annotated[Line, AfterValidator(matching(r"/[^\s#\\]*", "should be a path that begins with `/`"))]
HeaderName = Annotated[Line, AfterValidator(matching(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", "should be the name of a header"))]
SecretName = Annotated[
    str,
    BeforeValidator(_secret),
    AfterValidator(_plain_secret_name),
    WithJsonSchema({"type": "string", "pattern": f"^{VARIABLE}$", "format": NO_SETTING}),
]
SecretPattern = Annotated[
    str,
    BeforeValidator(_secret),
    AfterValidator(_secret_name),
    AfterValidator(placeholders("name", "NAME")),
    WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z0-9_.{}-]+$", "format": NO_SETTING}),
]
Json = Annotated[JsonValue, BeforeValidator(bare)]
Arguments = Annotated[tuple[Text, ...], AfterValidator(_program), Field(json_schema_extra={"minItems": 1})]
"""One command: a program and its arguments."""
Commands = Annotated[
    tuple[tuple[str, ...], ...],
    GetPydanticSchema(
        lambda _, handler: handler(
            Annotated[
                Annotated[Arguments, Tag("<one>")] | Annotated[tuple[Arguments, ...], Tag("<many>")],
                Discriminator(_one_or_many),
            ]
        )
    ),
    AfterValidator(_many),
]
"""One command, or a list of commands that run one after the other until one fails."""
Statuses = Annotated[
    tuple[HttpStatus, ...],
    AfterValidator(some),
    BeforeValidator(_listed, json_schema_input_type=HttpStatus | tuple[HttpStatus, ...]),
]

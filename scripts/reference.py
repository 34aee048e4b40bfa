"""Write docs/reference.md from the commands, the words of fairlead.yml and the words of JSON; --check only compares.

What a command or key means is said once, at the command or the key. Only what no code says stands here: what each exit
code of a command means, and what its JSON document holds.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import fairlead.errors
from fairlead.app import Announced, Status
from fairlead.config.file import File
from fairlead.config.service import PlacedEntry, ServiceEntry
from fairlead.model import Backup, Beside, Deployment, Drill, Finding, GateAnswer, Ledger, Plan, Report, WayBackTime
from fairlead.model.base import meanings
from fairlead.surfaces.cli import COMMANDS, load, main

OUT = Path(__file__).parents[1] / "docs" / "reference.md"
WIDTH = 100


class About(NamedTuple):
    """What is not said at the command itself."""

    exits: dict[int, str]
    json: str = ""
    """Its document with --json; empty where it has none."""


FINDINGS = "`ok` (true or false), `findings` (list of [Finding](#finding))"
ENDED = "`deployment` ([Deployment](#deployment), or null when there was nothing to do)"
CHANGED = {
    0: "done, or nothing to do",
    3: "failed, and everything is back as it was",
    4: "a human is needed: the run stays open",
    5: "refused: not approved, locked, an open run, or the ground has moved",
}
COMMON = {1: "not known: a host did not answer", 2: "the call or fairlead.yml is wrong"}
LOOKED = {0: "yes", 1: "no, or not known", 2: COMMON[2]}

ABOUT = {
    "init": About({0: "written", 2: "the file exists already, or cannot be written"}),
    "status": About({**LOOKED, 0: "nothing that was looked at says no"}, "a [Status](#status)"),
    "ready": About(
        {**LOOKED, 0: "all gates are open", 1: "blocked: a gate says no, or could not say yes"},
        "`ok` (true or false), `gates` (list of [GateAnswer](#gateanswer)), `findings` (all that they saw), "
        "`commit` (of which they were asked; may be empty), `evidence` (hash under which it is kept)",
    ),
    "plan": About(
        {0: "planned", **COMMON},
        "`hash` (what gets approved), `plan` ([Plan](#plan)), `way_back` ([WayBackTime](#waybacktime))",
    ),
    "deploy": About({1: "not ready, nothing was changed", 2: COMMON[2], **CHANGED}, ENDED),
    "announce": About(
        {**COMMON, 0: "told", 1: "there is no window, nobody to tell, or it waits to be sent"},
        "an [Announced](#announced)",
    ),
    "adopt": About(
        {**COMMON, **CHANGED, 0: "adopted, or with --out the plan is written", 1: "there is nothing to adopt"},
        f"{ENDED}; with --out as `plan`",
    ),
    "rollback": About({**COMMON, **CHANGED, 0: "went back"}, ENDED),
    "resume": About({**COMMON, **CHANGED, 0: "finished, or nothing is open"}, ENDED),
    "close": About({0: "closed, or nothing is open", **COMMON, 5: "refused: its holder is alive"}, ENDED),
    "health": About({**LOOKED, 0: "no alerts", 1: "an alert"}, FINDINGS),
    "history": About({0: "told", **COMMON}, "`deployments` (list of [Deployment](#deployment), newest first)"),
    "show": About({0: "told", **COMMON}, "a [Report](#report)"),
    "report": About({0: "written", **COMMON}, "`report`, `post_mortem` (files; the latter may be null), `run`"),
    "db check": About(LOOKED, "`reachable`, `total` (numbers), `findings` (list of [Finding](#finding))"),
    "db backup": About(
        {0: "every copy is made and proven", 1: "at least one is not", 2: COMMON[2]},
        "`made`, `total` (numbers), `findings` (list of [Finding](#finding))",
    ),
    "db backups": About({0: "told", **COMMON}, "`backups` (list of [Backup](#backup))"),
    "db drill": About({0: "all passed", 1: "one did not", **COMMON}, "`ok`, `drills` (list of [Drill](#drill))"),
    "db restore": About(
        {**CHANGED, 0: "restored and proven", 1: "not restored; nothing is left behind", 2: COMMON[2]},
        "`deployment` ([Deployment](#deployment)), `kept` (label by database), `ledgers` (list of [Ledger](#ledger)); "
        "with --into `ok`, `finding` ([Finding](#finding))",
    ),
    "db provision": About(
        {
            **CHANGED,
            0: "everything is as fairlead.yml says",
            1: "not everything is, or a server could not be asked; with --sql nothing was made",
            2: COMMON[2],
        },
        "`changes` (number), `deployment` ([Deployment](#deployment), or null), `hash`, `plan` ([Plan](#plan)), "
        "`findings` (list of [Finding](#finding)), `databases` (by group: how many are as they are to be, and all); "
        "with --sql `sql` (by group: list of statements)",
    ),
    "db firewall": About(
        {
            **CHANGED,
            0: "only clients reach the ports",
            1: "nothing was changed: not ready, or a side sees it otherwise",
            2: COMMON[2],
        },
        "`deployment` ([Deployment](#deployment)), `kept` and `ledgers` (empty); with nothing to do `changes` (0), "
        "`findings` (list of [Finding](#finding)), `remarks`; with --plan `hash`, `plan` and `way_back`, as for `plan`",
    ),
    "db ledger": About({0: "told", **COMMON}, "`ledgers` (list of [Ledger](#ledger))"),
    "db kept": About({0: "told", **COMMON}, "`beside` (list of [Beside](#beside), each also with `until`, a day)"),
    "db prune": About(
        {**CHANGED, 0: "dropped, or nothing to drop", 1: "some of it is still there", 2: COMMON[2]}, ENDED
    ),
    "lock show": About(
        {0: "told", **COMMON},
        "`token`, `status` (`held` or `free`), `run` (`-` = none is open), `who`, `lease_end` and `now` "
        "(unix time by the lock host's clock)",
    ),
    "lock release": About(
        {0: "the lock is free", **COMMON, 5: "refused: its holder is alive"}, "`released`, `run` (`-` = none is open)"
    ),
    "doctor": About({0: "this machine is fit", 1: "a tool is missing"}, FINDINGS),
    "schema": About({0: "printed"}),
    "demo": About(
        {0: "the story went as it is told", 1: "it did not; what was wrong is said"},
        "`acts` (`name`, `exit`, `seconds`), `services` (`name`, `version`, `identity_proven`, `ms`), `databases` "
        "(`reachable`, `total`), `rows_lost`, `downtime_ms` by service, `post_mortem` and `report` (files), `seconds`",
    ),
}

KINDS = {
    "str": "text",
    "int": "number",
    "Name": "name",
    "Line": "text",
    "Text": "text",
    "Flag": "true or false",
    "Count": "number, at least 1",
    "Port": "port",
    "Seconds": "duration",
    "MoreSeconds": "duration",
    "WholeSeconds": "duration",
    "Share": "share",
    "Positive": "number, above 0",
    "GateWord": "word",
    "AnnounceWord": "word",
    "Api": "URL",
    "Repository": "`owner/name`",
    "GitRef": "text",
    "Format": "word",
    "Zone": "time zone",
    "Cron": "cron expression",
    "Moment": "date, or date and time",
    "Own": "keys",
    "Span": "keys",
    "Region": "country, two letters",
    "IpPolicy": "`off`, `count`, `fail`",
    "Severity": "word",
    "Percent": "number, 0 to 100",
    "ExitCode": "exit code",
    "Address": "host name or address",
    "ClientAddress": "IP address or `localhost`",
    "User": "name of an account",
    "Identifier": "text, `{name}` in it",
    "PathPattern": "path on the host, `{name}` in it",
    "Owner": "`user` or `user:group`",
    "Unit": "systemd unit",
    "LocalPath": "path on your machine",
    "RemotePath": "path on the host",
    "InnerPath": "path in the release",
    "Url": "URL",
    "UrlPath": "path of a URL",
    "HeaderName": "header",
    "SecretName": "name of a secret",
    "Recipient": "public key of age",
    "SecretPattern": "name of a secret, `{NAME}` in it",
    "Json": "any value",
    "Arguments": "command",
    "Command": "command",
    "Commands": "command, or list of commands",
    "Statuses": "status, or list of them",
    "HeaderValue": "text, or `{secret: NAME}`",
    "EngineName": "word",
    "Privilege": "privilege",
    "Word": "word",
    "MigrateAs": "`service`, `maintenance`",
    "MadeBy": "`fairlead`, `panel`",
    "Preset": "word",
    "SwitchWord": "word",
    "SharedWord": "word",
    "StrategyName": "word",
    "Tls": "word",
    "TakenBack": "`all`, `migrated`, `none`",
    "OnNewRows": "`keep_and_restore`, `stop_and_ask`",
    "ReplacedAt": "`beside`, `in_place`",
    "SourceChoice": "`environment`, or one of these keys",
}
"""How the reference names the types of `config/types.py`. A type that is missing here is an error."""


def reference() -> str:
    """The whole page."""
    parts = [HEAD, *commands(), FILE_HEAD, *keys(), JSON_HEAD]
    parts += words(
        Finding, GateAnswer, Status, Announced, Deployment, Plan, WayBackTime, Report, Backup, Beside, Drill, Ledger
    )
    return "\n".join(part.strip("\n") + "\n" for part in parts)


HEAD = """# Reference

<!-- Written by `make docs` from the commands and the schema; do not edit. -->

[Commands](#commands) · [fairlead.yml](#fairleadyml) · [JSON](#json)

## Commands

Data goes to standard output, progress and messages to standard error. With `--json` standard output is exactly one JSON
document, also when the command fails: then it is `error`, `hint`, `exit` and `kind`, the name in the tree below.

`-e` may be left out where the file has one environment. `--yes` counts for a plan that a person has seen
(`--plan FILE`), and where the environment says `unattended: allow`; elsewhere it is refused.

| exit | meaning |
|---|---|
| 0 | yes, done |
| 1 | no: not ready, unhealthy, a check failed or could not be made |
| 2 | the call or fairlead.yml is wrong |
| 3 | failed, and everything is proven to be back as it was |
| 4 | a human is needed: going on or back would make it worse, or could not be proven |
| 5 | refused: locked, an open run, not approved, the ground has moved |
| 130 | stopped by Ctrl-C before anything was changed |

```text
ERRORS
```
""".replace("ERRORS", inspect.cleandoc(fairlead.errors.__doc__ or "").split("\n\n")[1].strip("\n"))

FILE_HEAD = """## fairlead.yml

`fairlead init --example plesk` writes a whole installation with a word on every key; `fairlead schema` prints the JSON
Schema for editors. Unknown keys are errors. A name is small letters, digits, `-` and `_`, and begins with a letter. A
duration is `250ms`, `30s`, `5m`, `24h`, `7d`, or a number of seconds. A share is `5%` or `0.05`. A command is a list of
arguments and never goes through a shell. `${NAME}` and `${NAME:-default}` may stand for any value except the name of a
secret; `$${` is a literal `${`. A path on a host is absolute, or begins at the login's home. Keys in **bold**
are needed.
"""

JSON_HEAD = """## JSON

The words that the documents above are made of. Keys may be added; none changes its meaning. Times are unix
times in seconds.
"""


def commands() -> Iterator[str]:
    """A part for each command that does something."""
    known = dict(_leaves())
    if set(known) != set(ABOUT):
        raise SystemExit(f"scripts/reference.py: ABOUT and the commands differ in {sorted(set(known) ^ set(ABOUT))}")
    root = click.Context(main, info_name="fairlead", help_option_names=main.context_settings["help_option_names"])
    yield "```text\n" + "\n".join(f"fairlead {name:<10} {lazy.help}" for name, lazy in COMMANDS.items()) + "\n```"
    for name, command in known.items():
        context = click.Context(command, info_name=name, parent=root, terminal_width=WIDTH, max_content_width=WIDTH)
        about = ABOUT[name]
        exits = "; ".join(f"{code} {meaning}" for code, meaning in sorted(about.exits.items()))
        json = f"\n\nJSON: {about.json}." if about.json else ""
        yield f"### fairlead {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n\nExit: {exits}.{json}"


def _leaves() -> Iterator[tuple[str, click.Command]]:
    for name in COMMANDS:
        command = load(name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", command.commands[inner]) for inner in command.commands)
        else:
            yield name, command


def keys() -> Iterator[str]:
    """A part for each mapping of the file, with the place where it is written first."""
    seen: dict[type[BaseModel], str] = {}
    todo: list[tuple[str, type[BaseModel]]] = [("", File)]
    while todo:
        place, model = todo.pop(0)
        if model in seen:
            continue
        seen[model] = place
        yield _table_of(place, model)
        todo[:0] = [(f"{place}.{part}".strip("."), inner) for part, inner in _mappings(model)]


def _own_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Fields without those that a service has everywhere."""
    inherited = ServiceEntry.model_fields if model is PlacedEntry else {}
    return {field.alias or name: field for name, field in model.model_fields.items() if name not in inherited}


def _table_of(place: str, model: type[BaseModel]) -> str:
    lines = [f"### `{place}`" if place else "### The file", "", f"{inspect.cleandoc(model.__doc__ or '')}", ""]
    if not place:
        lines = lines[:2]
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    names = {field.alias or name: name for name, field in model.model_fields.items()}
    for key, field in _own_fields(model).items():
        kind = _kind(_annotation(model, names[key]))
        shown = f"**`{key}`**" if field.is_required() else f"`{key}`"
        lines.append(f"| {shown} | {kind} | {_default(field, kind)} | {_cell(meanings(model).get(names[key], ''))} |")
    return "\n".join(lines)


def _annotation(model: type[BaseModel], name: str) -> ast.expr:
    """A field's type as it is written: the alias says what it means."""
    for kind in model.__mro__:
        written = inspect.get_annotations(kind)
        if name in written:
            return ast.parse(written[name], mode="eval").body
    raise KeyError(name)


def _kind(node: ast.expr) -> str:  # noqa: PLR0911 - a row for each shape
    """What may be written there, in words."""
    match node:
        case ast.Name(id=name) if name in KINDS:
            return KINDS[name]
        case ast.Name(id=name) if name.endswith(("Entry", "Spec")):
            return "keys, below"
        case ast.BinOp(left=left, right=right):
            several = [_kind(left), _kind(right)]
            return " or ".join(word for word in dict.fromkeys(several) if word != "nothing")
        case ast.Constant(value=None):
            return "nothing"
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[first, *_])):
            return _kind(first)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            values = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return ", ".join(f"`{ast.literal_eval(value)}`" for value in values)
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[first, *_])):
            return f"list of {_kind(first)}"
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[key, value])):
            return f"by {_kind(key)}: {_kind(value)}"
    raise SystemExit(f"scripts/reference.py: KINDS has no word for {ast.unparse(node)}")


def _mappings(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    for key, field in _own_fields(model).items():
        for suffix, inner in _models_in(field.annotation, ""):
            yield f"{key}{suffix}", inner


def _models_in(annotation: Any, suffix: str) -> Iterator[tuple[str, type[BaseModel]]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield suffix, annotation
    elif get_origin(annotation) is dict:
        yield from _models_in(get_args(annotation)[1], f"{suffix}.NAME")
    else:
        deeper = f"{suffix}[]" if get_origin(annotation) is tuple else suffix
        for part in get_args(annotation):
            yield from _models_in(part, deeper)


def _default(field: FieldInfo, kind: str) -> str:
    value = field.default
    if field.is_required() or value in (None, "", (), {}) or isinstance(value, BaseModel):
        return ""
    if kind == "duration":
        return f"`{_duration(value)}`"
    if kind == "share":
        return f"`{value:.0%}`"
    if isinstance(value, tuple):
        return "`[" + ", ".join(map(str, value)) + "]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s" if seconds else "0"


def words(*models: type[BaseModel]) -> Iterator[str]:
    """A part for each word of JSON, and for the words that they are made of."""
    known: dict[str, dict[str, Any]] = {}
    for model in models:
        schema = model.model_json_schema(mode="serialization")
        inner = schema.pop("$defs", {})
        known |= {model.__name__: schema} | {name: part for name, part in inner.items() if name not in known}
    for name, schema in known.items():
        if "properties" in schema:
            yield _word(name, schema)


def _word(name: str, schema: dict[str, Any]) -> str:
    lines = [f"### {name}", "", schema.get("description", ""), "", "| key | value | meaning |", "|---|---|---|"]
    for key, part in schema["properties"].items():
        lines.append(f"| `{key}` | {_json_kind(part)} | {_cell(part.get('description', ''))} |")
    return "\n".join(lines)


def _json_kind(part: dict[str, Any]) -> str:
    if "$ref" in part:
        name = part["$ref"].rsplit("/", 1)[-1]
        return "any" if name == "JsonValue" else f"[{name}](#{name.lower()})"
    if "enum" in part:
        return ", ".join(f"`{value}`" if value else "empty" for value in part["enum"])
    for union in ("anyOf", "oneOf"):
        if union in part:
            return " or ".join(dict.fromkeys(_json_kind(inner) for inner in part[union]))
    kind = part.get("type", "any")
    if kind == "array":
        return f"list of {_json_kind(part.get('items', {}))}"
    if kind == "object" and isinstance(part.get("additionalProperties"), dict):
        return f"by name: {_json_kind(part['additionalProperties'])}"
    return {"string": "text", "integer": "number", "boolean": "true or false", "object": "keys", "null": "null"}.get(
        kind, str(kind)
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    page = reference()
    if "--check" not in sys.argv:
        OUT.write_text(page)
    elif not OUT.exists() or OUT.read_text() != page:
        raise SystemExit("error: docs/reference.md is not what the commands and the schema say\nhint: `make docs`")

"""Backup stores on hosts: one format of manifests for all engines, and one way to ask a host's program about them.

An engine's program is the text `store.remote`, which all have in common, followed by its own. Errors: `Unreachable`
and `Lost` from the host; `NotReady` when its python3 cannot run the program.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from fairlead.config.database import DatabaseSpec
from fairlead.engines.engine import Made, Spare
from fairlead.errors import NotReady
from fairlead.model import (
    Backup,
    Beside,
    Command,
    Drill,
    Finding,
    Reported,
    Result,
    SecretRef,
    canonical,
    duration,
    sha256,
)
from fairlead.outside.files import package_text
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets

Line = dict[str, Any]
Role = Literal["kept", "shadow"]

BACKUP_LIMIT = 3600.0
"""Seconds that all backups of one call have together."""

KEY_HINT = "`fairlead init --backup-key` makes a key, and says what to write into backup_store.encrypt"

_LISTING = "store"
PYTHON = ("python3", "-ISc")
"""Nothing of the account's counts, such as a json.py in its home, and nothing of what is installed beside Python."""
# Standard input is the program of so many bytes, then the engine's secrets: neither is in an argument list.
_READ = "import sys; exec(compile(sys.stdin.buffer.read(int(sys.argv.pop(1))), 'fairlead', 'exec'))"


def program(engine: str) -> str:
    """The Python text that does an engine's work on a host; `store` only lists."""
    common = part("store")
    return common + (part(engine) if engine != _LISTING else "\nrun()\n")


def part(name: str) -> str:
    """A piece of a program, as it is sent."""
    return lean(package_text(f"engines/{name}.remote"))


def lean(text: str) -> str:
    """A program without what only its readers need: it travels in one argument, of at most 128 KB."""
    docstring = r'^( *)"""(?:[^"\\]|\\.|"(?!""))*"""$'
    return re.sub(r"^ *#.*\n|^\n", "", re.sub(docstring, r"\g<1>0", text, flags=re.M), flags=re.M)


Verify = Literal["none", "newest", "all"]


async def backups(host: Host, stores: Iterable[str], *, verify: Verify = "none") -> list[Backup]:
    """What lies in these store folders, flawed ones too; `verify`: which are hashed again, the newest of each database
    or all.
    """
    args = {"stores": sorted(set(stores)), "verify": verify}
    lines = await ask(host, _LISTING, "list", args, 60.0 if verify == "none" else BACKUP_LIMIT)
    for line in lines:
        if not line["ok"]:
            raise NotReady(f"the backup store {line['store']} on {host.account.name} cannot be read: {line['says']}")
    return [backup_of(host, line) for line in lines]


def why_not(database: DatabaseSpec, one: Backup, now: float | None = None) -> str:
    """Why a backup in the database's store does not count for it, as a sentence; empty = it does.

    `now`: unix time in seconds; without it no age is too high.
    """
    if one.flaw or not one.proven:
        return one.flaw or "it was never proven"
    if one.engine != database.engine:
        return f"it is a backup of a {one.engine} database, and {database.name} is a {database.engine} one"
    source = one.source if database.engine == "sqlite" else one.source.rpartition(" on ")[0]
    if source and source != (database.database or database.path) and not one.accepted:
        return f"it is a copy of {source}, and {database.name} is {database.database or database.path} now"
    age = 0.0 if now is None else now - one.started
    if age > database.store.max_age:
        return f"it is {duration(age)} old, at most {duration(database.store.max_age)} is allowed"
    return ""


async def accept(host: Host, one: Backup, reason: str) -> None:
    """A person says that this backup counts although it is doubted. Raises NotReady where it is worse than doubted."""
    words = {"name": one.database, "manifest": one.manifest, "sha256": one.sha256, "reason": reason}
    for line in await ask(host, _LISTING, "accept", words, 60.0):
        if not line["ok"]:
            raise NotReady(f"{one.file}: {line['says']}", line["hint"])


def kept_in(database: DatabaseSpec) -> dict[str, object]:
    """What a program has to know of the store that it writes a database's backup into."""
    place = database.store
    words = {"store": place.path, "keep": place.keep, "keep_days": place.keep_days or 0, "shrink": place.shrink}
    return {**words, "to": list(place.encrypt.to) if place.encrypt else []}


def to_back_up(items: Iterable[Mapping[str, Any]], label: str, spare: Spare | None) -> dict[str, object]:
    """What the verb `backup` is told; `spare`: what stays whatever the store's rules say."""
    return {
        "databases": [{**one, "spare": sorted((spare or {}).get(one["name"], ()))} for one in items],
        "label": label,
    }


async def drills(host: Host, stores: Iterable[str]) -> list[Drill]:
    """How the last drill of each database in these stores ended."""
    lines = await ask(host, _LISTING, "drills", {"stores": sorted(set(stores))}, 60.0)
    return [drilled(line) for line in lines]


def drilled(line: Line) -> Drill:
    """The drill that a program's line describes."""
    words = {key: line[key] for key in Drill.model_fields if line.get(key) is not None}
    return Drill.model_validate({"passed": line["ok"], **words})


def to_drill(chosen: Backup, database: DatabaseSpec, scratch: str, run: str) -> dict[str, object]:
    """What the verb `drill` is told beside the way to a server."""
    words = {"name": database.name, "manifest": chosen.manifest, "sha256": chosen.sha256, "store": database.store.path}
    return {**words, "scratch": scratch, "run": run}


def no_answer(database: DatabaseSpec, lines: list[Line]) -> Drill:
    """What became of a drill, by the program's only line."""
    if lines:
        return drilled(lines[0])
    return Drill(database=database.name, passed=False, says="the drill gave no answer")


def told(database: DatabaseSpec, lines: list[Line]) -> list[Reported] | None:
    """What a program has read in the table `backup_metadata`; None = there is no such table. Raises NotReady."""
    if not lines or not lines[0]["ok"]:
        says, hint = (lines[0]["says"], lines[0]["hint"]) if lines else ("it gave no answer", "")
        raise NotReady(f"backup_metadata in {database.name} cannot be read: {says}", hint)
    rows = lines[0]["reported"]
    return None if rows is None else [Reported.model_validate(row) for row in rows]


def read_deeply(database: DatabaseSpec, lines: list[Line]) -> Finding:
    """What a program found in the tables of a database."""
    finding = Finding(check="tables", subject=database.name, status="unknown", says="reading it gave no answer")
    if not lines:
        return finding
    line = lines[0]
    if not line["ok"]:
        return finding.model_copy(update={"says": line["says"], "hint": line["hint"], "ms": line["ms"]})
    damaged = dict(line["damaged"])
    if not damaged:
        return finding.model_copy(update={"status": "ok", "says": "every table can be read", "ms": line["ms"]})
    name, what = next(iter(damaged.items()))
    says = f"{f'the table {name}' if name else 'it'} is damaged: {what}"
    says += f"; {len(damaged) - 1} more are: {', '.join([*damaged][1:4])}" if len(damaged) > 1 else ""
    words = {"status": "fail", "says": says, "evidence": {"damaged": damaged}, "ms": line["ms"]}
    return finding.model_copy(update=words)


def by_account(databases: Iterable[DatabaseSpec]) -> list[list[DatabaseSpec]]:
    """The same databases, by the server that they lie on and the account that restores there."""
    return _grouped(databases, lambda one: (one.address, one.port, account(one, maintenance=True)[0]))


async def room(host: Host, databases: Sequence[DatabaseSpec], ask: Callable[..., Command]) -> list[Finding]:
    """Whether a second database can be made beside each, in their order; `ask` makes the question about those of one
    account.
    """
    groups = by_account(databases)
    lines = await asyncio.gather(*(answer(host, ask(several)) for several in groups))
    found = {one.name: _has_room(one, line) for several, line in zip(groups, lines, strict=True) for one in several}
    return [found[one.name] for one in databases]


def _has_room(database: DatabaseSpec, line: Line) -> Finding:
    says, hint = line["none"].get(database.name, ("", "")) if line["ok"] else (line["says"], line["hint"])
    status: Literal["ok", "fail", "unknown"] = "unknown" if not line["ok"] else "fail" if says else "ok"
    says = says or "a second database can be made beside it"
    evidence = {"triggers": several} if (several := line.get("triggers", {}).get(database.name)) else {}
    return Finding(check="room", subject=database.name, status=status, says=says, hint=hint, evidence=evidence)


def backup_label(change: str, seen: Iterable[Backup]) -> str:
    """A name for the backups of one change: equal for an unmoved world, another as soon as a newer backup exists."""
    return sha256(canonical([change, sorted(one.file for one in seen if one.proven)]))[:12]


async def ask(
    host: Host,
    engine: str,
    verb: str,
    args: Mapping[str, object],
    timeout: float,
    *,
    secrets: bytes = b"",
    brings: str = "",
) -> list[Line]:
    """Run one verb of an engine's program and return its lines; `secrets` is what it reads on standard input.

    `brings`: another program in its place.
    """
    text = (brings or program(engine)).encode()
    command = Command(argv=(*PYTHON, _READ, str(len(text)), verb, canonical(args)), timeout=timeout)
    result = await host.run(command, stdin=text + secrets)
    lines = [line for text in result.stdout.splitlines() if (line := _line(text)) is not None]
    _refuse_a_host_that_cannot(host.account.name, result, lines)
    return lines


def step(
    engine: str,
    verb: str,
    args: Mapping[str, object],
    timeout: float,
    secret: SecretRef | tuple[SecretRef, ...] | None = None,
    *,
    brings: str = "",
) -> Command:
    """One verb as a step's command. It may be run again from another machine, after an upgrade: it brings the program
    that it was planned with.

    `brings`: another program in its place.
    """
    argv = (*PYTHON, brings or program(engine), verb, canonical(args))
    return Command(argv=argv, stdin=secret, timeout=timeout, several=verb.endswith("probe"))


def probe(databases: Iterable[DatabaseSpec], label: str) -> Command:
    """Prints `after` when every database has a proven backup of that label, else `before`; for servers."""
    items = [{"name": one.name, "store": one.store.path} for one in databases]
    return step(_LISTING, "probe", {"databases": items, "label": label}, 60.0)


def choice(database: DatabaseSpec, backup: Backup | Sequence[str]) -> dict[str, object]:
    """What a program has to know of the backup that it restores: one that is there, or labels of some that will be.

    Raises NotReady where it is another database's, or lies on another host than the one that reaches the database.
    """
    refuse_elsewhere([database])
    if not isinstance(backup, Backup):
        return {"store": database.store.path, "made_for": list(backup)}
    if (backup.engine, backup.database) != (database.engine, database.name) or backup.host not in ("", database.host):
        what = f"a {backup.engine} backup of {backup.database} on {backup.host or database.host}"
        raise NotReady(f"{database.name}: {what} cannot be restored into it", f"choose a backup of {database.name}")
    return {"manifest": backup.manifest, "sha256": backup.sha256}


class Opening(NamedTuple):
    """What opens an encrypted backup: the number of its line on standard input, and the line."""

    words: dict[str, object]
    text: bytes


async def opening(chosen: Backup, database: DatabaseSpec, secrets: Secrets, number: int) -> Opening:
    """What a program needs to read this backup, as line `number` of what it is sent. Raises NotReady where the secret
    is missing or no identity; nothing is opened for a backup that is not encrypted.
    """
    ref = identity(database) if chosen.sealed else None
    return Opening({"identity": number}, await secrets.rendered(ref)) if ref else Opening({}, b"")


def secrets_of(
    login: SecretRef | None, database: DatabaseSpec, *, opens: bool
) -> tuple[dict[str, object], SecretRef | tuple[SecretRef, ...] | None]:
    """What a step that logs in, and opens a backup or not, is told beside: words, and secrets on standard input."""
    ref = identity(database) if opens else None
    if not ref:
        return {}, login
    return {"identity": 1 if login else 0}, (login, ref) if login else ref


def account(database: DatabaseSpec, maintenance: bool) -> tuple[str, SecretRef | None]:
    """Who logs in to a database on a server, and the password; for `maintenance` that account, where there is one."""
    if maintenance and database.maintenance:
        return database.maintenance.user, database.maintenance.password
    return database.user, database.password


def identity(database: DatabaseSpec) -> SecretRef | None:
    """What reads the encrypted backups of a database; None = they are not encrypted."""
    sealed = database.store.encrypt
    return SecretRef(name=sealed.identity.name, form="age") if sealed else None


def only_password(databases: Iterable[DatabaseSpec]) -> SecretRef | None:
    """The password that a step backs these databases up with. Raises NotReady where there are several."""
    refs = list(dict.fromkeys(ref for one in databases if (ref := account(one, maintenance=True)[1])))
    if len(refs) > 1:
        names = ", ".join(ref.name for ref in refs)
        raise NotReady(f"one step cannot use several passwords: {names}", "make a step for each database")
    return refs[0] if refs else None


def _line(text: str) -> Line | None:
    """One answer; whatever else a login prints is passed over."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and ("ok" in found or "fatal" in found) else None


def _refuse_a_host_that_cannot(name: str, result: Result, lines: list[Line]) -> None:
    hint = f"databases and backups need python3, 3.7 or newer, on {name}"
    if lines and "fatal" in lines[0]:
        raise NotReady(f"{name}: {lines[0]['fatal']}", hint)
    if result.code == 127 or (result.code == 126 and not lines):
        raise NotReady(f"{name} has no python3 that runs", hint)
    if result.code not in (0, 1) and not lines:
        raise NotReady(f"{name}: python3 exited {result.code}: {result.last_words}", hint)


async def answer(host: Host, ask: Command, secrets: Secrets | None = None) -> Line:
    """The one line that a step's command gives when it is only asked; `secrets`: whose, where not the host's own."""
    if secrets:
        result = await host.run(ask.model_copy(update={"stdin": None}), stdin=await secrets.stdin_of(ask))
    else:
        result = await host.run(ask)
    told = next((text for text in result.stdout.splitlines() if text.startswith('{"')), "")  # a login may print more
    line: Line = json.loads(told) if told else {"fatal": f"no answer: {result.last_words}"}
    if "fatal" in line:
        return {"ok": False, "says": line["fatal"], "hint": "is python3 there?"}
    return line


def made(host: Host, database: DatabaseSpec, line: Line | None) -> Made:
    """What a program's line about one database's backup says; None = it said nothing."""
    finding = Finding(check="backup", subject=database.name, status="unknown", says="the backup gave no answer")
    if line is None:
        return Made(finding, None)
    if not line["ok"]:
        words = {"status": "fail", "says": line["says"], "hint": line["hint"], "ms": line["ms"]}
        return Made(finding.model_copy(update=words), None)
    new = backup_of(host, line)
    says = f"backed up and proven: {size(new.size)}, {rows_in_words(new.rows)}"
    evidence = {"file": new.file, "sha256": new.sha256, "rows": new.rows}
    return Made(finding.model_copy(update={"status": "ok", "says": says, "evidence": evidence, "ms": line["ms"]}), new)


def restored(chosen: Backup, into: str, lines: list[Line]) -> Finding:
    """What a program's answer to a restore says."""
    finding = Finding(check="restore", subject=chosen.database, status="unknown", says="the restore gave no answer")
    if not lines:
        return finding
    line = lines[0]
    if not line["ok"]:
        return finding.model_copy(update={"status": "fail", "says": line["says"], "hint": line["hint"]})
    says = f"restored into {into}: {rows_in_words(line['rows'])}, as its manifest says"
    if line.get("cleared"):
        says += "; what an earlier restore had left half-filled there was dropped first"
    evidence = {"into": into, "size": line["size"], "sha256": line["sha256"], "rows": line["rows"]}
    return finding.model_copy(update={"status": "ok", "says": says, "evidence": evidence, "ms": line["ms"]})


def backup_of(host: Host, line: Line) -> Backup:
    """The backup that a program's line describes."""
    words = {key: line[key] for key in Backup.model_fields if key in line}
    return Backup.model_validate(words | {"host": host.account.name})


def elsewhere(database: DatabaseSpec) -> tuple[str, str]:
    """What is wrong and what to do where a store is on another host than the one that reaches the database."""
    kind = "SQLite is backed up where it lies" if database.engine == "sqlite" else "backups are written on the host"
    says = f"its backup store is on {database.store.host}, and {kind}"
    if database.engine != "sqlite":
        says += " that reaches the server"
    return says, f"set the host of {database.group}'s backup_store to {database.host}"


def unfit(database: DatabaseSpec) -> tuple[str, str] | None:
    """Why no backup of a database is made as fairlead.yml stands, and what to do; None = nothing keeps it from that."""
    if database.store.host != database.host:
        return elsewhere(database)
    sealed = database.store.encrypt
    if sealed and not sealed.to:
        return f"the backup_store of {database.group} encrypts, and its `to` names no public key", KEY_HINT
    if database.personal and not sealed:
        return "it holds personal data, and its backups would not be encrypted", KEY_HINT
    return None


def refuse_unfit(databases: Iterable[DatabaseSpec]) -> None:
    """Raises NotReady where no backup can be made as fairlead.yml stands."""
    for one in databases:
        if why := unfit(one):
            raise NotReady(f"{one.name}: {why[0]}", why[1])


def refuse_elsewhere(databases: Iterable[DatabaseSpec]) -> None:
    """Raises NotReady where a store is on another host than the one that reaches the database."""
    for one in databases:
        if one.store.host != one.host:
            says, hint = elsewhere(one)
            raise NotReady(f"{one.name}: {says}", hint)


def not_made(database: DatabaseSpec) -> Made:
    """The answer for a database that no backup can be made of."""
    says, hint = unfit(database) or ("", "")
    return Made(Finding(check="backup", subject=database.name, status="fail", says=says, hint=hint), None)


def servers(databases: Iterable[DatabaseSpec]) -> list[list[DatabaseSpec]]:
    """The same databases, by the server that they lie on."""
    return _grouped(databases, lambda one: (one.address, one.port))


def _grouped(databases: Iterable[DatabaseSpec], key: Callable[[DatabaseSpec], object]) -> list[list[DatabaseSpec]]:
    """The same databases, those of one key together, in the order in which they come."""
    found: dict[object, list[DatabaseSpec]] = {}
    for one in databases:
        found.setdefault(key(one), []).append(one)
    return list(found.values())


def beside(
    lines: Iterable[Line], databases: Sequence[DatabaseSpec], names: Mapping[Role, Callable[[DatabaseSpec, str], str]]
) -> list[Beside]:
    """What a program has listed, as far as it lies beside one of these databases. Raises NotReady for a refusal."""
    found: list[Beside] = []
    for line in lines:
        if not line["ok"]:
            raise NotReady(
                f"what lies beside {databases[0].group}'s databases is not known: {line['says']}", line["hint"]
            )
        for there in line["beside"]:
            for one, role in itertools.product(databases, names):
                with suppress(NotReady):  # no label of ours
                    name = names[role](one, there["label"])
                    if there["name"] in (name, name.lower()):
                        found.append(Beside(database=one.name, role=role, **there))
    return found


def rows_in_words(rows: Mapping[str, int]) -> str:
    """`1234 rows in 2 tables`."""
    return f"{sum(rows.values())} rows in {len(rows)} tables"


def size(count: float) -> str:
    """Bytes for people: `0 B`, `12 kB`, `3.4 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"

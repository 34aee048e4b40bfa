"""MariaDB databases, asked on the host that reaches their server with that host's own client programs.

One Python program is sent there with each call: nothing is installed. Errors: `Unreachable` and `Lost` from the host;
`NotReady` when its python3 cannot run the program. What is wrong with one database is a `Finding` about it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from fairlead.config.database import DatabaseSpec, RollbackSpec
from fairlead.engines import store
from fairlead.engines.engine import Made, Spare
from fairlead.errors import NotReady
from fairlead.model import (
    Backup,
    Beside,
    Command,
    Drill,
    Finding,
    Ledger,
    Reported,
    SecretRef,
    TableLedger,
    sha256,
)
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets

PING_LIMIT = 7.0
"""Seconds that all databases of one host have for answering; a server has less than half of it to be reached."""
CONNECT_LIMIT = 3
"""Seconds that a server has to accept a connection."""
STEP_CONNECT_LIMIT = 10
"""The same for a step: nobody waits for its answer, and a busy server is not a lost one."""
SWAP_LIMIT = 300.0
"""Seconds that a swap has, waiting for others' transactions included."""
LEDGER_LIMIT = 1800.0
"""Seconds that the comparison of one database has."""
LONGEST_NAME = 64
"""Characters of a database's name on the server."""


async def ping(host: Host, databases: Sequence[DatabaseSpec], secrets: Secrets) -> list[Finding]:
    """Log in to each database with the services' account, all in one round trip; in the order of `databases`."""
    keys = await Keys.of(databases, secrets, maintenance=False)
    able = [one for one in databases if one.name not in keys.missing]
    args = {"databases": [keys.item(one) for one in able], "limit": PING_LIMIT}
    text = keys.text
    lines = await store.ask(host, "mariadb", "ping", args, PING_LIMIT + 15, secrets=text) if able else []
    answers = {line.get("database"): line for line in lines}
    return [keys.missing.get(one.name) or _reached(host, one, answers.get(one.name)) for one in databases]


async def backup(
    host: Host,
    databases: Sequence[DatabaseSpec],
    secrets: Secrets,
    *,
    label: str = "",
    spare: Spare | None = None,
) -> list[Made]:
    """Dump into the databases' stores, two of each server at once, and prove each copy; in the order of `databases`.

    With a `label`, a database that already has a proven backup of that label is not dumped again. Uses the
    maintenance account where there is one.
    """
    here = [one for one in databases if not store.unfit(one)]
    keys = await Keys.of(here, secrets, maintenance=True, check="backup")
    able = [one for one in here if one.name not in keys.missing]
    args = store.to_back_up((keys.item(one) for one in able), label, spare)
    lines = await store.ask(host, "mariadb", "backup", args, store.BACKUP_LIMIT, secrets=keys.text) if able else []
    answers = {line.get("database"): line for line in lines}
    return [_made(host, one, keys, answers.get(one.name)) for one in databases]


async def restore(host: Host, chosen: Backup, database: DatabaseSpec, into: str, secrets: Secrets) -> Finding:
    """Fill a new database `into` on the database's server and count it there; one that exists is refused.

    Its events are there and not enabled. Where it fails, what was made is dropped again; what a killed restore has left
    is marked, and dropped by the next one of that name.
    """
    keys = await Keys.of([database], secrets, maintenance=True, check="restore")
    if database.name in keys.missing:
        return keys.missing[database.name]
    opening = await store.opening(chosen, database, secrets, len(keys.refs))
    args = {
        "name": chosen.database,
        "manifest": chosen.manifest,
        "sha256": chosen.sha256,
        "into": into,
        "server": keys.item(database) | opening.words,
    }
    lines = await store.ask(host, "mariadb", "restore", args, store.BACKUP_LIMIT, secrets=keys.text + opening.text)
    finding = store.restored(chosen, into, lines)
    asleep = lines[0].get("events", 0) if lines else 0
    if not asleep:
        return finding
    says = f"{finding.says}; events that are there and not enabled: {asleep}"
    return finding.model_copy(update={"says": says, "evidence": finding.evidence | {"events": asleep}})


async def reported(host: Host, database: DatabaseSpec, secrets: Secrets) -> list[Reported] | None:
    """What the table `backup_metadata` in this database says of others' backups; None = there is no such table.

    Raises NotReady where it cannot be read.
    """
    keys = await Keys.of([database], secrets, maintenance=True)
    if missing := keys.missing.get(database.name):
        raise NotReady(missing.says, missing.hint)
    args = {"name": database.name, "server": keys.item(database)}
    return store.told(database, await store.ask(host, "mariadb", "reported", args, 60.0, secrets=keys.text))


async def deep(host: Host, database: DatabaseSpec, secrets: Secrets) -> Finding:
    """Have the server check every table, with the maintenance account; each is locked for writing while it is read."""
    keys = await Keys.of([database], secrets, maintenance=True, check="tables")
    if missing := keys.missing.get(database.name):
        return missing
    args = {"name": database.name, "server": keys.item(database)}
    lines = await store.ask(host, "mariadb", "deep", args, store.BACKUP_LIMIT, secrets=keys.text)
    return store.read_deeply(database, lines)


async def drill(host: Host, chosen: Backup, database: DatabaseSpec, secrets: Secrets, *, run: str) -> Drill:
    """Restore a backup into a marked database of the server's, count and check its tables, and drop it again."""
    keys = await Keys.of([database], secrets, maintenance=True, check="drill")
    if missing := keys.missing.get(database.name):
        return Drill(database=database.name, run=run, passed=False, says=missing.says, hint=missing.hint)
    opening = await store.opening(chosen, database, secrets, len(keys.refs))
    args = store.to_drill(chosen, database, drill_name(database), run)
    args["server"] = keys.item(database) | opening.words
    lines = await store.ask(host, "mariadb", "drill", args, store.BACKUP_LIMIT, secrets=keys.text + opening.text)
    return store.no_answer(database, lines)


def backup_command(
    databases: Sequence[DatabaseSpec],
    label: str,
    *,
    spare: Spare | None = None,
    timeout: float = store.BACKUP_LIMIT,
) -> Command:
    """The backup of these databases as a step's change. It names its secret, and run twice it dumps once.

    Raises NotReady where a store is on another host than the one that reaches the server, and where the databases are
    backed up by accounts with different passwords: a step has one.
    """
    store.refuse_unfit(databases)
    secret = store.only_password(databases)
    items = [_item(one, [secret] if secret else [], maintenance=True) for one in databases]
    args = store.to_back_up(items, label, spare)
    return store.step("mariadb", "backup", args, timeout, _sealed(secret) if secret else None)


def backup_probe(databases: Sequence[DatabaseSpec], label: str) -> Command:
    """The probe of `backup_command`: `after` when every database has a proven backup of that label."""
    return store.probe(databases, label)


def shadow_name(database: DatabaseSpec, label: str) -> str:
    """Where the shadow of that label lies, on the live database's server."""
    return _beside(database.database, f"__new_{_checked(label)}")


def drill_name(database: DatabaseSpec) -> str:
    """Where a drill restores a backup, on the live database's server."""
    return _beside(database.database, "__drill")


def kept_name(database: DatabaseSpec, label: str) -> str:
    """Where the swap of that label keeps what was live."""
    return _beside(database.database, f"__kept_{_checked(label)}")


def shadow_command(
    database: DatabaseSpec, backup: Backup | Sequence[str], label: str, *, timeout: float = store.BACKUP_LIMIT
) -> Command:
    """Fill the shadow from a backup and prove it, as a step's change; one that is proven is not filled again.

    The live database is not touched. Raises NotReady where the backup is another database's, or on another host.
    """
    return _step("shadow", database, label, timeout, store.choice(database, backup))


def shadow_probe(database: DatabaseSpec, label: str) -> Command:
    """`after`: there is a proven shadow, or it has been swapped in; `between`: it is half filled or half dropped."""
    return _step("shadow_probe", database, label, 60.0)


def shadow_undo(database: DatabaseSpec, label: str) -> Command:
    """Drop the shadow. One that has been live, because its swap was undone, may hold rows that were acknowledged: it is
    kept under the name of the kept database instead. Refused while its swap stands.
    """
    return _step("shadow_undo", database, label, SWAP_LIMIT)


def swap_command(
    database: DatabaseSpec, label: str, *, fenced: bool = False, end_blockers: bool = False, timeout: float = SWAP_LIMIT
) -> Command:
    """Make the live tables the kept ones and the shadow's the live ones, in one statement, as a step's change.

    Nobody is disconnected. A table that an open transaction holds is asked for again and again for 30 s; with
    `end_blockers` a transaction that does nothing is ended. A schema with triggers is refused unless its writers are
    stopped, which `fenced` says: triggers are dropped and made again around the swap.
    """
    words = {"fenced": fenced, "end_blockers": end_blockers}
    return _step("swap", database, label, _filling(database, timeout), words)


def _filling(database: DatabaseSpec, timeout: float) -> float:
    """A swap in place is as long as a backup and a restore."""
    return max(timeout, store.BACKUP_LIMIT) if database.rollback.place == "in_place" else timeout


def swap_probe(database: DatabaseSpec, label: str) -> Command:
    """`between`: a swap or its undo did not come to its end; do and undo both mend it."""
    return _step("swap_probe", database, label, 60.0)


def swap_undo(database: DatabaseSpec, label: str, *, timeout: float = SWAP_LIMIT) -> Command:
    """Make the kept tables the live ones again; what was live becomes the shadow. Ends transactions that do nothing."""
    return _step("swap_undo", database, label, _filling(database, timeout), {"fenced": True, "end_blockers": True})


def kept_drop_command(database: DatabaseSpec, label: str) -> Command:
    """Drop what was kept under that label, and nothing that is not marked so; run twice it drops once."""
    return _step("kept_drop", database, label, SWAP_LIMIT)


def kept_probe(database: DatabaseSpec, label: str) -> Command:
    """The probe of `kept_drop_command`: `before` while a database of that name is there."""
    return _step("kept_probe", database, label, 60.0)


async def beside(host: Host, databases: Sequence[DatabaseSpec]) -> list[Beside]:
    """Shadows and kept databases beside these, by their marks; a server is asked once. Raises NotReady."""
    asked = [several[0].model_copy(update={"rollback": RollbackSpec()}) for several in store.servers(databases)]
    stores = {one.store.path: one for one in databases if one.rollback.place == "in_place"}
    asks = [_step("beside", one, "", 60.0) for one in (*asked, *stores.values())]
    lines = await asyncio.gather(*(store.answer(host, ask) for ask in asks))
    return store.beside(lines, databases, {"kept": kept_name, "shadow": shadow_name})


async def room(host: Host, databases: Sequence[DatabaseSpec]) -> list[Finding]:
    """May the maintenance account make a second database beside each? The server is asked, and nothing is made."""

    def ask(several: Sequence[DatabaseSpec]) -> Command:
        names = {d.name: [d.database, shadow_name(d, _NEVER), kept_name(d, _NEVER)] for d in several}
        return _step("room", several[0], _NEVER, 60.0, {"beside": names})

    return await store.room(host, databases, ask)


async def ledger(
    host: Host, database: DatabaseSpec, label: str, secrets: Secrets, *, limit_rows: int = 1_000_000
) -> Ledger:
    """Compare the live database with the one kept under that label, row by row on their server.

    A table with more than `limit_rows` rows is only counted, and the whole is then called an estimate. Raises NotReady
    where one of the two cannot be read.
    """
    if database.rollback.place == "in_place":
        raise NotReady(
            f"{database.name} is replaced in place, so what was replaced is a backup and no database to compare with",
            "`fairlead db backups` names it; on a server with room, `fairlead db restore --into` shows it",
        )
    ask = _step("ledger", database, label, LEDGER_LIMIT, {"limit_rows": limit_rows})
    tables = await _tables(host, database, ask, secrets)
    kind = "exact" if all(table.exact for table in tables) else "estimate"
    return Ledger.model_validate({"database": database.name, "kind": kind, "tables": tables})


async def estimate(host: Host, database: DatabaseSpec, backup: Backup, secrets: Secrets) -> Ledger:
    """What was written since that backup, by counts of rows and the server's own statistics; no row is compared.

    Raises NotReady where the database cannot be read.
    """
    seen = {"rows": backup.rows, "started": backup.started}
    tables = await _tables(host, database, _step("estimate", database, "", LEDGER_LIMIT, seen), secrets)
    return Ledger(database=database.name, kind="estimate", tables=tables)


_LABEL = re.compile(r"\d{8}_[0-9a-zA-Z]{8}")
_NEVER = "00000000_fairlead"
"""A label that no restore has."""


def _checked(label: str) -> str:
    if label and not _LABEL.fullmatch(label):
        raise NotReady(f"{label} cannot be the label of a shadow", "a label is a date and eight letters or digits")
    return label


def _beside(live: str, tail: str) -> str:
    """Live name and tail; where that is too long, the name is cut and told apart by digits of its hash."""
    if len(live + tail) <= LONGEST_NAME:
        return live + tail
    return live[: LONGEST_NAME - 6 - len(tail)] + sha256(live)[:6] + tail


def _step(
    verb: str, database: DatabaseSpec, label: str, timeout: float, more: Mapping[str, object] | None = None
) -> Command:
    """One verb of the program's further parts, which only these commands bring."""
    secret = store.account(database, maintenance=True)[1]
    names = {"live": database.database, "shadow": shadow_name(database, label), "kept": kept_name(database, label)}
    placed = database.rollback.place == "in_place" and verb not in _ALWAYS_BESIDE
    opens = verb in (("swap", "swap_undo") if placed else ("shadow",))
    known, told = store.secrets_of(_sealed(secret) if secret else None, database, opens=opens)
    server = _item(database, [secret] if secret else [], maintenance=True) | {"wait": STEP_CONNECT_LIMIT} | known
    args = {"name": database.name, "server": server, "label": label} | names | dict(more or {})
    part = "ledger" if verb in ("ledger", "estimate") else "in_place" if placed else "swap"
    return store.step("mariadb", verb, args, timeout, told, brings=_program(part))


_ALWAYS_BESIDE = ("ledger", "estimate", "room")
"""Verbs that do not depend on whether a database is replaced in place."""


def _program(part: str) -> str:
    """The program up to that part: two others come after the swap's, and each ends with the verbs that it runs."""
    parts = [store.program("mariadb"), store.part("mariadb_swap")]
    if part != "swap":
        parts.append(store.part(f"mariadb_{part}"))
    return "\n".join([text.rpartition("\nrun(")[0] for text in parts[:-1]] + parts[-1:])


async def _tables(host: Host, database: DatabaseSpec, ask: Command, secrets: Secrets) -> tuple[TableLedger, ...]:
    """The program's answer about one database, table by table."""
    line = await store.answer(host, ask, secrets)
    if not line["ok"]:
        raise NotReady(f"{database.name}: {line['says']}", line["hint"])
    return tuple(TableLedger.model_validate(table) for table in line["tables"])


class Keys:
    """The passwords of one call: opened once each, sent as lines, named by their number."""

    def __init__(self, maintenance: bool) -> None:
        self.refs: list[SecretRef] = []
        self.text = b""
        self.missing: dict[str, Finding] = {}
        self._maintenance = maintenance

    @classmethod
    async def of(
        cls, databases: Iterable[DatabaseSpec], secrets: Secrets, *, maintenance: bool, check: str = "database"
    ) -> Keys:
        """Open what these databases need; for one whose secret is missing there is a finding instead."""
        keys = cls(maintenance)
        for one in databases:
            try:
                await keys._open(store.account(one, maintenance)[1], secrets)
            except NotReady as error:
                words = {"check": check, "subject": one.name, "status": "fail"}
                keys.missing[one.name] = Finding.model_validate(words | {"says": error.what, "hint": error.hint})
            if one.maintenance and not maintenance:  # it only helps to tell why, so it may be missing
                with suppress(NotReady):
                    await keys._open(one.maintenance.password, secrets)
        return keys

    async def _open(self, ref: SecretRef | None, secrets: Secrets) -> None:
        if ref is not None and ref not in self.refs:
            self.text += await secrets.rendered(_sealed(ref))
            self.refs.append(ref)

    def item(self, database: DatabaseSpec) -> dict[str, object]:
        """What the program has to know of a database, and who else may be asked about it."""
        item, helper = _item(database, self.refs, self._maintenance), database.maintenance
        if helper and not self._maintenance and helper.password in self.refs:
            item["master"] = {"user": helper.user, "key": self.refs.index(helper.password)}
        return item


def _sealed(ref: SecretRef) -> SecretRef:
    return SecretRef(name=ref.name, form="mariadb")


def _item(database: DatabaseSpec, refs: Sequence[SecretRef], maintenance: bool) -> dict[str, object]:
    """What the program on the host has to know of a database; `key` is the number of its password's line."""
    user, ref = store.account(database, maintenance)
    return {
        "name": database.name,
        "database": database.database,
        "address": database.address,
        "port": database.port,
        "tls": database.tls,
        "user": user,
        "secret": ref.name if ref else "",
        "key": refs.index(ref) if ref else None,
        **store.kept_in(database),
        "wait": CONNECT_LIMIT,
    }


def _reached(host: Host, database: DatabaseSpec, line: store.Line | None) -> Finding:
    finding = Finding(check="database", subject=database.name, status="unknown", says="gave no answer")
    where = {"host": host.account.name, "server": f"{database.address}:{database.port}", "database": database.database}
    if line is None or line.get("silent"):
        says = line["says"] if line else finding.says
        return finding.model_copy(update={"says": says, "evidence": where})
    if not line["ok"]:
        words = {"status": "fail", "says": line["says"], "hint": line["hint"], "ms": line["ms"], "evidence": where}
        return finding.model_copy(update=words)
    seen = where | {key: line[key] for key in ("version", "seen_as", "tls")}
    status, more, hint = _reserved(database, line)
    says = f"answers, {line['version']}{', encrypted' if line['tls'] else ''}{more}"
    return finding.model_copy(update={"status": status, "says": says, "hint": hint, "evidence": seen, "ms": line["ms"]})


def _reserved(database: DatabaseSpec, line: store.Line) -> tuple[str, str, str]:
    """Status, what follows the good news, and a hint."""
    if line["lacks"]:
        lacks = ", ".join(line["lacks"])
        return "warn", f", but {database.user} lacks {lacks}", f"GRANT {lacks} ON the database, if the service writes"
    if line["read_only"]:
        return "warn", ", but the server is read-only", "is it a replica?"
    return "ok", "", ""


def _made(host: Host, database: DatabaseSpec, keys: Keys, line: store.Line | None) -> Made:
    if store.unfit(database):
        return store.not_made(database)
    if database.name in keys.missing:
        return Made(keys.missing[database.name], None)
    made = store.made(host, database, line)
    torn = line.get("more", {}).get("not_transactional", 0) if line else 0
    if not made.backup or not torn:
        return made
    says = f"{made.finding.says}; {torn} tables are not transactional, so not of the same moment"
    return made._replace(finding=made.finding.model_copy(update={"says": says}))

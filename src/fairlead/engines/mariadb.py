"""MariaDB databases, asked on the host that reaches their server with that host's own client programs.

One Python program is sent there with each call: nothing is installed. Errors: `Unreachable` and `Lost` from the host;
`NotReady` when its python3 cannot run the program. What is wrong with one database is a `Finding` about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from fairlead.config.database import DatabaseSpec
from fairlead.engines import store
from fairlead.engines.engine import Made
from fairlead.errors import NotReady
from fairlead.model import Backup, Command, Finding, SecretRef
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets

PING_LIMIT = 7.0
"""Seconds that all databases of one host have for answering; a server has less than half of it to be reached."""
CONNECT_LIMIT = 3
"""Seconds that a server has to accept a connection."""


async def ping(host: Host, databases: Sequence[DatabaseSpec], secrets: Secrets) -> list[Finding]:
    """Log in to each database with the services' account, all in one round trip; in the order of `databases`."""
    keys = await _Keys.of(databases, secrets, maintenance=False)
    able = [one for one in databases if one.name not in keys.missing]
    args = {"databases": [keys.item(one) for one in able], "limit": PING_LIMIT}
    text = keys.text
    lines = await store.ask(host, "mariadb", "ping", args, PING_LIMIT + 15, secrets=text) if able else []
    answers = {line.get("database"): line for line in lines}
    return [keys.missing.get(one.name) or _reached(host, one, answers.get(one.name)) for one in databases]


async def backup(host: Host, databases: Sequence[DatabaseSpec], secrets: Secrets, *, label: str = "") -> list[Made]:
    """Dump into the databases' stores, two of each server at once, and prove each copy; in the order of `databases`.

    With a `label`, a database that already has a proven backup of that label is not dumped again. Uses the
    maintenance account where there is one.
    """
    here = [one for one in databases if one.store.host == one.host]
    keys = await _Keys.of(here, secrets, maintenance=True, check="backup")
    able = [one for one in here if one.name not in keys.missing]
    args = {"databases": [keys.item(one) for one in able], "label": label}
    lines = await store.ask(host, "mariadb", "backup", args, store.BACKUP_LIMIT, secrets=keys.text) if able else []
    answers = {line.get("database"): line for line in lines}
    return [_made(host, one, keys, answers.get(one.name)) for one in databases]


async def restore(host: Host, chosen: Backup, database: DatabaseSpec, into: str, secrets: Secrets) -> Finding:
    """Fill a new database `into` on the database's server and count it there; one that exists is refused.

    Its events are there and not enabled. Where it fails, what was made is dropped again.
    """
    keys = await _Keys.of([database], secrets, maintenance=True, check="restore")
    if database.name in keys.missing:
        return keys.missing[database.name]
    args = {
        "name": chosen.database,
        "manifest": chosen.manifest,
        "sha256": chosen.sha256,
        "into": into,
        "server": keys.item(database),
    }
    lines = await store.ask(host, "mariadb", "restore", args, store.BACKUP_LIMIT, secrets=keys.text)
    finding = store.restored(chosen, into, lines)
    asleep = lines[0].get("events", 0) if lines else 0
    if not asleep:
        return finding
    says = f"{finding.says}; events that are there and not enabled: {asleep}"
    return finding.model_copy(update={"says": says, "evidence": finding.evidence | {"events": asleep}})


def backup_command(databases: Sequence[DatabaseSpec], label: str, *, timeout: float = store.BACKUP_LIMIT) -> Command:
    """The backup of these databases as a step's change. It names its secret, and run twice it dumps once.

    Raises NotReady where a store is on another host than the one that reaches the server, and where the databases are
    backed up by accounts with different passwords: a step has one.
    """
    store.refuse_elsewhere(databases)
    secret = store.only_password(databases)
    items = [_item(one, [secret] if secret else [], maintenance=True) for one in databases]
    args = {"databases": items, "label": label}
    return store.step("mariadb", "backup", args, timeout, _sealed(secret) if secret else None)


def backup_probe(databases: Sequence[DatabaseSpec], label: str) -> Command:
    """The probe of `backup_command`: `after` when every database has a proven backup of that label."""
    return store.probe(databases, label)


class _Keys:
    """The passwords of one call: opened once each, sent as lines, named by their number."""

    def __init__(self, maintenance: bool) -> None:
        self.refs: list[SecretRef] = []
        self.text = b""
        self.missing: dict[str, Finding] = {}
        self._maintenance = maintenance

    @classmethod
    async def of(
        cls, databases: Iterable[DatabaseSpec], secrets: Secrets, *, maintenance: bool, check: str = "database"
    ) -> _Keys:
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
        "store": database.store.path,
        "keep": database.store.keep,
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


def _made(host: Host, database: DatabaseSpec, keys: _Keys, line: store.Line | None) -> Made:
    if database.store.host != database.host:
        return store.made_elsewhere(database)
    if database.name in keys.missing:
        return Made(keys.missing[database.name], None)
    made = store.made(host, database, line)
    torn = line.get("more", {}).get("not_transactional", 0) if line else 0
    if not made.backup or not torn:
        return made
    says = f"{made.finding.says}; {torn} tables are not transactional, so not of the same moment"
    return made._replace(finding=made.finding.model_copy(update={"says": says}))

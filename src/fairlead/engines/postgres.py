"""PostgreSQL databases, asked on the host that reaches their server with that host's own client programs.

One Python program is sent there with each call: nothing is installed. Errors: `Unreachable` and `Lost` from the host;
`NotReady` when its python3 cannot run the program. What is wrong with one database is a `Finding` about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fairlead.config.database import DatabaseSpec
from fairlead.engines import store
from fairlead.engines.engine import Made
from fairlead.errors import NotReady
from fairlead.model import Backup, Command, Finding, SecretRef
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets

PING_LIMIT = 6.5
"""Seconds that all databases of one host have for answering."""


async def ping(host: Host, databases: Sequence[DatabaseSpec], secrets: Secrets) -> list[Finding]:
    """Log in to each database with the services' account, all in one round trip; in the order of `databases`.

    What is wrong is told by the first layer that fails: name, port, firewall, TLS, pg_hba.conf, password, database,
    privilege, connections.
    """
    work = await _Work.of(databases, secrets, maintenance=False)
    args = {"databases": work.items, "limit": PING_LIMIT}
    lines = await work.ask(host, "ping", args, PING_LIMIT + 15)
    answers = {line.get("database"): line for line in lines}
    return [
        _fail("database", one, missing) if (missing := work.missing.get(one.name)) else _reached(host, one, answers)
        for one in databases
    ]


async def backup(host: Host, databases: Sequence[DatabaseSpec], secrets: Secrets, *, label: str = "") -> list[Made]:
    """Dump into the databases' stores, two at once, and read each dump back; in the order of `databases`.

    With a `label`, a database that already has a proven backup of that label is not dumped again. Uses the
    maintenance account where there is one.
    """
    here = [one for one in databases if one.store.host == one.host]
    work = await _Work.of(here, secrets, maintenance=True)
    lines = await work.ask(host, "backup", {"databases": work.items, "label": label}, store.BACKUP_LIMIT)
    answers = {line.get("database"): line for line in lines}
    return [_made(host, one, work, answers.get(one.name)) for one in databases]


async def restore(host: Host, chosen: Backup, database: DatabaseSpec, into: str, secrets: Secrets) -> Finding:
    """Fill a new database `into` on the database's server and count it there; one that exists is refused.

    Owner, privileges and settings are those of the database that was dumped. Until it is proven it has another name,
    and where it fails it is dropped again.
    """
    work = await _Work.of([database], secrets, maintenance=True)
    if missing := work.missing.get(database.name):
        return _fail("restore", database, missing)
    chosen_words = {"name": chosen.database, "manifest": chosen.manifest, "sha256": chosen.sha256}
    args = chosen_words | {"into": into, "server": work.items[0]}
    return store.restored(chosen, into, await work.ask(host, "restore", args, store.BACKUP_LIMIT))


def backup_command(databases: Sequence[DatabaseSpec], label: str, *, timeout: float = store.BACKUP_LIMIT) -> Command:
    """The backup of these databases as a step's change. It names its secret, and run twice it dumps once.

    Raises NotReady where a store is on another host than the one that reaches the server, and where the databases are
    backed up by accounts with different passwords: a step has one.
    """
    store.refuse_elsewhere(databases)
    secret = store.only_password(databases)
    items = [_item(one, maintenance=True, key=0) for one in databases]
    args = {"databases": items, "label": label}
    return store.step("postgres", "backup", args, timeout, _as_line(secret) if secret else None)


def backup_probe(databases: Sequence[DatabaseSpec], label: str) -> Command:
    """The probe of `backup_command`: `after` when every database has a proven backup of that label."""
    return store.probe(databases, label)


class _Work:
    """The databases of one call that can be asked about, their passwords, and what is missing for the others."""

    def __init__(self) -> None:
        self.items: list[dict[str, object]] = []
        self.missing: dict[str, NotReady] = {}
        self._lines = b""

    @classmethod
    async def of(cls, databases: Sequence[DatabaseSpec], secrets: Secrets, *, maintenance: bool) -> _Work:
        """Open what these databases need: one line of a password file for each."""
        work = cls()
        for one in databases:
            ref = store.account(one, maintenance)[1]
            try:
                work._lines += await secrets.rendered(_as_line(ref)) if ref else b"\n"
            except NotReady as error:
                work.missing[one.name] = error
            else:
                work.items.append(_item(one, maintenance, key=len(work.items)))
        return work

    async def ask(self, host: Host, verb: str, args: Mapping[str, object], timeout: float) -> list[store.Line]:
        """The program's answers; none where there is nothing to ask about."""
        if not self.items:
            return []
        return await store.ask(host, "postgres", verb, args, timeout, secrets=self._lines)


def _as_line(ref: SecretRef) -> SecretRef:
    return SecretRef(name=ref.name, form="pgpass")


def _item(database: DatabaseSpec, maintenance: bool, key: int) -> dict[str, object]:
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
        "key": key if ref else None,
        "store": database.store.path,
        "keep": database.store.keep,
    }


def _reached(host: Host, database: DatabaseSpec, answers: dict[object, store.Line]) -> Finding:
    line = answers.get(database.name)
    server = f"{database.address}:{database.port}"
    where = {"host": host.account.name, "server": server, "database": database.database, "user": database.user}
    words = {"check": "database", "subject": database.name, "evidence": where}
    if line is None or line.get("silent"):
        says = line["says"] if line else "gave no answer"
        return Finding.model_validate(words | {"status": "unknown", "says": says})
    if not line["ok"]:
        told = {"status": "fail", "says": line["says"], "hint": line["hint"], "ms": line["ms"]}
        return Finding.model_validate(words | told)
    says = f"answers, PostgreSQL {line['version'].split()[0]}, {store.size(line['size'])}"
    seen = {"evidence": where | {"version": line["version"], "size": line["size"]}, "ms": line["took"]}
    return Finding.model_validate(words | seen | {"status": "ok", "says": says})


def _made(host: Host, database: DatabaseSpec, work: _Work, line: store.Line | None) -> Made:
    if database.store.host != database.host:
        return store.made_elsewhere(database)
    if missing := work.missing.get(database.name):
        return Made(_fail("backup", database, missing), None)
    return store.made(host, database, line)


def _fail(check: str, database: DatabaseSpec, error: NotReady) -> Finding:
    return Finding(check=check, subject=database.name, status="fail", says=error.what, hint=error.hint)

"""What provisioning asks of an engine: what is there and what has to be changed, and each change as commands.

A change is SQL that is written here and run on a host by that host's own client program, as the group's `admin`.
A password is never part of it: what stands for one in the text is put in on the host, from standard input.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from fairlead.config.database import DatabaseSpec, GroupSpec
from fairlead.engines import store
from fairlead.engines.store import Line
from fairlead.errors import NotReady
from fairlead.model import Command, Finding, SecretRef
from fairlead.outside.files import package_text
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets

LIMIT = 60.0
"""Seconds that one look or one change has."""
CONNECT_LIMIT = 5
"""Seconds that a server has to accept the administrator."""


class Guard(NamedTuple):
    """A question whose answer keeps a change from being taken back."""

    sql: str
    """Returns a number; 0 = nothing is in the way."""
    says: str
    hint: str = ""


class Sql(NamedTuple):
    """What a change is made of."""

    do: tuple[str, ...]
    probe: str
    """Returns `before`, `after`, `between` or `cannot_tell`."""
    undo: tuple[str, ...] = ()
    guards: tuple[Guard, ...] = ()
    """Asked before `undo`."""
    more: Mapping[str, object] = {}
    """Whatever else the engine's program has to know."""


class Change(NamedTuple):
    """The smallest change of a server that can be taken back."""

    word: str
    """What it is about: `database`, `account`, `password`, `grants`, `surplus`, ..."""
    subject: str
    """Name of the database in fairlead.yml, or `maintenance of GROUP`."""
    after: str
    """The subject whose changes it has to wait for; its own, or that of the account that both have in common."""
    title: str
    shows: tuple[str, ...]
    shows_back: tuple[str, ...]
    do: Command
    probe: Command
    undo: Command | None
    new: bool
    """It makes what is not there yet; else it changes what somebody may be using."""
    warns: tuple[str, ...] = ()


class Wish(NamedTuple):
    """What of a group is to be as fairlead.yml says."""

    group: GroupSpec
    databases: tuple[DatabaseSpec, ...]
    """All of the group, those of other environments too: they have accounts, and a server, in common."""
    names: tuple[str, ...]
    """The chosen ones."""
    reduce: bool = False
    """What an account may too much is to be taken from it."""

    @property
    def chosen(self) -> list[DatabaseSpec]:
        """The databases that it is about."""
        return [one for one in self.databases if one.name in self.names]

    @property
    def caretaker(self) -> str:
        """What findings call the group's maintenance account."""
        return f"maintenance of {self.group.name}"


class Survey(NamedTuple):
    """What is there, and what it takes to have it as fairlead.yml says."""

    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    """One for each database and for the group's maintenance account, and what nobody here changes."""
    remarks: tuple[str, ...] = ()
    """What else has to be done by somebody, such as a line of pg_hba.conf."""


class Provisioner(Protocol):
    """What provisioning asks of a kind of server; a module of this package for each."""

    async def survey(self, host: Host, wish: Wish, secrets: Secrets) -> Survey:
        """Look as the group's `admin`, on the host that it logs in from. Changes nothing.

        Raises NotReady where the server, or a password that is to be set, cannot be had.
        """
        ...

    def script(self, wish: Wish) -> tuple[str, ...]:
        """The same as statements for an administrator to type, without passwords; run twice they change nothing."""
        ...

    async def privileges(self, host: Host, wish: Wish, secrets: Secrets) -> list[Finding]:
        """Log in as each service, from where services do: may it do what it is to, and is the rest refused?

        Nothing that is tried would change anything if it were let through. In the order of the chosen databases.
        """
        ...

    async def lacks(
        self, host: Host, database: DatabaseSpec, needs: Sequence[str], secrets: Secrets, *, maintenance: bool
    ) -> list[str]:
        """Which of these privileges the account has not in its database. Raises NotReady where it cannot log in."""
        ...


class Administrator:
    """The way to a server for whoever may make databases there."""

    def __init__(self, engine: str, group: GroupSpec, form: Literal["mariadb", "pgpass"]) -> None:
        if group.admin is None:
            raise NotReady(f"{group.name} has no `admin`, so nothing can be made there", "give the group an `admin`")
        self.engine, self.group, self.admin, self.form = engine, group, group.admin, form

    @property
    def host(self) -> str:
        """The name of the host that it logs in from."""
        return working_host(self.group)

    @property
    def secrets(self) -> tuple[SecretRef, ...]:
        """Its own password, where it has one."""
        given = self.admin.password
        return (SecretRef(name=given.name, form=self.form),) if given else ()

    def item(self) -> dict[str, object]:
        """What the program on the host has to know of the server."""
        group, admin = self.group, self.admin
        words: dict[str, object] = {
            "name": group.name,
            "database": "",
            "address": group.address,
            "port": group.port,
            "tls": group.tls,
            "user": admin.user,
            "secret": admin.password.name if admin.password else "",
            "key": 0 if admin.password else None,
            "wait": CONNECT_LIMIT,
        }
        return words | (self._local() if admin.local else {})

    def _local(self) -> dict[str, object]:
        port = None if self.engine == "mariadb" else self.group.port
        address = "localhost" if self.engine == "mariadb" else self.admin.socket
        way: dict[str, object] = {"address": address, "port": port, "tls": "off"}
        return way | {"socket": self.admin.socket, "run_as": self.admin.run_as}

    def commands(self, sql: Sql, secret: SecretRef | None) -> tuple[Command, Command, Command | None]:
        """Do, probe and undo; `secret` is what stands for a password in the statements, as the engine wants it."""
        words = {"server": self.item(), **sql.more}
        do = self._command("change", words | {"sql": sql.do}, secret, "<" in "".join(sql.do))
        probe = self._command("probe", words | {"sql": sql.probe}, secret, "<" in sql.probe)
        if not sql.undo:
            return do, probe, None
        words |= {"sql": sql.undo, "guards": [list(guard) for guard in sql.guards]}
        asks = "".join([*sql.undo, *(guard.sql for guard in sql.guards)])
        return do, probe, self._command("change", words, secret, "<" in asks)

    def _command(self, verb: str, args: Mapping[str, object], secret: SecretRef | None, needed: bool) -> Command:
        own = self.secrets
        all_of = (*own, secret) if secret and needed else own
        words, brings = dict(args) | {"word": len(own)}, program(self.engine)
        return store.step(self.engine, verb, words, LIMIT, all_of or None, brings=brings)

    async def ask(
        self, host: Host, args: Mapping[str, object], accounts: Sequence[SecretRef], secrets: Secrets
    ) -> Line:
        """What is there, as the engine's program tells it; `accounts`: passwords that it is to compare."""
        text = b"".join([await secrets.rendered(ref) for ref in (*self.secrets, *accounts)])
        words = {"name": self.group.name, "server": self.item(), "word": len(self.secrets), **args}
        brings = program(self.engine)
        lines = await store.ask(host, self.engine, "survey", words, LIMIT, secrets=text, brings=brings)
        if not lines:
            raise NotReady(f"{self.group.name}: {self.host} gave no answer about its server")
        if not lines[0]["ok"]:
            raise NotReady(f"{self.group.name}: {lines[0]['says']}", lines[0]["hint"])
        return lines[0]


def sharing(database: DatabaseSpec, everyone: Iterable[DatabaseSpec]) -> list[DatabaseSpec]:
    """The databases that have their account in common with this one, itself included."""
    return [one for one in everyone if one.user == database.user]


def service_secret(database: DatabaseSpec, everyone: Iterable[DatabaseSpec]) -> SecretRef:
    """The password of its account. Raises NotReady where databases that share the account do not share that."""
    refs = {one.password for one in sharing(database, everyone)}
    if len(refs) > 1 or database.password is None:
        raise NotReady(f"{database.user} has different passwords in fairlead.yml", "give it one, or one account each")
    return database.password


def working_host(group: GroupSpec) -> str:
    """The name of the host that a group's administrator logs in from."""
    return group.server if group.admin and group.admin.local else group.host


class Making:
    """Collects what has to be changed, and what is wrong and is not changed here."""

    def __init__(self, way: Administrator, wish: Wish, form: Literal["mariadb_hash", "pgpass"]) -> None:
        self.way, self.wish, self.form = way, wish, form
        self.changes: list[Change] = []
        self.problems: dict[str, list[tuple[str, str]]] = {}
        """By subject: what is wrong, and what to do."""
        self.remarks: list[str] = []

    def problem(self, subject: str, says: str, hint: str) -> None:
        """Note what nobody here changes."""
        self.problems.setdefault(subject, []).append((says, hint))

    def is_full(self, there: int) -> bool:
        """Whether one more database would be more than `limit`; `there`: those that exist."""
        made = sum(change.word == "database" for change in self.changes)
        return bool(self.wish.group.limit) and there + made >= (self.wish.group.limit or 0)

    def full(self, database: DatabaseSpec) -> None:
        """Note that there is no room for it."""
        limit = self.wish.group.limit
        says = f"{database.database} cannot be made: `limit` is {limit}, and so many databases are there"
        self.problem(database.name, says, "drop one that nobody needs, or raise `limit`")

    def add(
        self,
        word: str,
        subject: str,
        title: str,
        sql: Sql,
        secret: SecretRef | None = None,
        *,
        new: bool = True,
        warns: tuple[str, ...] = (),
    ) -> None:
        """Note a change; `secret` is the password that its statements have a word for."""
        ref = SecretRef(name=secret.name, form=self.form) if secret else None
        do, probe, undo = self.way.commands(sql, ref)
        shown, back = (tuple(_shown(one, secret) for one in several) for several in (sql.do, sql.undo))
        users = {one.name: one.user for one in self.wish.chosen}
        after = next((one for one in users if users[one] == users.get(subject)), subject)
        self.changes.append(Change(word, subject, after, title, shown, back, do, probe, undo, new, warns))

    def survey(self) -> Survey:
        """What came of it."""
        subjects = [one.name for one in self.wish.chosen]
        subjects += [self.wish.caretaker] if self.wish.group.maintenance else []
        found = tuple(self._finding(subject) for subject in subjects)
        return Survey(tuple(self.changes), found, tuple(dict.fromkeys(self.remarks)))

    def _finding(self, subject: str) -> Finding:
        pending = sum(change.subject == subject for change in self.changes)
        says = f"{pending} change{'s' * (pending > 1)} to be made" if pending else "is there, as fairlead.yml says"
        fine = Finding(check="provision", subject=subject, status="ok", says=says)
        problems = self.problems.get(subject)
        if not problems:
            return fine
        says = "; ".join(dict.fromkeys(what for what, _ in problems))
        hint = "; ".join(dict.fromkeys(then for _, then in problems if then))
        return fine.model_copy(update={"status": "fail", "says": says, "hint": hint})


def _shown(statement: str, secret: SecretRef | None) -> str:
    """A statement as a person reads it."""
    bare = re.sub(r"(?s)^delimiter.*?begin end; (.*); end//.*$", r"\1", statement)
    return re.sub(r"<(hash|verifier)>", rf"<\1 of {secret.name}>", bare) if secret else bare


_LEFT_OUT = ("reading a dump as it goes by", "backup", "restore", "sessions", "ledger")


def program(engine: str) -> str:
    """The program that runs an administrator's statements, with what the engine's own knows of reaching a server."""
    whole, _, _ = "".join(package_text(f"engines/{name}.remote") for name in ("store", engine)).rpartition("\nrun(")
    parts = re.split(r"(?m)^# -- ([^\n-]*)(?: -+)?\n", whole)
    named = zip(parts[1::2], parts[2::2], strict=True)
    kept = (text for name, text in named if name.strip() not in _LEFT_OUT)
    return store.lean("".join([parts[0], *kept, package_text(f"engines/{engine}_admin.remote")]))


async def tried(host: Host, engine: str, items: Sequence[Mapping[str, object]], text: bytes) -> dict[object, Line]:
    """By database, what came of statements that its account tried; `text`: the passwords."""
    if not items:
        return {}
    args = {"databases": items}
    brings = program(engine)
    lines = await store.ask(host, engine, "privileges", args, LIMIT, secrets=text, brings=brings)
    return {line.get("database"): line for line in lines}


async def alone(host: Host, engine: str, item: Mapping[str, object], text: bytes) -> Line:
    """What one account sees of its database. Raises NotReady where it cannot log in."""
    line = (await tried(host, engine, [item], text)).get(item["name"])
    if line is None or not line["ok"]:
        raise NotReady(line["says"] if line else "gave no answer", line["hint"] if line else "")
    return line


def judged(
    finding: Finding, database: DatabaseSpec, answers: Mapping[str, str], compared: tuple[list[str], list[str]]
) -> Finding:
    """What an account may do: `answers` of the statements that it tried, and what it lacks and has too much."""
    lacks, more = compared
    let = [name for name, answer in answers.items() if answer == "let through"]
    unknown = [f"{name}: {answer}" for name, answer in answers.items() if answer not in ("", "let through")]
    refused = sum(not answer for answer in answers.values())
    seen = {"refused": refused, "let_through": [*let], "lacks": [*lacks], "too_much": [*more]}
    finding = finding.model_copy(update={"evidence": seen})
    parts = {"lacks": ", ".join(lacks), "may more than it should:": "; ".join(more), "is let through:": ", ".join(let)}
    if told := [f"{what} {which}" for what, which in parts.items() if which]:
        open_to_all = any(
            one.startswith("a login to ") for one in let
        )  # it is the other database that has to be closed
        words = ["--reduce"] * bool(more or let) + [database.name] * (not open_to_all)
        hint = f"`fairlead db provision {' '.join(words)}` changes that"
        return finding.model_copy(update={"status": "fail", "says": f"{database.user} {'; '.join(told)}", "hint": hint})
    if unknown:
        return finding.model_copy(update={"says": f"what {database.user} may do is not known: {'; '.join(unknown)}"})
    says = f"{database.user} may do what it is to, and {refused} other statements are refused"
    return finding.model_copy(update={"status": "ok", "says": says})

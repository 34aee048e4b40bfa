"""Databases and accounts on MariaDB: what is there, what has to be changed, and what an account may do.

A password is set as the hash that the server keeps of it (mysql_native_password): neither the server nor its host is
told the password. Privileges are given on the database's name with `_` escaped, since an unescaped one stands for any
sign and would hold in other databases too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from fairlead.config.database import DatabaseSpec, GroupSpec
from fairlead.config.types import GRANTABLE
from fairlead.engines import mariadb
from fairlead.engines.admin import (
    Administrator,
    Guard,
    Making,
    Sql,
    Survey,
    Wish,
    alone,
    judged,
    service_secret,
    sharing,
    tried,
)
from fairlead.engines.store import Line
from fairlead.errors import NotReady
from fairlead.model import Finding, SecretRef
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets

Rights = Mapping[str, tuple[str, ...]]
"""Privileges by what they hold on, as GRANT writes it."""

_ANY_LABEL = "00000000_00000000"
_SYSTEM = ("information_schema", "mysql", "performance_schema", "sys")


class Account(NamedTuple):
    """An account of the installation, as it is to be."""

    subject: str
    """The database's name in fairlead.yml, or the group's for maintenance."""
    user: str
    hosts: tuple[str, ...]
    secret: SecretRef
    rights: Rights
    exact: bool
    """What it may besides is too much."""


# -- words of SQL


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _name(value: str) -> str:
    return "`" + value.replace("`", "``") + "`"


def _pattern(value: str, tail: str = "") -> str:
    """A database's name where privileges are given, with nothing in it that stands for other signs."""
    return re.sub(r"([_%\\])", r"\\\1", value) + tail


def _who(user: str, host: str) -> str:
    return f"{_text(user)}@{_text(host)}"


def _grantee(user: str, host: str) -> str:
    """The account as information_schema writes it: quoted, and nothing escaped."""
    return f"'{user}'@'{host}'"


EVERYWHERE = ("SET USER", "PROCESS", "CONNECTION ADMIN")
"""What maintenance may on the whole server, beside its databases."""


# -- what is to be


def _rights(database: DatabaseSpec, everyone: Iterable[DatabaseSpec]) -> dict[str, tuple[str, ...]]:
    return {f"{_name(_pattern(one.database))}.*": one.privileges for one in sharing(database, everyone)}


def _accounts(wish: Wish) -> list[Account]:
    """Those of the chosen databases, each once, and the group's for maintenance."""
    found: dict[str, Account] = {}
    for one in wish.chosen:
        secret, rights = service_secret(one, wish.databases), _rights(one, wish.databases)
        found.setdefault(one.user, Account(one.name, one.user, wish.group.clients, secret, rights, exact=True))
    extra = _maintenance(wish)
    return [*found.values(), *([extra] if extra else [])]


def _maintenance(wish: Wish) -> Account | None:
    """Everything in its databases and in what a restore makes beside them; routines are read in `mysql`.

    For the whole server: to bring back what others have defined, to see who is in a swap's way, and to end who may be.
    """
    if (account := wish.group.maintenance) is None:
        return None
    rights: dict[str, tuple[str, ...]] = {"*.*": EVERYWHERE, "`mysql`.`proc`": ("SELECT",)}
    for one in wish.databases:
        rights[f"{_name(_pattern(one.database))}.*"] = GRANTABLE
        for beside in _beside(one):
            rights[f"{_name(_pattern(beside, '%'))}.*"] = GRANTABLE
    return Account(wish.caretaker, account.user, wish.group.clients, account.password, rights, exact=False)


def _beside(database: DatabaseSpec) -> tuple[str, ...]:
    """How the names begin of what restores and drills make beside it; each of them cuts a name that is too long."""
    names = (mariadb.shadow_name(database, _ANY_LABEL), mariadb.kept_name(database, _ANY_LABEL))
    plain = f"{database.database}__"
    if all(name.startswith(plain) for name in (*names, mariadb.drill_name(database))):
        return (plain,)
    return (*(name.removesuffix(_ANY_LABEL) for name in names), mariadb.drill_name(database))


def _create(database: DatabaseSpec, group: GroupSpec, *, once: bool = False) -> str:
    known = "if not exists " if once else ""
    how = f"character set {group.character_set} collate {group.collation}"
    return f"create database {known}{_name(database.database)} {how}"


def script(wish: Wish) -> tuple[str, ...]:
    """The same as statements for an administrator to type, without passwords; run twice they change nothing."""
    told = [f"{_create(one, wish.group, once=True)};" for one in wish.chosen]
    for account in _accounts(wish):
        for host in account.hosts or ("ADDRESS OF THE CLIENT",):
            who = _who(account.user, host)
            told.append(f"create user if not exists {who} identified by '<{account.secret.name}>';")
            told += [f"{one};" for one in _grants(account.rights, who)]
    return tuple(told)


def _grants(rights: Rights, who: str) -> list[str]:
    return [f"grant {', '.join(words).lower()} on {place} to {who}" for place, words in rights.items()]


def _revokes(rights: Rights, who: str) -> list[str]:
    """Also where some of it was not given: a revoke of what is not there is no error here."""
    several = [f"revoke {', '.join(words).lower()} on {place} from {who}" for place, words in rights.items()]
    return [_quietly(one) for one in several]


def _quietly(statement: str) -> str:
    handler = "declare continue handler for 1141, 1147, 1269, 1305 begin end"
    return f"delimiter //\nbegin not atomic {handler}; {statement}; end//\ndelimiter "


# -- what is there


class _Found:
    """The server's answer, by what it is about."""

    def __init__(self, rows: Iterable[list[str]]) -> None:
        self.databases: dict[str, tuple[str, str]] = {}
        self.accounts: dict[tuple[str, str], tuple[str, str, bool, bool]] = {}
        self.rights: dict[str, dict[str, set[str]]] = {}
        self.grantable: dict[str, set[str]] = {}
        self.others: dict[str, list[str]] = {}
        self.read_only = False
        for kind, *words in rows:
            getattr(self, f"_{kind}")(*words)

    def _server(self, version: str, read_only: str, seen_as: str, strict: str) -> None:
        self.read_only = read_only == "1"

    def _database(self, name: str, character_set: str, collation: str) -> None:
        self.databases[name] = (character_set, collation)

    def _account(self, user: str, host: str, plugin: str, password: str, locked: bool, expired: bool) -> None:
        self.accounts[user, host] = (plugin, password, locked, expired)

    def _right(self, grantee: str, schema: str, table: str, privilege: str, grantable: str) -> None:
        place = "*.*" if schema == "*" else f"{_name(schema)}.{_name(table) if table else '*'}"
        if privilege != "USAGE":
            self.rights.setdefault(grantee, {}).setdefault(place, set()).add(privilege)
        if grantable == "YES":
            self.grantable.setdefault(grantee, set()).add(place)

    def _column(self, grantee: str, schema: str, table: str, privilege: str) -> None:
        self.others.setdefault(grantee, []).append(f"{privilege} on columns of {schema}.{table}")

    def _routine(self, grantee: str, schema: str, name: str, privileges: str) -> None:
        self.others.setdefault(grantee, []).append(f"{privileges} of {schema}.{name}")

    def _role(self, grantee: str, role: str) -> None:
        self.others.setdefault(grantee, []).append(f"the role {role}")

    def missing(self, account: Account, host: str, *, strictly: bool) -> dict[str, tuple[str, ...]]:
        """What an account lacks. `strictly`: what it has in a wider place does not count."""
        found = self.rights.get(_grantee(account.user, host), {})
        lacks = {}
        for place, words in account.rights.items():
            has = set(found.get(place, ()))
            if not strictly:
                has = has.union(*(several for wide, several in found.items() if _covers(wide, place)))
            if rest := tuple(word for word in words if word not in has):
                lacks[place] = rest
        return lacks

    def surplus(self, account: Account, host: str) -> dict[str, tuple[str, ...]]:
        """What an account may and need not."""
        grantee = _grantee(account.user, host)
        found = self.rights.get(grantee, {})
        more: dict[str, tuple[str, ...]] = {}
        for place in (*found, *(self.grantable.get(grantee, set()) - found.keys())):
            words = set(found.get(place, ())) - set(account.rights.get(place, ()))
            option = ["GRANT OPTION"] if place in self.grantable.get(grantee, ()) else []
            if words or option:
                more[place] = (*sorted(words), *option)
        return more


def _covers(wide: str, place: str) -> bool:
    """Whether privileges in one place hold in another one too; both as GRANT writes them."""
    if wide == "*.*":
        return True
    if not wide.endswith(".*") or not place.endswith(".*"):
        return wide == place
    sample = re.sub(r"\\(.)", r"\1", place[1:-3].replace("%", _ANY_LABEL)).replace("``", "`")
    signs = re.findall(r"\\.|.", wide[1:-3].replace("``", "`"))
    wild = {"%": ".*", "_": "."}
    return bool(re.fullmatch("".join(wild.get(sign, re.escape(sign[-1])) for sign in signs), sample))


# -- what has to be changed


async def survey(host: Host, wish: Wish, secrets: Secrets) -> Survey:
    """Look as the group's `admin`, on the host that it logs in from. Changes nothing."""
    way, accounts = Administrator("mariadb", wish.group, "mariadb"), _accounts(wish)
    hashes = [SecretRef(name=one.secret.name, form="mariadb_hash") for one in accounts]
    line = await way.ask(host, {"accounts": [one.user for one in accounts]}, hashes, secrets)
    found = _Found(line["rows"])
    if found.read_only:
        raise NotReady(f"{wish.group.name}: the server is read-only", "is it a replica? provision its primary")
    made = _Making(way, wish, found)
    for database in wish.chosen:
        made.database(database)
    for account in accounts:
        made.account(account)
    return made.survey()


class _Making(Making):
    """Collects changes and findings."""

    def __init__(self, way: Administrator, wish: Wish, found: _Found) -> None:
        super().__init__(way, wish, "mariadb_hash")
        self._found = found

    def database(self, database: DatabaseSpec) -> None:
        """The database itself."""
        group, name = self.wish.group, database.database
        there, wanted = self._found.databases.get(name), (group.character_set, group.collation)
        if there is None and self.is_full(sum(one not in _SYSTEM for one in self._found.databases)):
            self.full(database)
        elif there is None:
            self.add("database", database.name, f"make the database {name}", _database_sql(database, group))
        elif there != wanted:
            says = f"{name} has {' and '.join(there)}, not {' and '.join(wanted)}; it is left as it is"
            how = f"CHARACTER SET {wanted[0]} COLLATE {wanted[1]}"
            self.problem(database.name, says, f"ALTER DATABASE {_name(name)} {how}; for new tables only")

    def account(self, account: Account) -> None:
        """An account at each host that it comes from, and at others."""
        for number, host in enumerate(account.hosts):
            self._account_at(account, host, f"-{number + 1}" if number else "")
        if strange := [
            host for user, host in self._found.accounts if user == account.user and host not in account.hosts
        ]:
            who = ", ".join(_grantee(account.user, host) for host in strange)
            says = f"there is {who} too, which is not one of `clients`"
            self.problem(account.subject, says, f"DROP USER {who}, if nobody needs it")

    def _account_at(self, account: Account, host: str, tail: str) -> None:
        subject, there = account.subject, self._found.accounts.get((account.user, host))
        if there is None:
            sql, title = _account_sql(account.user, host), f"make the account {account.user} for {host}"
            self.add(f"account{tail}", subject, title, sql, account.secret)
        else:
            self._known(account, host, tail, there)
        if lacks := self._found.missing(account, host, strictly=account.exact and self.wish.reduce):
            title = f"give {account.user} what it needs" if there else f"give {account.user} its privileges"
            self.add(f"grants{tail}", subject, title, _grants_sql(lacks, account.user, host), new=there is None)
        if account.exact and there is not None:
            self._too_much(account, host, tail)

    def _known(self, account: Account, host: str, tail: str, there: tuple[str, str, bool, bool]) -> None:
        """An account that is there: its password, and what keeps it from logging in."""
        plugin, password, locked, expired = there
        subject, user, who = account.subject, account.user, _who(account.user, host)
        if locked:
            self.problem(subject, f"{user} is locked", f"ALTER USER {who} ACCOUNT UNLOCK, if that was not meant")
        if password == "wrong":  # noqa: S105 - a word of ours
            warns = (f"who still uses the old password of {user} cannot log in any more",)
            title, sql = f"set the password of {user} to {account.secret.name}", _password_sql(user, host)
            self.add(f"password{tail}", subject, title, sql, account.secret, new=False, warns=warns)
        elif expired:
            hint = f"give {account.secret.name} a new value, and provision again"
            self.problem(subject, f"the password of {user} has expired", hint)
        elif password == "unknown" and plugin != "ed25519":  # noqa: S105 - whether that is right shows at a login
            hint = f"ALTER USER {who} IDENTIFIED VIA mysql_native_password, or leave it to whoever made it so"
            self.problem(subject, f"{user} logs in by {plugin}, not by a password", hint)

    def _too_much(self, account: Account, host: str, tail: str) -> None:
        subject, user = account.subject, account.user
        more, others = self._found.surplus(account, host), self._found.others.get(_grantee(user, host), [])
        told = "; ".join(f"{', '.join(words)} on {place}" for place, words in more.items())
        if more and self.wish.reduce:
            title, sql = f"take from {user} what is too much", _surplus_sql(more, user, host)
            self.add(f"surplus{tail}", subject, title, sql, new=False, warns=(f"{user} may no longer: {told}",))
        elif more:
            hint = f"`fairlead db provision {subject} --reduce` takes it away"
            self.problem(subject, f"{user} may more than it should: {told}", hint)
        if others:
            hint = f"REVOKE it; see SHOW GRANTS FOR {_who(user, host)}"
            self.problem(subject, f"{user} may more than it should: {'; '.join(others)}", hint)


def _database_sql(database: DatabaseSpec, group: GroupSpec) -> Sql:
    name, place = _text(database.database), "information_schema"
    right = (
        f"max(default_character_set_name = {_text(group.character_set)} and "
        f"default_collation_name = {_text(group.collation)})"
    )
    count = " + ".join(
        f"(select count(*) from {place}.{table} where {column} = {name})"
        for table, column in (("tables", "table_schema"), ("routines", "routine_schema"), ("events", "event_schema"))
    )
    return Sql(
        do=(_create(database, group),),
        probe=f"select case when count(*) = 0 then 'before' when {right} then 'after' else 'cannot_tell' end "
        f"from {place}.schemata where schema_name = binary {name}",
        undo=(f"drop database if exists {_name(database.database)}",),
        guards=(
            Guard(
                f"select {count}",
                f"{database.database} is not empty any more, so it is not dropped",
                "look at what is in it",
            ),
        ),
    )


_CHANGED = "has another password by now, so it is not dropped"


def _account_sql(user: str, host: str) -> Sql:
    mine = f"from mysql.global_priv where User = {_text(user)} and Host = {_text(host)}"
    hashed = "json_value(Priv, '$.authentication_string')"
    given = " + ".join(
        f"(select count(*) from information_schema.{table} where grantee = {_text(_grantee(user, host))})"
        for table in ("schema_privileges", "table_privileges")
    )
    return Sql(
        do=(f"create user {_who(user, host)} identified via mysql_native_password using '<hash>'",),
        probe=f"select case when count(*) = 0 then 'before' when max({hashed} = '<hash>') then 'after' "
        f"else 'cannot_tell' end {mine}",
        undo=(f"drop user if exists {_who(user, host)}",),
        guards=(
            Guard(
                f"select count(*) {mine} and coalesce({hashed}, '') <> '<hash>'", f"{user} {_CHANGED}", "whose is it?"
            ),
            Guard(f"select {given}", f"somebody has given {user} privileges, so it is not dropped", "whose is it?"),
        ),
    )


def _password_sql(user: str, host: str) -> Sql:
    mine = f"from mysql.global_priv where User = {_text(user)} and Host = {_text(host)}"
    right = "max(json_value(Priv, '$.authentication_string') = '<hash>')"
    return Sql(
        do=(f"alter user {_who(user, host)} identified via mysql_native_password using '<hash>'",),
        probe=f"select case when count(*) = 0 then 'cannot_tell' when {right} then 'after' else 'before' end {mine}",
    )


def _grants_sql(rights: Rights, user: str, host: str) -> Sql:
    total, held = sum(map(len, rights.values())), _held(rights, user, host)
    return Sql(
        do=tuple(_grants(rights, _who(user, host))),
        probe=f"select case {held} when 0 then 'before' when {total} then 'after' else 'between' end",
        undo=tuple(_revokes(rights, _who(user, host))),
    )


def _surplus_sql(rights: Rights, user: str, host: str) -> Sql:
    total, held = sum(map(len, rights.values())), _held(rights, user, host)
    return Sql(
        do=tuple(_revokes(rights, _who(user, host))),
        probe=f"select case {held} when {total} then 'before' when 0 then 'after' else 'between' end",
        undo=tuple(_given_back(rights, _who(user, host))),
    )


def _given_back(rights: Rights, who: str) -> Iterator[str]:
    for place, words in rights.items():
        plain = ", ".join(word for word in words if word != "GRANT OPTION") or "usage"
        yield f"grant {plain.lower()} on {place} to {who}" + " with grant option" * ("GRANT OPTION" in words)


def _held(rights: Rights, user: str, host: str) -> str:
    """How many of these privileges the account has, as an expression."""
    grantee, parts = _text(_grantee(user, host)), []
    for place, words in rights.items():
        table, where = _source(place)
        mine = f"from information_schema.{table} where grantee = {grantee}{where}"
        plain = ", ".join(_text(word) for word in words if word != "GRANT OPTION")
        if plain:
            parts.append(f"(select count(*) {mine} and privilege_type in ({plain}))")
        if "GRANT OPTION" in words:
            parts.append(f"(select coalesce(max(is_grantable = 'YES'), 0) {mine})")
    return "(" + " + ".join(parts) + ")"


def _source(place: str) -> tuple[str, str]:
    """The view that lists privileges of a place, and its condition."""
    if place == "*.*":
        return "user_privileges", ""
    schema, _, table = place.rpartition(".")
    within = f" and table_schema = {_text(schema[1:-1].replace('``', '`'))}"
    if table == "*":
        return "schema_privileges", within
    return "table_privileges", f"{within} and table_name = {_text(table[1:-1].replace('``', '`'))}"


# -- what an account may do

_LOOK = """select default_character_set_name, default_collation_name from information_schema.schemata
 where schema_name = database()"""


_CREATE_ITSELF = """execute immediate concat("create user if not exists '", substring_index(current_user(), '@', 1),
 "'@'", substring_index(current_user(), '@', -1), "'")"""
"""Whoever is let through finds the account there."""


def _forbidden(database: DatabaseSpec, everyone: Iterable[DatabaseSpec]) -> list[tuple[str, str]]:
    """Statements that change nothing if they are let through, by what they would prove."""
    table = f"{_name(database.database)}.fairlead_is_not_there"
    tried = [
        ("CREATE USER", _CREATE_ITSELF),
        ("DROP USER", "drop user if exists fairlead_is_not_there@localhost"),
        ("CREATE ROLE", "drop role if exists fairlead_is_not_there"),
        ("GRANT", f"grant select on {_name(_pattern(database.database))}.* to current_user()"),
        ("CREATE DATABASE", "create database if not exists mysql"),
        ("DROP DATABASE", "drop database if exists fairlead_is_not_there"),
        ("FILE", "select 1 into outfile '/fairlead/is/not/there'"),
        ("SUPER", "set global max_connections = @@global.max_connections"),
        ("PROCESS", "select count(*) from information_schema.innodb_trx"),
        ("mysql.global_priv", "select 1 from mysql.global_priv limit 0"),
    ]
    if "DROP" not in database.privileges:
        tried.append(("DROP TABLE", f"drop table if exists {table}"))
    others = (other.database for other in everyone if other.user != database.user)
    return tried + [(f"a look into {other}", f"use {_name(other)}") for other in others]


async def privileges(host: Host, wish: Wish, secrets: Secrets) -> list[Finding]:
    """Log in as each service: may it do exactly what it is to, and is the rest refused? In the order of the chosen."""
    databases, group = wish.chosen, wish.group
    keys = await mariadb.Keys.of(databases, secrets, maintenance=False, check="privileges")
    able = [one for one in databases if one.name not in keys.missing]
    items = [keys.item(one) | {"look": _LOOK, "forbidden": _forbidden(one, wish.databases)} for one in able]
    answers = await tried(host, "mariadb", items, keys.text)
    found = [keys.missing.get(one.name) or _judged(one, answers.get(one.name), wish) for one in databases]
    if group.made_by == "fairlead":
        return found
    return [_in_the_panel(finding, one, group) for finding, one in zip(found, databases, strict=True)]


async def lacks(
    host: Host, database: DatabaseSpec, needs: Sequence[str], secrets: Secrets, *, maintenance: bool
) -> list[str]:
    """Which of these privileges the account does not have in its database. Raises NotReady where it cannot log in."""
    keys = await mariadb.Keys.of([database], secrets, maintenance=maintenance, check="migration")
    if missing := keys.missing.get(database.name):
        raise NotReady(missing.says, missing.hint)
    line = await alone(host, "mariadb", keys.item(database) | {"look": _LOOK, "forbidden": []}, keys.text)
    return _compared({f"{_name(_pattern(database.database))}.*": tuple(needs)}, line["grants"])[0]


def _in_the_panel(finding: Finding, database: DatabaseSpec, group: GroupSpec) -> Finding:
    """The same with what to do in the panel."""
    if not finding.blocks:
        return finding
    place, words = f"in the panel of {group.host}, Databases", ", ".join(database.privileges)
    hint = f"{place} > User Management > {database.user}: tick exactly {words}"
    if "there is no database" in finding.says:
        limit = f" (of {group.limit})" if group.limit else ""
        hint = f"{place} > Add Database{limit}: {database.database}, with the user {database.user}"
    elif "denied for" in finding.says:
        hint = f"{place} > User Management > {database.user}: set the password to that in fairlead.yml's sources"
    return finding.model_copy(update={"hint": hint})


def _judged(database: DatabaseSpec, line: Line | None, wish: Wish) -> Finding:
    finding = Finding(check="privileges", subject=database.name, status="unknown", says="gave no answer")
    if line is None:
        return finding
    if not line["ok"]:
        words = {"status": "fail", "says": line["says"], "hint": line["hint"], "ms": line["ms"]}
        return finding.model_copy(update=words)
    seen, wanted = tuple(line["seen"]), (wish.group.character_set, wish.group.collation)
    if seen != wanted:
        says = f"{database.database} has {' and '.join(seen)}, not {' and '.join(wanted)}"
        return finding.model_copy(update={"status": "fail", "says": says, "hint": "ALTER DATABASE, for new tables"})
    compared = _compared(_rights(database, wish.databases), line["grants"])
    return judged(finding.model_copy(update={"ms": line["ms"]}), database, line["answers"], compared)


_GRANT = re.compile(r"GRANT (.*) ON (\S+) TO .*?( WITH .*GRANT OPTION)?$")


def _compared(wanted: Rights, grants: Iterable[str]) -> tuple[list[str], list[str]]:
    """What the account lacks, and what is too much, by SHOW GRANTS."""
    lacks = {(place, word) for place, words in wanted.items() for word in words}
    more: list[str] = []
    for line in grants:
        found = _GRANT.match(line)
        if not found:
            more.append(line.removeprefix("GRANT ").partition(" TO ")[0])  # a role
            continue
        words = {word for word in found[1].split(", ") if word != "USAGE"}
        rest = words - set(wanted.get(found[2], ()))
        everything = words & {"ALL PRIVILEGES"}
        lacks -= {one for one in lacks if _covers(found[2], one[0]) and (everything or one[1] in words)}
        if rest or found[3]:
            more.append(f"{', '.join([*sorted(rest), *(['GRANT OPTION'] if found[3] else [])])} on {found[2]}")
    return sorted({word for _, word in lacks}), more

"""Databases and accounts on PostgreSQL: what is there, what has to be changed, and what an account may do.

A password is set as the verifier that the server keeps of it (SCRAM-SHA-256): no statement holds the password.
pg_hba.conf is read and judged, and never written: it belongs to whoever runs the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from fairlead.config.database import DatabaseSpec
from fairlead.engines import postgres
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

ATTRIBUTES = ("SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS")
"""What no service's account has."""
READS = "pg_read_all_data"


class Account(NamedTuple):
    """An account of the installation, as it is to be."""

    subject: str
    """The database's name in fairlead.yml, or the group's for maintenance."""
    user: str
    secret: SecretRef
    service: bool


# -- words of SQL


def _text(value: str) -> str:
    return ("E" if "\\" in value else "") + "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def _names(values: Iterable[str]) -> str:
    return ", ".join(map(_name, values))


# -- what is to be


def _accounts(wish: Wish) -> list[Account]:
    """Those of the chosen databases, each once, and the group's for maintenance."""
    found: dict[str, Account] = {}
    for one in wish.chosen:
        secret = service_secret(one, wish.databases)
        found.setdefault(one.user, Account(one.name, one.user, secret, service=True))
    extra = wish.group.maintenance
    return [*found.values(), *([Account(wish.caretaker, extra.user, extra.password, False)] if extra else [])]


def _owners(wish: Wish, roles: Mapping[str, Any]) -> list[str]:
    """The accounts that maintenance has to be a member of: the chosen ones, and those of the group that are there."""
    chosen = {one.user for one in wish.chosen}
    return list(dict.fromkeys(one.user for one in wish.databases if one.user in chosen or one.user in roles))


def _create(database: DatabaseSpec, template: str) -> str:
    return f"create database {_name(database.database)} owner {_name(database.user)} template {_name(template)}"


def script(wish: Wish) -> tuple[str, ...]:
    """The same as statements for an administrator to type into psql, without passwords; run twice they do it once."""
    # A server may keep an MD5 of a password that comes as text, and pg_hba.conf lets nobody in with that.
    told = ["set password_encryption = 'scram-sha-256';"]
    for account in _accounts(wish):
        more = "" if account.service else " createdb"
        making = f"create role {_name(account.user)} login{more} password '<{account.secret.name}>'"
        there = f"select from pg_roles where rolname = {_text(account.user)}"
        told.append(f"select {_text(making)} where not exists ({there}) \\gexec")
    for one in wish.chosen:
        there = f"select from pg_database where datname = {_text(one.database)}"
        told.append(f"select {_text(_create(one, wish.group.template))} where not exists ({there}) \\gexec")
        told.append(f"revoke all on database {_name(one.database)} from public;")
    if wish.group.maintenance:
        told.append(f"grant {_names([READS, *_owners(wish, {})])} to {_name(wish.group.maintenance.user)};")
    return (*told, *(f"-- pg_hba.conf: {line}" for line in _lines(wish)))


def _lines(wish: Wish) -> list[str]:
    return [_hba_line(wish, one.database, one.user, client) for one in wish.chosen for client in wish.group.clients] + [
        _hba_line(wish, "all", wish.group.maintenance.user, client)
        for client in wish.group.clients
        if wish.group.maintenance
    ]


def _hba_line(wish: Wish, database: str, user: str, client: str) -> str:
    kind = "host" if wish.group.tls == "off" else "hostssl"
    address = _address(client)
    return f"{kind} {database} {user} {address}/{address.max_prefixlen} scram-sha-256"


def _address(client: str) -> Any:
    return ip_address("127.0.0.1" if client == "localhost" else client)


# -- pg_hba.conf


class Rule(NamedTuple):
    """A line of pg_hba.conf as the server reads it."""

    number: int
    kind: str
    databases: tuple[str, ...]
    users: tuple[str, ...]
    address: str
    mask: str
    method: str
    error: str


def rules(rows: Iterable[Sequence[Any]]) -> list[Rule]:
    """The lines that the server's view shows."""
    return [
        Rule(number or 0, kind or "", tuple(databases or ()), tuple(users or ()), *(word or "" for word in rest))
        for number, kind, databases, users, *rest in rows
    ]


def first_match(
    several: Iterable[Rule], login: tuple[str, str], groups: Sequence[str], way: tuple[str, str]
) -> Rule | None:
    """The line that decides about a login into a database as a user; `way`: the client's address and `tls`.

    Raises LookupError where a line before it cannot be judged from here, such as one with a host's name.
    """
    (database, user), client, tls = login, _address(way[0]), way[1]
    for rule in several:
        if rule.error or rule.kind not in ("host", "hostnogssenc", "hostnossl" if tls == "off" else "hostssl"):
            continue
        about = _names_it(rule.databases, database, (user, *groups)) and _is_user(rule.users, user, groups)
        if about and _from(rule, client):
            return rule
    return None


def from_anywhere(several: Iterable[Rule], login: tuple[str, str], groups: Sequence[str]) -> list[Rule]:
    """The lines that let a user into a database wherever it comes from, as far as that can be judged from here."""
    database, user = login
    found = []
    for rule in several:
        wide = rule.address == "all" or rule.mask in ("0.0.0.0", "::")  # noqa: S104 - a mask
        if rule.error or not rule.kind.startswith("host") or rule.method == "reject" or not wide:
            continue
        with suppress(LookupError):
            if _names_it(rule.databases, database, (user, *groups)) and _is_user(rule.users, user, groups):
                found.append(rule)
    return found


def _names_it(words: Iterable[str], database: str, roles: Sequence[str]) -> bool:
    for word in words:
        if word.startswith("/"):
            raise LookupError(word)
        if word in ("all", database) or (word == "sameuser" and database == roles[0]):
            return True
        if word in ("samerole", "samegroup") and database in roles:
            return True
    return False


def _is_user(words: Iterable[str], user: str, groups: Sequence[str]) -> bool:
    if any(word.startswith("/") for word in words):
        raise LookupError("/")
    return any(word in ("all", user) or word in {f"+{group}" for group in (user, *groups)} for word in words)


def _from(rule: Rule, client: Any) -> bool:
    if rule.address == "all":
        return True
    try:
        return client in ip_network(f"{rule.address}/{rule.mask}", strict=False)
    except ValueError:
        raise LookupError(rule.address) from None


# -- what has to be changed


async def survey(host: Host, wish: Wish, secrets: Secrets) -> Survey:
    """Look as the group's `admin`, on the host that it logs in from. Changes nothing."""
    way, accounts = Administrator("postgres", wish.group, "pgpass"), _accounts(wish)
    names = [one.database for one in wish.databases]
    roles = [one.user for one in accounts]
    roles += [one.user for one in wish.databases if one.user not in roles]
    args = {"names": names, "roles": roles, "template": wish.group.template}
    line = await way.ask(host, args, [SecretRef(name=one.secret.name, form="pgpass") for one in accounts], secrets)
    found = line["found"]
    if not found["super"]:
        raise NotReady(f"{wish.group.name}: {way.admin.user} is no superuser", "give an `admin` that is one")
    if found["closed"]:
        raise NotReady(f"{wish.group.name}: the server is read-only", "is it a standby? provision its primary")
    made = _Making(way, wish, found)
    for account in accounts:
        made.account(account)
    for database in wish.chosen:
        made.database(database)
    made.maintenance()
    return made.survey()


class _Making(Making):
    """Collects changes and findings."""

    def __init__(self, way: Administrator, wish: Wish, found: dict[str, Any]) -> None:
        super().__init__(way, wish, "pgpass")
        self._found, self._rules = found, rules(found["hba"])

    def account(self, account: Account) -> None:
        """A role that logs in: that there is one, and its password."""
        subject, user, role = account.subject, account.user, self._found["roles"].get(account.user)
        if role is None:
            self.add("account", subject, f"make the account {user}", _account_sql(account), account.secret)
            return
        if not role["LOGIN"]:
            self.problem(subject, f"{user} may not log in", f"ALTER ROLE {_name(user)} LOGIN, if it is to")
        if role["password"] == "md5" and self._asks_scram(account, role):  # noqa: S105 - a word of ours
            title, sql = f"keep the password of {user} as SCRAM-SHA-256", _password_sql(user, role["expired"])
            self.add("password", subject, title, sql, account.secret, new=False)
        elif role["password"] not in ("right", "md5"):
            warns = (f"who still uses the old password of {user} cannot log in any more",)
            title, sql = f"set the password of {user} to {account.secret.name}", _password_sql(user, role["expired"])
            self.add("password", subject, title, sql, account.secret, new=False, warns=warns)
        elif role["expired"]:
            hint = f"give {account.secret.name} a new value, and provision again"
            self.problem(subject, f"the password of {user} has expired", hint)
        if account.service:
            self._too_much(account, role)

    def _asks_scram(self, account: Account, role: Mapping[str, Any]) -> bool:
        """Whether a line of pg_hba.conf asks this account for what an MD5 of its password cannot answer."""
        mine = sharing(self._database_of(account), self.wish.databases) if account.service else self.wish.chosen
        logins = [((one.database, account.user), client) for one in mine for client in self.wish.group.clients]
        lines = [self._line(login, role["member"], client) for login, client in logins]
        return any(line is not None and line.method == "scram-sha-256" for line in lines)

    def _line(self, login: tuple[str, str], groups: Sequence[str], client: str) -> Rule | None:
        return first_match(self._rules, login, groups, (client, self.wish.group.tls))

    def _too_much(self, account: Account, role: Mapping[str, Any]) -> None:
        subject, user, attributes = account.subject, account.user, [word for word in ATTRIBUTES if role[word]]
        told = "; ".join([*attributes, *(f"a member of {name}" for name in role["member"])])
        if told and self.wish.reduce:
            title, sql = f"take from {user} what is too much", _surplus_sql(user, attributes, role["member"])
            self.add("surplus", subject, title, sql, new=False, warns=(f"{user} is no longer: {told}",))
        elif told:
            hint = f"`fairlead db provision {subject} --reduce` takes it away"
            self.problem(subject, f"{user} may more than it should: {told}", hint)
        own = {one.database for one in sharing(self._database_of(account), self.wish.databases)}
        if strange := [name for name in role["owns"] if not own & {name, *name.split("__")[:1]}]:
            self.problem(subject, f"{user} owns {', '.join(strange)} too", "ALTER DATABASE ... OWNER TO another")

    def _database_of(self, account: Account) -> DatabaseSpec:
        return next(one for one in self.wish.chosen if one.name == account.subject)

    def database(self, database: DatabaseSpec) -> None:
        """The database, whose it is, who else gets in, and what pg_hba.conf says."""
        subject, name, user = database.name, database.database, database.user
        there = self._found["databases"].get(name)
        if there is None:
            self._new(database)
        elif there["owner"] != user:
            says = f"{name} belongs to {there['owner']}, not to {user}; it is left as it is"
            self.problem(subject, says, f"ALTER DATABASE {_name(name)} OWNER TO {_name(user)}, if it is the service's")
        elif there["public"] and self.wish.reduce:
            self._close(database, tuple(there["public"]), new=False)
        elif there["public"]:
            hint = f"`fairlead db provision {subject} --reduce` takes it away"
            self.problem(subject, f"every account of the server may {' and '.join(there['public'])} in {name}", hint)
        role = self._found["roles"].get(user) or {"member": []}
        for client in self.wish.group.clients:
            self._let_in((name, user), role["member"], client, subject)
        for rule in from_anywhere(self._rules, (name, user), role["member"]):
            clients = ", ".join(self.wish.group.clients)
            says = f"line {rule.number} of pg_hba.conf lets {user} into {name} from anywhere, and only {clients} has to"
            self.remarks.append(says)

    def _new(self, database: DatabaseSpec) -> None:
        template, name = self.wish.group.template, database.database
        if self.is_full(self._found["count"]):
            self.full(database)
        elif not self._found["template"]:
            says = f"{name} cannot be made: there is no database {template}"
            self.problem(database.name, says, "is `template` right?")
        else:
            title = f"make the database {name} of {database.user}"
            self.add("database", database.name, title, _database_sql(database, template))
            self._close(database, ("CONNECT", "TEMPORARY"), new=True)

    def _close(self, database: DatabaseSpec, public: tuple[str, ...], *, new: bool) -> None:
        name = database.database
        warns = () if new else (f"accounts without a privilege of their own can no longer log in to {name}",)
        self.add(
            "closed", database.name, f"close {name} to other accounts", _closed_sql(name, public), new=new, warns=warns
        )

    def maintenance(self) -> None:
        """What backup and restore need: to make databases, to read all, and to act for their owners."""
        account = self.wish.group.maintenance
        if account is None:
            return
        role = self._found["roles"].get(account.user)
        nothing: dict[str, Any] = {"CREATEDB": False, "SUPERUSER": False, "member": []}
        has = role or nothing
        wanted = [*([READS] if self._found["reads"] else []), *_owners(self.wish, self._found["roles"])]
        lacks = [] if has["SUPERUSER"] else [name for name in wanted if name not in has["member"]]
        able = role is None or has["CREATEDB"] or has["SUPERUSER"]
        if lacks or not able:
            title = f"give {account.user} what backup and restore need"
            # The accounts that it becomes a member of are made before, beside each other.
            sql = _rights_sql(account.user, lacks, createdb=not able)
            self.add("rights", self.wish.caretaker, title, sql, new=False)
        for client in self.wish.group.clients:
            for name in dict.fromkeys(["postgres", *(one.database for one in self.wish.chosen)]):
                self._let_in((name, account.user), has["member"], client, self.wish.caretaker, line_for="all")

    def _let_in(
        self, login: tuple[str, str], groups: Sequence[str], client: str, subject: str, line_for: str = ""
    ) -> None:
        """What pg_hba.conf says to a login into a database as a user; where that cannot be judged, trying will show."""
        database, user = login
        try:
            rule = self._line(login, groups, client)
        except LookupError:
            return
        line = _hba_line(self.wish, line_for or database, user, client)
        if rule is None:
            hint = f"add to pg_hba.conf: {line}; then SELECT pg_reload_conf()"
            self.problem(subject, f"pg_hba.conf does not let {user} into {database} from {client}", hint)
            self.remarks.append(f"pg_hba.conf needs: {line}")
        elif rule.method not in ("scram-sha-256", "md5", "password"):
            says = f"line {rule.number} of pg_hba.conf says {rule.method} to {user} from {client}, and asks no password"
            self.problem(subject, says, f"write before it: {line}; then SELECT pg_reload_conf()")
            self.remarks.append(f"pg_hba.conf needs, before line {rule.number}: {line}")


def _role(user: str) -> str:
    return f"from pg_authid where rolname = {_text(user)}"


def _account_sql(account: Account) -> Sql:
    more = "" if account.service else " createdb"
    return Sql(
        do=(f"create role {_name(account.user)} login{more} password '<verifier>'",),
        probe=f"select case when not exists (select {_role(account.user)}) then 'before' when <right> then 'after' "
        "else 'cannot_tell' end",
        undo=(f"drop role if exists {_name(account.user)}",),
        guards=(
            Guard(
                f"select count(*) {_role(account.user)} and not <right>",
                f"{account.user} has another password by now, so it is not dropped",
                "whose is it?",
            ),
        ),
        more={"role": account.user},
    )


def _password_sql(user: str, expired: bool) -> Sql:
    again = " valid until 'infinity'" if expired else ""
    return Sql(
        do=(f"alter role {_name(user)} password '<verifier>'{again}",),
        probe=f"select case when not exists (select {_role(user)}) then 'cannot_tell' when <right> then 'after' "
        "else 'before' end",
        more={"role": user},
    )


def _database_sql(database: DatabaseSpec, template: str) -> Sql:
    mine = f"from pg_database where datname = {_text(database.database)}"
    return Sql(
        do=(_create(database, template),),
        probe=f"select case when count(*) = 0 then 'before' when max(pg_get_userbyid(datdba)) = {_text(database.user)} "
        f"then 'after' else 'cannot_tell' end {mine}",
        undo=(f"drop database if exists {_name(database.database)}",),
        more={"empty": [database.database, template]},
    )


def _closed_sql(name: str, public: tuple[str, ...]) -> Sql:
    held = "select from aclexplode(coalesce(datacl, acldefault('d', datdba))) where grantee = 0"
    given = f"grant {', '.join(public).lower()} on database {_name(name)} to public"
    return Sql(
        do=(f"revoke all on database {_name(name)} from public",),
        probe=f"select case when count(*) = 0 then 'before' when bool_or(exists ({held})) then 'before' "
        f"else 'after' end from pg_database where datname = {_text(name)}",
        undo=(given,),
    )


def _rights_sql(user: str, members: Sequence[str], *, createdb: bool) -> Sql:
    do = [f"grant {_names(members)} to {_name(user)}"] if members else []
    undo = [f"revoke {_names(members)} from {_name(user)}"] if members else []
    if createdb:
        do.append(f"alter role {_name(user)} createdb")
        undo.append(f"alter role {_name(user)} nocreatedb")
    total = len(members) + createdb
    flag = f"(select count(*) {_role(user)} and rolcreatedb)" if createdb else "0"
    return Sql(
        do=("begin", *do, "commit"),
        probe=f"select case {_memberships(user, members)} + {flag} when 0 then 'before' when {total} then 'after' "
        "else 'between' end",
        undo=("begin", *undo, "commit"),
    )


def _memberships(user: str, groups: Sequence[str]) -> str:
    """How many of these roles the account is a member of, as an expression."""
    if not groups:
        return "0"
    names = ", ".join(map(_text, groups))
    whose = f"pg_get_userbyid(m.roleid) in ({names}) and pg_get_userbyid(m.member) = {_text(user)}"
    return f"(select count(distinct m.roleid) from pg_auth_members m where {whose})"


def _surplus_sql(user: str, attributes: Sequence[str], groups: Sequence[str]) -> Sql:
    words = " ".join(f"no{word.lower()}" for word in attributes)
    do = [f"alter role {_name(user)} {words}"] if attributes else []
    undo = [f"alter role {_name(user)} {' '.join(attributes).lower()}"] if attributes else []
    if groups:
        do.append(f"revoke {_names(groups)} from {_name(user)}")
        undo.append(f"grant {_names(groups)} to {_name(user)}")
    columns = {"SUPERUSER": "rolsuper", "CREATEDB": "rolcreatedb", "CREATEROLE": "rolcreaterole",
               "REPLICATION": "rolreplication", "BYPASSRLS": "rolbypassrls"}  # fmt: skip
    flags = " + ".join(f"{columns[word]}::int" for word in attributes) or "0"
    total = len(attributes) + len(groups)
    held = f"(select coalesce(sum({flags}), 0) {_role(user)}) + {_memberships(user, groups)}"
    return Sql(
        do=("begin", *do, "commit"),
        probe=f"select case {held} when {total} then 'before' when 0 then 'after' else 'between' end",
        undo=("begin", *undo, "commit"),
    )


# -- what an account may do

_LOOK = """select json_build_object('owner', (select pg_get_userbyid(datdba) from pg_database
 where datname = current_database()), 'public', (select coalesce(json_agg(privilege_type), '[]') from pg_database,
 aclexplode(coalesce(datacl, acldefault('d', datdba))) where datname = current_database() and grantee = 0),
 'SUPERUSER', rolsuper, 'CREATEDB', rolcreatedb, 'CREATEROLE', rolcreaterole, 'REPLICATION', rolreplication,
 'BYPASSRLS', rolbypassrls, 'member', (select coalesce(json_agg(pg_get_userbyid(roleid)), '[]') from pg_auth_members
 where member = r.oid))::text from pg_roles r where rolname = current_user;"""

_FORBIDDEN = (
    ("CREATE ROLE", "create role fairlead_is_not_there"),
    ("CREATEDB", "alter role current_user createdb"),
    ("SUPERUSER", "alter role current_user superuser"),
    ("DROP DATABASE of another", "alter database postgres connection limit -1"),
    ("GRANT", "grant pg_monitor to current_user"),
    ("COPY TO PROGRAM", "copy (select 1) to program 'true'"),
    ("COPY TO a file", "copy (select 1) to '/dev/null'"),
    ("pg_read_file", "select pg_read_file('PG_VERSION')"),
    ("pg_authid", "select 1 from pg_authid limit 0"),
    ("SET ROLE", "set local role pg_monitor"),
    ("lo_import", "select lo_import('/dev/null')"),
)
"""Tried in a transaction that is rolled back."""


async def privileges(host: Host, wish: Wish, secrets: Secrets) -> list[Finding]:
    """Log in as each service: may it do exactly what it is to, and is the rest refused? In the order of the chosen."""
    databases = wish.chosen
    work = await postgres.Work.of(databases, secrets, maintenance=False)
    users = {one.name: one.user for one in databases}
    for item in work.items:
        others = [one.database for one in wish.databases if one.user != users[str(item["name"])]]
        item |= {"look": _LOOK, "forbidden": _FORBIDDEN, "others": others}
    answers = await tried(host, "postgres", work.items, work.lines)
    return [_judged(one, answers.get(one.name), work.missing.get(one.name)) for one in databases]


def _judged(database: DatabaseSpec, line: Line | None, missing: NotReady | None) -> Finding:
    finding = Finding(check="privileges", subject=database.name, status="unknown", says="gave no answer")
    if missing:
        return finding.model_copy(update={"status": "fail", "says": missing.what, "hint": missing.hint})
    if line is None:
        return finding
    if not line["ok"]:
        words = {"status": "fail", "says": line["says"], "hint": line["hint"], "ms": line["ms"]}
        return finding.model_copy(update=words)
    seen, answers = line["seen"], line["answers"]
    more = [word for word in ATTRIBUTES if seen[word]] + [f"a member of {name}" for name in seen["member"]]
    more += [f"{word} of everybody in {database.database}" for word in seen["public"]]
    lacks = [] if seen["owner"] == database.user else [f"the ownership of {database.database}"]
    return judged(finding.model_copy(update={"ms": line["ms"]}), database, answers, (lacks, more))


async def lacks(
    host: Host, database: DatabaseSpec, needs: Sequence[str], secrets: Secrets, *, maintenance: bool
) -> list[str]:
    """All of them where the account does not act for the database's owner, else none: an owner may do everything there.

    Raises NotReady where it cannot log in.
    """
    work = await postgres.Work.of([database], secrets, maintenance=maintenance)
    if missing := work.missing.get(database.name):
        raise missing
    item = work.items[0] | {"look": _LOOK, "forbidden": [], "others": []}
    seen = (await alone(host, "postgres", item, work.lines))["seen"]
    owns = seen["SUPERUSER"] or seen["owner"] in (item["user"], *seen["member"])
    return [] if owns else list(needs)

"""Servers on which databases are made: real ones, that a service reaches only through TCP from 127.0.0.1.

The administrator logs in over the server's socket, through what stands for sudo, or with a password. What is there is
asked of the servers' own clients, past Fairlead; `reset` leaves a server as it was installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from support import mariadb, postgres
from support.postgres import quoted

NAMES = ("crm", "shop")
PRINTABLE = "".join(chr(sign) for sign in range(32, 127)) + "äß€😀\u00ad\ufb01"
PASSWORDS = {
    "CRM_PASS": PRINTABLE,
    "SHOP_PASS": "'; drop database mysql; -- \\",
    "KEEPER_PASS": "keeper's \"own\" \\' password",
    "ADMIN_PASS": f"{PRINTABLE}{PRINTABLE[::-1]}",
}
Said = subprocess.CompletedProcess[str]


class Ground(Protocol):
    """One server, and what rows do to it."""

    denied: str
    """What a wrong password of the administrator is called."""
    too_much: tuple[str, ...]
    """What `spoil` gives, as it is told."""
    forget_rights: str
    """Takes something from `crm` that a plan gives back."""
    last_of_shop: str
    """Matches the last statement that `shop` needs."""
    filling: str
    """Lines that put a table into `mo_crm`, as words of a shell."""
    spoilt: str
    """How many are well when `mo_crm` is not: on PostgreSQL everybody may then look into it, so others are not."""

    def close(self) -> None: ...

    def group(self, *, by: str = "socket", **more: Any) -> dict[str, Any]:
        """What fairlead.yml says of it; the administrator comes `by` the socket, sudo, or with a password."""
        ...

    def reset(self) -> None:
        """Drop every database and every account that a row has made."""
        ...

    def login(self, user: str, password: str, database: str, statement: str = "select 1") -> Said:
        """What a service's own client says, over TCP."""
        ...

    def sql(self, text: str) -> str:
        """Run a statement as the server's owner."""
        ...

    def script(self, text: str) -> None:
        """Type statements into the server's own client."""
        ...

    def databases(self) -> set[str]:
        """All that are there."""
        ...

    def state(self) -> str:
        """Databases, accounts, privileges and what is kept of passwords, as text."""
        ...

    def rights(self) -> str:
        """What `svc_crm` may do, as text."""
        ...

    def kept(self) -> list[str]:
        """What the server keeps of the accounts' passwords."""
        ...

    def log(self) -> str:
        """Every statement that the server has written down."""
        ...

    def about(self, database: str) -> str:
        """What is known of a database."""
        ...

    def fill(self, name: str) -> None:
        """Put the table `people`, with two rows, into a database of `svc_NAME`."""
        ...

    def empty(self) -> None:
        """Take away what `filling` has put there."""
        ...

    def take(self, name: str) -> None:
        """Make the database `mo_NAME` as somebody else would."""
        ...

    def spoil(self) -> None:
        """Give `svc_crm` more than it should have."""
        ...

    def expire(self, user: str) -> None:
        """Let a password expire."""
        ...

    def read_only(self) -> Any:
        """A context in which nothing can be written."""
        ...


class Maria:
    """On MariaDB."""

    denied = "access denied for 'boss'@'127.0.0.1'"
    too_much = (
        "FILE, SUPER on *.*",
        "DROP, EVENT on `mo\\_crm`.*",
        "SELECT on `mysql`.`proc`",
        "SELECT on `mo_shop`.*",
    )
    forget_rights = "revoke insert, alter on `mo\\_crm`.* from svc_crm@127.0.0.1"
    last_of_shop = "^grant .* to 'svc_shop'"
    filling = "'create table mo_crm.theirs (a int)'"
    spoilt = "data 1/2"

    def __init__(self) -> None:
        self.folder = mariadb.open_folder()
        log = f"--general-log-file={self.folder}/server/general"
        self.server = mariadb.MariaDB(self.folder / "server", "--general-log=1", "--log-output=FILE", log)
        self.server.__enter__()
        word = PASSWORDS["ADMIN_PASS"].replace("\\", "\\\\").replace("'", "\\'")
        making = (
            f"create user boss@127.0.0.1 identified by '{word}'; grant all on *.* to boss@127.0.0.1 with grant option"
        )
        self.sql(f"set sql_log_off = 1; {making}")

    def close(self) -> None:
        self.server.__exit__(None, None, None)
        shutil.rmtree(self.folder, ignore_errors=True)

    def group(self, *, by: str = "socket", **more: Any) -> dict[str, Any]:
        return _group("mariadb", self.server.port, by, ("root", str(self.server.socket)), more)

    def reset(self) -> None:
        for line in self.sql("select User, Host from mysql.global_priv").splitlines():
            user, host = line.split("\t")
            if user not in ("root", "mysql", "mariadb.sys", "fairlead", "svc", "boss", "PUBLIC"):
                self.sql(f"drop user if exists '{user}'@'{host}'")
        for name in self.databases():
            self.sql(f"drop database `{name}`")
        (self.server.folder / "general").write_text("")

    def login(self, user: str, password: str, database: str, statement: str = "select 1") -> Said:
        word = password.replace("\\", "\\\\").replace('"', '\\"')
        way = f"host=127.0.0.1\nport={self.server.port}\nskip-ssl\n"
        file = self.folder / "client.cnf"
        file.write_text(f'[client]\nuser={user}\npassword="{word}"\n{way}')
        words = ["--default-character-set=utf8mb4", "-N", database, "-e", statement]
        return subprocess.run(["mariadb", f"--defaults-file={file}", *words], capture_output=True, text=True)

    def sql(self, text: str) -> str:
        return self.server.sql(text)

    script = sql

    def databases(self) -> set[str]:
        return self.server.databases()

    def state(self) -> str:
        return self.sql(
            "select * from information_schema.schemata order by 2; select Host, User, Priv from mysql.global_priv "
            "order by 1, 2; select * from mysql.db order by Host, Db, User; "
            "select Host, Db, User, Table_name, Table_priv from mysql.tables_priv order by 1, 2, 3, 4"
        )

    def rights(self) -> str:
        grants = self.sql("show grants for svc_crm@127.0.0.1").splitlines()
        return "\n".join(sorted(line for line in grants if "IDENTIFIED" not in line or "USAGE" not in line))

    def kept(self) -> list[str]:
        asked = (
            "select json_value(Priv, '$.authentication_string') from mysql.global_priv where User like 'svc%\\_%' or "
        )
        return self.sql(asked + "User = 'keeper'").split()

    def log(self) -> str:
        return (self.server.folder / "general").read_text(errors="replace")

    def about(self, database: str) -> str:
        return self.sql(f"show create database {database}")

    def fill(self, name: str) -> None:
        self.sql(f"create table mo_{name}.people (id int primary key); insert into mo_{name}.people values (1), (2)")

    def empty(self) -> None:
        self.sql("drop table mo_crm.theirs")

    def take(self, name: str) -> None:
        self.sql(f"create database mo_{name} character set latin1")

    def spoil(self) -> None:
        who = "svc_crm@127.0.0.1"
        self.sql(
            f"grant file, super on *.* to {who}; grant drop, event on `mo\\_crm`.* to {who}; "
            f"grant select on mysql.proc to {who}; grant select on mo_shop.* to {who}"
        )

    def expire(self, user: str) -> None:
        self.sql(f"alter user {user}@127.0.0.1 password expire")

    @contextmanager
    def read_only(self) -> Iterator[None]:
        self.sql("set global read_only = 1")
        yield
        self.sql("set global read_only = 0")


class Postgres:
    """On PostgreSQL."""

    denied = "the server refuses the password of boss"
    too_much = ("CREATEDB; CREATEROLE; a member of pg_monitor", "every account of the server may CONNECT in mo_crm")
    forget_rights = "revoke svc_crm from keeper"
    last_of_shop = "^revoke all on database .mo_shop."
    filling = "'\\c mo_crm' 'create table theirs (a int)'"
    spoilt = "data 0/2"

    def __init__(self) -> None:
        self.sockets = open_to_all()
        logs = ("log_statement=all", "log_min_duration_statement=0")
        self.server = postgres.Postgres(*logs, sockets=self.sockets)
        self.server.__enter__()
        making = f"create role boss superuser login password {quoted(PASSWORDS['ADMIN_PASS'])}"
        # Of a password that comes as text the server would keep an MD5, and nobody could log in with that.
        old = "alter role boss set password_encryption = md5; alter role postgres set password_encryption = md5"
        self.server.sql("set log_statement = none", "set log_min_duration_statement = -1", making, old)

    def close(self) -> None:
        self.server.__exit__(None, None, None)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def hba(self, text: str) -> None:
        """Another pg_hba.conf, from now on."""
        (self.server.data / "pg_hba.conf").write_text(text)
        self.sql("select pg_reload_conf()")

    def group(self, *, by: str = "socket", **more: Any) -> dict[str, Any]:
        return _group("postgres", self.server.port, by, ("postgres", str(self.sockets)), more)

    def reset(self) -> None:
        for name in self.databases():
            self.sql(f'drop database "{name}" with (force)')
        known = "('postgres', 'boss', 'fairlead', 'svc', 'tested')"
        for name in self.sql(
            f"select rolname from pg_roles where rolname !~ '^pg_' and rolname not in {known}"
        ).split():
            self.sql(f'drop role if exists "{name}"')
        self.hba(HBA)
        (self.server.folder / "log").write_text("")

    def login(self, user: str, password: str, database: str, statement: str = "select 1") -> Said:
        where = ["-h", "127.0.0.1", "-p", str(self.server.port), "-U", user, "-d", database]
        argv = ["psql", "-X", "-q", "-A", "-t", *where, "-c", statement]
        return subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PGPASSWORD": password})

    def sql(self, text: str) -> str:
        return self.server.sql(text)

    def script(self, text: str) -> None:
        where = ["-h", str(self.server.data), "-p", str(self.server.port), "-U", "postgres"]
        done = subprocess.run(
            ["psql", "-X", "-v", "ON_ERROR_STOP=1", *where], input=text, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    def databases(self) -> set[str]:
        return self.server.databases - {"postgres", "template0", "template1"}

    def state(self) -> str:
        return "\n".join(
            self.sql(f"select {what}")
            for what in (
                "datname, pg_get_userbyid(datdba), datacl, encoding from pg_database order by 1",
                "rolname, rolsuper, rolcreatedb, rolcreaterole, rolcanlogin, rolpassword, rolvaliduntil from pg_authid "
                "order by 1",
                "pg_get_userbyid(roleid), pg_get_userbyid(member) from pg_auth_members order by 1, 2",
            )
        )

    def rights(self) -> str:
        return self.sql(
            "select rolsuper, rolcreatedb, rolcreaterole, (select string_agg(pg_get_userbyid(roleid), ' ') from "
            "pg_auth_members where member = r.oid), (select string_agg(pg_get_userbyid(member), ' ') from "
            "pg_auth_members where roleid = r.oid), (select datacl from pg_database where datname = 'mo_crm') from "
            "pg_roles r where rolname = 'svc_crm'"
        )

    def kept(self) -> list[str]:
        return self.sql("select rolpassword from pg_authid where rolname ~ '^svc_|keeper'").split()

    def log(self) -> str:
        return self.server.log

    def about(self, database: str) -> str:
        return self.sql(f"select pg_get_userbyid(datdba), datacl from pg_database where datname = '{database}'")

    def fill(self, name: str) -> None:
        self.server.sql(
            f"set role svc_{name}", "create table people as select 1 as id union select 2", database=f"mo_{name}"
        )

    def empty(self) -> None:
        self.server.sql("drop table theirs", database="mo_crm")

    def take(self, name: str) -> None:
        self.sql(f"create database mo_{name}")

    def spoil(self) -> None:
        opened = "grant connect on database mo_crm to public"
        self.server.sql("alter role svc_crm createdb createrole", "grant pg_monitor to svc_crm", opened)

    def expire(self, user: str) -> None:
        self.sql(f"alter role {user} valid until '2001-01-01'")

    @contextmanager
    def read_only(self) -> Iterator[None]:
        for value in ("on", "off"):
            write = "set default_transaction_read_only = off"
            self.server.sql(write, f"alter system set default_transaction_read_only = {value}")
            self.sql("select pg_reload_conf()")
            if value == "on":
                yield


def open_to_all() -> Path:
    """A new folder that every account may use."""
    folder = Path(tempfile.mkdtemp(prefix="fl-sockets-", dir="/tmp"))
    folder.chmod(0o777)
    return folder


HBA = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


def _group(engine: str, port: int, by: str, owner: tuple[str, str], more: dict[str, Any]) -> dict[str, Any]:
    ways: dict[str, dict[str, str]] = {
        "socket": {"user": owner[0], "socket": owner[1]},
        "sudo": {"user": owner[0], "socket": owner[1], "run_as": owner[0]},
        "password": {"user": "boss", "password": "ADMIN_PASS"},
    }
    words: dict[str, Any] = {
        "engine": engine, "reached_from": "server", "address": "127.0.0.1", "port": port, "tls": "off",
        "server": "server", "clients": ["127.0.0.1"], "admin": ways[by], "database": "mo_{name}", "user": "svc_{name}",
        "password": "{NAME}_PASS", "maintenance": {"user": "keeper", "password": "KEEPER_PASS"},
        "names": {name: {} for name in NAMES},
    }  # fmt: skip
    return words | more

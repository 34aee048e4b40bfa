"""Seventeen databases with rows on three real servers: two MariaDB, one PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from bench.result import SCALE

from support.mariadb import PASSWORDS as MARIADB_PASSWORDS
from support.mariadb import ROOT, USER, MariaDB, open_folder
from support.postgres import MASTER, SERVICE, Postgres
from support.postgres import PASSWORDS as POSTGRES_PASSWORDS

MEGABYTES = 600 * SCALE
"""Size of all dumps together, before they are packed."""
GROUPS = {
    "plesk": ("main", "votes", "support", "newsletter", "forum"),
    "external": ("crm", "n8n", "hooks", "consent", "games", "analytics", "api_stg", "admin_stg", "nextcloud"),
    "postgres": ("idp", "grafana", "discourse"),
}
TOTAL = sum(map(len, GROUPS.values()))
ROWS = round(MEGABYTES * 1e6 / TOTAL / 230)
"""Of the table `people` in each whole database; about 230 bytes of a dump each, with what `bookings` has for it."""
PASSWORDS = MARIADB_PASSWORDS | POSTGRES_PASSWORDS

WORDS = """der die das und wir sie nicht ein eine mit für auf ist von zu den dem im Mitglied Verein Spende Beitrag
Newsletter Anmeldung Veranstaltung Wien Graz Linz Salzburg Innsbruck Montag Dienstag Freitag morgen gestern Termin
Zimmer Telefon zurück rufen bitte danke gerne Rechnung offen bezahlt Mahnung Adresse neu geändert Umzug Familie Kinder
Jugend Helferin Helfer Fahrt Kosten Essen Tisch Stand Markt Plakat Druck Text Bild Seite Formular Unterschrift Konto
Datum Betrag Jahr Monat Woche Tag Stunde Frage Antwort Gespräch Hilfe Beratung Recht Amt Schule Arbeit Wohnung Reise
Ausweis Kurs Deutsch Lehrer Übung Prüfung Zeugnis Bewerbung"""
"""What notes consist of, at random: text packs worse than a pattern does, and takes a packer longer."""

_MARIADB = """
create table people (id int primary key, name varchar(80), mail varchar(120), token char(32), note text, at timestamp);
insert into people select seq, concat('Ines Müller ', seq), concat('ines.mueller.', seq, '@example.org'), md5(seq),
 concat_ws(' ', {note}), now() from seq_1_to_{rows};
create table bookings (id int primary key, person int, amount decimal(10,2), purpose varchar(80));
insert into bookings select seq, seq * 4, seq % 1000 / 4, concat_ws(' ', 'donation', seq) from seq_1_to_{fewer};
"""
_POSTGRES = (
    "create table people as select n as id, 'Ines Müller ' || n as name,"
    " 'ines.mueller.' || n || '@example.org' as mail, md5(n::text) as token,"
    " concat_ws(' ', {note}) as note, now() as at from generate_series(1, {rows}) n",
    "create table bookings as select n as id, n * 4 as person, (n % 1000) / 4.0 as amount,"
    " 'donation ' || n as purpose from generate_series(1, {fewer}) n",
)


@dataclass(frozen=True)
class Databases:
    """The running servers, by the name of the group whose databases lie on them."""

    servers: dict[str, MariaDB | Postgres]

    def groups(self, account: str) -> dict[str, Any]:
        """The key `databases` of a fairlead.yml in which `account` reaches them."""
        return {name: self._group(name, account) for name in GROUPS}

    def _group(self, name: str, account: str) -> dict[str, Any]:
        server = self.servers[name]
        engine, login, root = _words(server)
        return {
            "engine": engine,
            "reached_from": account,
            "address": "127.0.0.1",
            "port": server.port,
            "tls": "off",
            "database": "mo_{name}",
            "user": "svc",
            "password": login,
            "maintenance": {"user": "fairlead", "password": root},
            "backup_store": {"path": f"backups/{name}", "keep": 2},
            "names": {one: {} for one in GROUPS[name]},
        }

    def rows(self) -> dict[str, dict[str, int]]:
        """What the servers say: database -> table -> rows. PostgreSQL's tables are told with their schema."""
        return {one: self._rows(self.servers[name], one) for name in GROUPS for one in GROUPS[name]}

    def _rows(self, server: MariaDB | Postgres, name: str) -> dict[str, int]:
        schema = "public." if isinstance(server, Postgres) else ""
        tables = ("people", "bookings")
        return {f"{schema}{table}": int(_ask(server, name, f"select count(*) from {table}")) for table in tables}


def _words(server: MariaDB | Postgres) -> tuple[str, str, str]:
    return ("postgres", SERVICE, MASTER) if isinstance(server, Postgres) else ("mariadb", USER, ROOT)


def _ask(server: MariaDB | Postgres, name: str, sql: str) -> str:
    return server.sql(sql, database=f"mo_{name}")


@contextmanager
def databases(share: float = 1.0) -> Iterator[Databases]:
    """All of them, filled to this share of their size."""
    with ExitStack() as stack:
        more, folder = "--innodb-buffer-pool-size=256M", open_folder()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        servers: dict[str, MariaDB | Postgres] = {
            name: stack.enter_context(MariaDB(folder / name, more)) for name in ("plesk", "external")
        }
        servers["postgres"] = stack.enter_context(Postgres())
        for group, names in GROUPS.items():
            for name in names:
                _fill(servers[group], name, round(ROWS * share))
        yield Databases(servers)


def _fill(server: MariaDB | Postgres, name: str, rows: int) -> None:
    several, sizes = WORDS.split(), {"rows": rows, "fewer": rows // 4}
    words, number = ", ".join(f"'{word}'" for word in several), len(several)
    if isinstance(server, Postgres):
        note = ", ".join([f"(array[{words}])[1 + floor(random() * {number})::int]"] * 16)
        server.make(f"mo_{name}", *(one.format(note=note, **sizes) for one in _POSTGRES))
    else:
        note = ", ".join([f"elt(1 + floor(rand() * {number}), {words})"] * 16)
        server.create(name, _MARIADB.format(note=note, **sizes), rows=None)

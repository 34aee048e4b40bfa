"""Database servers that die, dumps that are not whole, and databases of odd sizes and passwords, on their own hosts."""

from __future__ import annotations

import json
import random
import shlex
import string
import time
from collections.abc import Iterable
from pathlib import Path

from prove.lab.attempts import one_by_one, unless
from prove.lab.hosts import SITE, Installation
from prove.table import Row

HEAVY = (
    "CREATE TABLE heavy (id INT PRIMARY KEY, note TEXT); "
    "INSERT INTO heavy SELECT seq, REPEAT(UUID(), 20) FROM seq_1_to_400000"
)
"""Some 300 MB, so that a dump has a middle."""
TABLES = 300
BACKUPS = f"{SITE}/fairlead-backups/external"
EVERY_SIGN = "".join(sign for sign in string.printable if sign.isprintable())


def rows(lab: Installation, scale: float, dice: random.Random) -> Iterable[Row]:
    """One after the other on the same hosts."""
    lab.install()
    yield from one_by_one(
        lab,
        (
            ("the database server killed in mid-dump", _killed),
            ("a dump that lacks its last byte", _truncated),
            ("two backups at once", _two),
            ("an empty database and one of 300 tables: dumped, and restored into new ones", _sizes),
            ("a password of every printable sign", _password),
            ("a password that is wrong from one moment to the next, in mid-deployment", _changed),
            ("the server stopped before a deployment", _stopped),
        ),
    )


def _sql(lab: Installation, text: str, database: str = "") -> str:
    return lab.on("mysql", f"mariadb -Ne {shlex.quote(text)} {database}")


def _kept(lab: Installation, name: str) -> list[Path]:
    """Whatever lies in the store of a database."""
    return sorted((lab.root("plesk") / BACKUPS).rglob(f"{name}-*"))


def _killed(lab: Installation) -> tuple[str, list[str]]:
    _sql(lab, HEAVY, "mo_games")
    before, counted = _kept(lab, "games"), lab.databases()
    process = lab.start("db", "backup", "games")
    end = time.monotonic() + 60
    while "heavy" not in _sql(lab, "SHOW FULL PROCESSLIST"):
        if process.poll() is not None or time.monotonic() > end:
            return "", [f"no dump was seen: {lab.end(process)}"]
    lab.on("mysql", "systemctl kill -s KILL mariadb")
    said = lab.end(process)
    lab.on("mysql", "systemctl reset-failed mariadb; systemctl start mariadb")
    told = said.line("dump")
    wrong = unless(said.code == 1 and "in the middle of the dump" in said.text, "", said)
    wrong += [f"left: {path.name}" for path in _kept(lab, "games") if path not in before]
    after = lab.databases()
    wrong += [f"{one} is another" for one, was in counted.items() if after.get(one) != was]
    again = lab.run("db", "backup", "games")
    wrong += unless(again.code == 0 and len(_kept(lab, "games")) > len(before), "afterwards", again)
    _sql(lab, "DROP TABLE heavy", "mo_games")
    lab.run("db", "backup", "games")
    _accept(lab, "games")
    return told[:160], wrong


def _truncated(lab: Installation) -> tuple[str, list[str]]:
    made = lab.run("db", "backup", "consent")
    wrong = unless(made.code == 0, "the backup", made)
    dump = max(
        (path for path in _kept(lab, "consent") if path.suffix != ".json"), key=lambda path: path.stat().st_mtime
    )
    dump.write_bytes(dump.read_bytes()[:-1])
    named = f"{BACKUPS.removeprefix(SITE + '/')}/{dump.name}"
    said = lab.run("db", "restore", "consent", "--into", "mo_consent_again", "--backup", named)
    wrong += unless(said.code == 1 and "cut short" in said.text, f"{dump.name} was restored", said)
    wrong += [] if "again" not in _sql(lab, "SHOW DATABASES") else ["something was made of it"]
    older = lab.run("db", "restore", "consent", "--into", "mo_consent_again")
    wrong += unless(older.code == 0 and f"{dump.name} is newer" in older.text, "the one before it", older)
    _sql(lab, "DROP DATABASE mo_consent_again")
    dump.unlink()
    told = said.line("cut short")
    return told[:160], wrong


def _two(lab: Installation) -> tuple[str, list[str]]:
    processes = [lab.start("db", "backup", "--json") for _ in range(2)]
    ended = [lab.end(process) for process in processes]
    found = [one for said in ended for one in json.loads(said.text)["findings"]]
    made = {one["subject"] for one in found if one["status"] == "ok"}
    odd = {one["says"] for one in found if one["status"] != "ok"}
    wrong = [] if odd <= {"another backup of it is being written"} else [f"not made: {odd}"]
    wrong += [] if len(made) == 15 else [f"made by one of the two: {len(made)} of 15 in production"]
    parts = [path.name for path in (lab.root("plesk") / SITE / "fairlead-backups").rglob("*part*")]
    wrong += [f"left: {name}" for name in parts]
    return f"exit codes {[said.code for said in ended]}", wrong


def _sizes(lab: Installation) -> tuple[str, list[str]]:
    lab.on("mysql", "mariadb-dump --routines --triggers mo_analytics >/root/analytics.sql")
    _sql(lab, "DROP DATABASE mo_analytics; CREATE DATABASE mo_analytics")
    _sql(lab, "".join(f"CREATE TABLE t{n} AS SELECT {n} AS a; " for n in range(TABLES)), "mo_hooks")
    wrong = []
    for name in ("analytics", "hooks"):
        made = lab.run("db", "backup", name)
        doubted = "it holds no row" in made.text
        wrong += unless(made.code == (1 if name == "analytics" else 0), f"backup of {name}", made)
        wrong += [] if doubted == (name == "analytics") else [f"{name}: that it is empty was not told"]
        if doubted:
            _accept(lab, name)
        back = lab.run("db", "restore", name, "--into", f"mo_{name}_again")
        wrong += unless(back.code == 0, f"restore of {name}", back)
        count = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'mo_{}'"
        pair = [_sql(lab, count.format(each)).strip() for each in (name, f"{name}_again")]
        wrong += [] if pair[0] == pair[1] else [f"{name}: {pair} tables"]
        _sql(lab, f"DROP DATABASE mo_{name}_again")
    _sql(lab, "".join(f"DROP TABLE t{n}; " for n in range(TABLES)), "mo_hooks")
    lab.on("mysql", "mariadb mo_analytics </root/analytics.sql")
    lab.run("db", "backup", "analytics", "hooks")
    return "an empty one, which held rows before, counts when somebody has said so", wrong


def _accept(lab: Installation, name: str) -> None:
    """A person says that the newest backup is right as it is."""
    newest = max(path.name for path in _kept(lab, name) if path.suffix != ".json")
    lab.run("db", "backups", "--accept", f"{BACKUPS.removeprefix(SITE + '/')}/{newest}", "--reason", "it is so")


def _password(lab: Installation) -> tuple[str, list[str]]:
    quoted = EVERY_SIGN.replace("\\", "\\\\").replace("'", "\\'")
    address = lab.address("plesk")
    for user in ("fairlead", "svc_crm"):
        _sql(lab, f"ALTER USER {user}@'{address}' IDENTIFIED BY '{quoted}'")
    lab.more = {"MO_MYSQL_MAINTENANCE_PASS": EVERY_SIGN, "MO_CRM_DB_PASS": EVERY_SIGN}
    try:
        check = json.loads(lab.run("db", "check", "--json").text)
        wrong = [] if check["reachable"] == 17 else [f"databases: {check}"]
        lab.write()
        said = lab.deploy()
        which, more = lab.verdict()
        wrong += [*unless((said.code, which) == (0, "new"), f"{which} is live", said), *more]
    finally:
        lab.more = {}
        for user, name in (("fairlead", "MO_MYSQL_MAINTENANCE_PASS"), ("svc_crm", "MO_CRM_DB_PASS")):
            _sql(lab, f"ALTER USER {user}@'{address}' IDENTIFIED BY '{lab.settings[name]}'")
    return f"{len(EVERY_SIGN)} signs; a deployment with the CRM's migration in {said.seconds:.0f} s", wrong


def _changed(lab: Installation) -> tuple[str, list[str]]:
    """Where the maintenance account still may, so the way back is whole at once."""
    address = lab.address("plesk")
    lab.write(heavy=24)
    process = lab.start("deploy", "--yes", "--no-watch")
    lab.wait_for_line(process, lab.length // 2)
    _sql(lab, f"ALTER USER svc_hooks@'{address}' IDENTIFIED BY 'another'")
    said = lab.end(process)
    _sql(lab, f"ALTER USER svc_hooks@'{address}' IDENTIFIED BY '{lab.settings['MO_HOOKS_DB_PASS']}'")
    which, wrong = lab.verdict()
    wrong += unless((said.code, which) in ((3, "old"), (0, "new")), f"{which} is live", said)
    told = said.line("password")
    return f"exit code {said.code}, {which}: {told[:160]}", wrong


def _stopped(lab: Installation) -> tuple[str, list[str]]:
    lab.write()
    lab.on("mysql", "systemctl stop mariadb.socket mariadb")
    said = lab.deploy()
    lab.on("mysql", "systemctl start mariadb.socket mariadb")
    which, wrong = lab.verdict()
    told = said.line("closed")
    return told[:160], [*unless((said.code, which) == (1, "old") and bool(told), f"{which} is live", said), *wrong]

"""The operator's local history: a cache that can be lost at any moment, because the truth lies on the lock host.

Nothing in here raises for the state of the file: what cannot be kept or read is said in `warnings`, and life goes on.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from fairlead.model import Deployment, ErrorShare, Evidence, Finding, Message, Model, Report, Sample, StepTime
from fairlead.outside.github_http import Kept

M = TypeVar("M", bound=Model)
Row = tuple[str | float | int | bytes | None, ...]

MIGRATIONS = (
    (
        "create table deployments (id text primary key, environment text, started real, body text not null)",
        "create index by_time on deployments (environment, started)",
        "create table steps (run text, step text, what text, started real, rc integer, seconds real,"
        " body text not null, primary key (run, step, what, started)) without rowid",
        "create table samples (run text, service text, at real, body text not null,"
        " primary key (run, service, at)) without rowid",
        "create table shares (run text, service text, at real, body text not null,"
        " primary key (run, service, at)) without rowid",
        "create table findings (run text, place integer, body text not null, primary key (run, place)) without rowid",
        "create table extras (run text primary key, timeline text not null, downtime_ms text not null)",
    ),
    (
        "create table answers (key text primary key, place integer, etag text not null, following text not null,"
        " body blob not null) without rowid",
        "create table outbox (key text primary key, environment text, at real, claimed real not null,"
        " delivered real, body text not null)",
        "create table evidence (hash text primary key, environment text, at real, body text not null) without rowid",
    ),
    ("create table scans (scope text, place text, body text not null, primary key (scope, place)) without rowid",),
)
"""For each version of the schema what leads to it; a file is brought forward by those it has not seen."""

KEEP_ANSWERS = 500
"""So many answers of GitHub and of gates are kept, the newest."""

_DAMAGED = ("malformed", "not a database", "no such table", "no such column")


class Store:
    """Local history in one SQLite file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warnings: list[str] = []
        """What could not be kept or read, as sentences."""
        self._db = self._open()

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        self._db.close()

    def save(self, deployment: Deployment) -> None:
        """Keep a deployment, in place of what was known of it."""
        row = (deployment.id, deployment.environment, deployment.started, deployment.to_json())
        self._write("insert or replace into deployments values (?, ?, ?, ?)", [row])

    def load(self, run: str) -> Deployment | None:
        """The deployment of that id, or None."""
        return next(iter(self._read(Deployment, "select body from deployments where id = ?", run)), None)

    def history(self, environment: str = "", limit: int = 20) -> list[Deployment]:
        """Deployments of an environment (empty = of all), the newest first."""
        where = "where environment = ?1 or ?1 = ''"
        return self._read(
            Deployment,
            f"select body from deployments {where} order by started desc, id desc limit ?2",  # noqa: S608 - a constant
            environment,
            limit,
        )

    def add_steps(self, run: str, steps: Iterable[StepTime]) -> None:
        """Keep when the changes of a run happened and how long they took."""
        rows = [(run, s.step, s.what, s.started, s.rc, s.seconds, s.to_json()) for s in steps]
        self._write("insert or replace into steps values (?, ?, ?, ?, ?, ?, ?)", rows)

    def add_samples(self, run: str, samples: Iterable[Sample]) -> None:
        """Keep what a watch saw."""
        rows = [(run, sample.service, sample.at, sample.to_json()) for sample in samples]
        self._write("insert or replace into samples values (?, ?, ?, ?)", rows)

    def add_shares(self, run: str, shares: Iterable[ErrorShare]) -> None:
        """Keep shares of failed requests."""
        rows = [(run, share.service, share.at, share.to_json()) for share in shares]
        self._write("insert or replace into shares values (?, ?, ?, ?)", rows)

    def save_findings(self, run: str, findings: Iterable[Finding]) -> None:
        """Keep what was proven at the end of a run, in place of what was kept before."""
        rows = [(run, place, finding.to_json()) for place, finding in enumerate(findings)]
        self._write("delete from findings where run = ?", [(run,)])
        self._write("insert into findings values (?, ?, ?)", rows)

    def save_extras(
        self, run: str, timeline: Sequence[tuple[float, str]], downtime_ms: dict[str, float] | None = None
    ) -> None:
        """Keep the timeline (unix seconds, sentence) and the measured downtime of a run."""
        row = (run, json.dumps(list(timeline)), json.dumps(downtime_ms or {}))
        self._write("insert or replace into extras values (?, ?, ?)", [row])

    def save_scan(self, scope: str, place: str, body: str) -> None:
        """Keep how far a file was looked through, in place of what was kept; empty = it is gone."""
        self._write("insert or replace into scans values (?, ?, ?)", [(scope, place, body)])
        self._write("delete from scans where scope = ? and place = ? and body = ''", [(scope, place)])

    def scans(self, scope: str) -> dict[str, str]:
        """By file, how far it was looked through."""
        return {
            str(place): str(body) for place, body in self._ask("select place, body from scans where scope = ?", scope)
        }

    def save_report(self, report: Report) -> None:
        """Keep every part of a report."""
        run = report.deployment.id
        self.save(report.deployment)
        self.add_steps(run, report.steps)
        self.add_samples(run, report.samples)
        self.add_shares(run, report.shares)
        self.save_findings(run, report.findings)
        self.save_extras(run, report.timeline, report.downtime_ms)

    def report(self, run: str) -> Report | None:
        """Everything that is known of a run, or None."""
        deployment = self.load(run)
        if deployment is None:
            return None
        timeline, downtime = self._extras(run)
        return Report(
            deployment=deployment,
            steps=tuple(self._read(StepTime, "select body from steps where run = ? order by started", run)),
            samples=tuple(self._read(Sample, "select body from samples where run = ? order by at", run)),
            shares=tuple(self._read(ErrorShare, "select body from shares where run = ? order by at", run)),
            findings=tuple(self._read(Finding, "select body from findings where run = ? order by place", run)),
            timeline=timeline,
            downtime_ms=downtime,
        )

    def durations(self, environment: str, what: Literal["do", "undo"] = "do") -> dict[str, float]:
        """By step id (`api.switch`: service and kind of step): seconds of the last time it succeeded there."""
        rows = self._ask(
            "select step, seconds, max(steps.started) from steps join deployments on id = run"
            " where environment = ? and what = ? and rc = 0 group by step",
            environment,
            what,
        )
        return {str(step): float(seconds) for step, seconds, _ in rows if seconds is not None}

    def total_seconds(self, environment: str) -> float | None:
        """How long the last finished deployment there took; None = there was none."""
        ended = (one for one in self.history(environment) if one.state == "done" and one.ended)
        return next((one.ended - one.started for one in ended), None)

    def recall(self, key: str) -> Kept | None:
        """An answer of GitHub that was kept under this key, or None."""
        for etag, following, body in self._ask("select etag, following, body from answers where key = ?", key):
            if isinstance(body, bytes):
                return Kept(str(etag), body, str(following))
        return None

    def keep(self, key: str, kept: Kept) -> None:
        """Keep an answer of GitHub, in place of what was kept before, and forget the oldest."""
        newest = "(select coalesce(max(place), 0) + 1 from answers)"
        row = (key, kept.etag, kept.following, kept.body)
        self._write(f"insert or replace into answers values (?, {newest}, ?, ?, ?)", [row])  # noqa: S608 - a constant
        last = "(select max(place) from answers) - ?"
        self._write(f"delete from answers where place <= {last}", [(KEEP_ANSWERS,)])  # noqa: S608 - a constant

    def save_evidence(self, evidence: Evidence, at: float) -> None:
        """Keep what gates have said at a unix time, and forget the oldest."""
        row = (evidence.hash, evidence.environment, at, evidence.to_json())
        self._write("insert or replace into evidence values (?, ?, ?, ?)", [row])
        newest = "(select hash from evidence order by at desc limit ?)"
        self._write(f"delete from evidence where hash not in {newest}", [(KEEP_ANSWERS,)])  # noqa: S608 - a constant

    def evidence(self, environment: str) -> list[Evidence]:
        """What gates have said of an environment, the newest first; whatever is not as it was kept is left out."""
        found = self._ask("select hash, body from evidence where environment = ? order by at desc", environment)
        return [
            evidence for name, body in found for evidence in self._whole(Evidence, str(body)) if evidence.hash == name
        ]

    def post(self, environment: str, message: Message) -> None:
        """Keep a message until it is delivered; one whose key was kept before changes nothing."""
        row = (message.key, environment, message.at, 0.0, None, message.to_json())
        self._write("insert or ignore into outbox values (?, ?, ?, ?, ?, ?)", [row])

    def message(self, key: str) -> Message | None:
        """The message of that key, delivered or not; None = there was none."""
        return next(iter(self._read(Message, "select body from outbox where key = ?", key)), None)

    def undelivered(self, environment: str) -> list[Message]:
        """Messages that were not delivered, the oldest first."""
        where = "where environment = ? and delivered is null order by at, rowid"
        return self._read(Message, f"select body from outbox {where}", environment)  # noqa: S608 - a constant

    def claim(self, key: str, now: float, seconds: float) -> bool:
        """Keep other processes from delivering a message for so long; False = one of them is at it."""
        claimed = "update outbox set claimed = ?2 where key = ?1 and claimed <= ?3 returning key"
        with suppress(sqlite3.Error), self._db:
            return bool(self._db.execute(claimed, (key, now + seconds, now)).fetchall())
        return False

    def unclaim(self, key: str) -> None:
        """Let others deliver a message."""
        self._write("update outbox set claimed = 0 where key = ?", [(key,)])

    def delivered(self, key: str, at: float) -> None:
        """The receiver has said that a message arrived, at a unix time."""
        self._write("update outbox set delivered = ? where key = ?", [(at, key)])

    def _extras(self, run: str) -> tuple[tuple[tuple[float, str], ...], dict[str, float]]:
        for timeline, downtime in self._ask("select timeline, downtime_ms from extras where run = ?", run):
            said = tuple((float(at), str(says)) for at, says in json.loads(str(timeline)))
            return said, json.loads(str(downtime))
        return (), {}

    def _read(self, word: type[M], sql: str, *values: str | float) -> list[M]:
        return self._whole(word, *(str(body) for (body,) in self._ask(sql, *values)))

    def _whole(self, word: type[M], *bodies: str) -> list[M]:
        try:
            return [word.model_validate_json(body) for body in bodies]
        except ValidationError as error:
            self._note(f"a part of the local history cannot be read: {error.errors()[0]['msg']}")
            return []

    def _ask(self, sql: str, *values: str | float) -> list[Row]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            self._cope(error)
            return []

    def _write(self, sql: str, rows: Sequence[Row]) -> None:
        for last in (False, True):
            try:
                with self._db:
                    self._db.executemany(sql, rows)
                return
            except sqlite3.Error as error:
                if not self._cope(error) or last:
                    return

    def _cope(self, error: sqlite3.Error) -> bool:
        """Say what happened; True when the file was replaced and the same can be tried again."""
        if any(word in str(error) for word in _DAMAGED):
            self._db.close()
            self._set_aside(str(error))
            self._db = self._open()
            return True
        self._note(f"the local history could not be used: {error}")
        return False

    def _note(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)

    def _open(self) -> sqlite3.Connection:
        for _ in range(2):
            try:
                return self._connect()
            except (OSError, sqlite3.Error) as error:
                if not any(word in str(error) for word in _DAMAGED) or not self._set_aside(str(error)):
                    self._note(f"no local history this time: {self.path}: {error}")
                    break
        return _brought_forward(sqlite3.connect(":memory:"))

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.touch(mode=0o600)
        db = sqlite3.connect(self.path, timeout=2.0)
        try:
            _version(db)  # a newer file is left exactly as it is
            db.execute("pragma journal_mode = wal")
            db.execute("pragma synchronous = normal")
            return _brought_forward(db)
        except BaseException:
            db.close()
            raise

    def _set_aside(self, why: str) -> bool:
        """Move a damaged file out of the way, keeping it for a curious person."""
        number = next(n for n in range(1, 10_000) if not Path(f"{self.path}.damaged-{n}").exists())
        aside = Path(f"{self.path}.damaged-{number}")
        try:
            self.path.rename(aside)
            for tail in ("-wal", "-shm"):
                Path(f"{self.path}{tail}").unlink(missing_ok=True)
        except OSError as error:
            self._note(f"the local history is damaged ({why}) and cannot be moved aside: {error}")
            return False
        self._note(f"the local history was damaged ({why}): moved to {aside}, begun anew")
        return True


def _brought_forward(db: sqlite3.Connection) -> sqlite3.Connection:
    """Apply the migrations that the file has not seen, whole or not at all."""
    if _version(db) != len(MIGRATIONS):
        with db:
            db.execute("begin immediate")  # first, so that of two processes that start at once only one migrates
            for statement in (one for script in MIGRATIONS[_version(db) :] for one in script):
                db.execute(statement)
            db.execute(f"pragma user_version = {len(MIGRATIONS)}")
    return db


def _version(db: sqlite3.Connection) -> int:
    version = int(db.execute("pragma user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise sqlite3.NotSupportedError(f"it was written by a newer fairlead (format {version})")
    return version

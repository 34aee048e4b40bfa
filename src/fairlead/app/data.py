"""What Fairlead can do with the databases of one environment: look, back up, restore."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from fairlead.checks.databases import check_databases
from fairlead.checks.privileges import check_privileges
from fairlead.checks.room import no_room
from fairlead.config import DatabaseSpec, GroupSpec
from fairlead.engines import ENGINES, PROVISIONERS, Spare, store
from fairlead.errors import CallError, FairleadError, NotReady
from fairlead.model import Backup, Beside, Drill, Finding, Ledger, Plan, as_where
from fairlead.plan.beside import expired, last_day, look_beside
from fairlead.plan.data import Chosen, keeping_all
from fairlead.plan.firewall import groups_of, plan_firewall, plan_return
from fairlead.plan.provision import Provision, plan_provision, wishes
from fairlead.plan.prune import plan_prune
from fairlead.plan.restore import plan_restore, plan_undo, restore_label
from fairlead.run.runner import DataWish

if TYPE_CHECKING:
    from fairlead.app.facade import Fairlead

DRILLS = 2
"""Drills of one server at the same time."""
BACKUPS_HINT = "`fairlead db backups` lists them"
CHECK_LIMIT = 8.0
"""Seconds that all databases together have to answer."""


class Data:
    """The databases of an open installation's environment."""

    def __init__(self, app: Fairlead) -> None:
        self._app = app

    async def check(self) -> list[Finding]:
        """Is every database of the installation reachable from the host that must reach it?"""
        databases = self._app.installation.databases
        return await check_databases(databases, self._app.hosts, self._app.secrets, limit=CHECK_LIMIT)

    async def check_deeply(self, names: Iterable[str] = ()) -> list[Finding]:
        """Can every table of these databases be read to its end? For a damaged one the hint is the restore to type."""
        databases = self.named(names)
        found = await asyncio.gather(*(self._read(database) for database in databases))
        return [self._with_way_out(one) for one in found]

    async def _read(self, database: DatabaseSpec) -> Finding:
        try:
            host = await self._app.hosts.get(database.host)
            return await ENGINES[database.engine].deep(host, database, self._app.secrets)
        except FairleadError as error:
            return Finding(check="tables", subject=database.name, status="unknown", says=error.what, hint=error.hint)

    def _with_way_out(self, found: Finding) -> Finding:
        if not found.evidence.get("damaged"):
            return found
        where = f"-e {self._app.environment.name}"
        restore = f'fairlead db restore {found.subject} --reason "its tables are damaged" {where}'
        return found.model_copy(update={"hint": restore})

    async def backup(self, names: Iterable[str] = ()) -> list[Finding]:
        """Back up the environment's databases, or those named, and prove each copy."""
        databases, spare = self.named(names), await self.needed()
        groups: dict[tuple[str, str], list[DatabaseSpec]] = {}
        for database in databases:
            groups.setdefault((database.engine, database.host), []).append(database)
        made = await asyncio.gather(*(self._backup(group, spare) for group in groups.values()))
        found = {finding.subject: finding for several in made for finding in several}
        return [found[database.name] for database in databases]

    async def needed(self, *, ended: bool = False) -> Spare | None:
        """Backups that a way back still needs, of runs back to the last finished deployment; None = not known.

        `ended`: not those of a run that is open, such as the one that asks.
        """
        found: dict[str, set[str]] = {}
        try:
            async for run, plan in self._app.past_runs():
                if ended and not run.ended:
                    continue
                for name, words in (plan.backups if plan else {}).items():
                    found.setdefault(name, set()).update(words)
                if (run.kind, run.state) == ("deploy", "done"):
                    break
        except FairleadError:
            return None
        return found

    async def _backup(self, databases: list[DatabaseSpec], spare: Spare | None) -> list[Finding]:
        several = databases if spare is not None else [keeping_all(one) for one in databases]
        try:
            host = await self._app.hosts.get(databases[0].host)
            engine = ENGINES[databases[0].engine]
            made = await engine.backup(host, several, self._app.secrets, spare=spare or {})
            return [one.finding for one in made]
        except FairleadError as error:
            return [
                Finding(check="backup", subject=d.name, status="unknown", says=error.what, hint=error.hint)
                for d in databases
            ]

    async def backups(self, *, verify: bool = False) -> list[Backup]:
        """What lies in the environment's backup stores, oldest first; `flaw` says why one does not count.

        With `verify` the file of each is hashed again.
        """
        own = {database.name: database for database in self._app.own_databases()}
        stores: dict[str, set[str]] = {}
        for database in own.values():
            stores.setdefault(database.store.host, set()).add(database.store.path)
        how: store.Verify = "all" if verify else "none"
        found = await asyncio.gather(*(self._lying(host, paths, how) for host, paths in stores.items()))
        now = self._app.clock.now()
        told = [
            one.model_copy(update={"flaw": store.why_not(own[one.database], one, now)}) if one.database in own else one
            for several in found
            for one in several
        ]
        return sorted(told, key=lambda one: one.started)

    async def _lying(self, host: str, paths: Iterable[str], verify: store.Verify = "none") -> list[Backup]:
        return await store.backups(await self._app.hosts.get(host), paths, verify=verify)

    async def accept(self, file: str, reason: str) -> Backup:
        """A person says that a backup counts although it is doubted.

        Raises CallError where no backup is called so or it is not doubted, NotReady where it is worse than doubted.
        """
        for one in await self.backups():
            if one.file == file:
                if not one.flaw:
                    raise CallError(f"{file} counts already")
                await store.accept(await self._app.hosts.get(one.host), one, reason)
                return one
        raise CallError(f"no backup is called {file}", "`fairlead db backups` lists them")

    async def drill(self, names: Iterable[str] = ()) -> list[Drill]:
        """Restore the newest backup of each of these databases that counts into a scratch database, count it, drop it.

        At once are as many as `DRILLS` allows of each server. No lock is held, and nothing live is touched; how each
        ended is noted beside its backups.
        """
        databases, run = self.named(names), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._app.clock.now()))
        places: dict[tuple[str, str, int | None], asyncio.Semaphore] = {}

        async def one(database: DatabaseSpec) -> Drill:
            if full := no_room(self._app.installation, [database]):
                words = {"database": database.name, "run": run, "says": full[0].says, "hint": full[0].hint}
                return Drill.model_validate({**words, "passed": False})
            server = database.host, database.address, database.port
            async with places.setdefault(server, asyncio.Semaphore(DRILLS)):
                try:
                    host = await self._app.hosts.get(database.host)
                    chosen, _ = await self._backup_of(database, "")
                    return await ENGINES[database.engine].drill(host, chosen, database, self._app.secrets, run=run)
                except FairleadError as error:
                    return Drill(database=database.name, run=run, passed=False, says=error.what, hint=error.hint)

        return list(await asyncio.gather(*(one(database) for database in databases)))

    async def restore_into(self, name: str, into: str, file: str = "") -> Finding:
        """Write the newest backup that counts, or the named one, into a new database or file, and prove it."""
        database = self.named([name])[0]
        host = await self._app.hosts.get(database.store.host)
        chosen, passed_over = await self._backup_of(database, file)
        finding = await ENGINES[database.engine].restore(host, chosen, database, into, self._app.secrets)
        if passed_over and finding.status == "ok":
            words = {"status": "warn", "says": f"{finding.says}; {passed_over}", "hint": BACKUPS_HINT}
            finding = finding.model_copy(update=words)
        return finding

    async def plan_restore(self, names: Iterable[str], file: str = "", *, end_blockers: bool = False) -> Plan:
        """What it takes to take databases back to their newest backups that count, or one of them to the named one.

        Raises CallError where a backup is missing. Looks at the hosts, changes nothing.
        """
        now, databases = self._app.clock.now(), self.named(names)

        async def make() -> Plan:
            backups = await asyncio.gather(*(self._backup_of(database, file) for database in databases))
            chosen = [
                Chosen(database, backup, restore_label(database.name, backup, now))
                for database, (backup, _) in zip(databases, backups, strict=True)
            ]
            notes, app = [note for _, note in backups if note], self._app
            plan = await plan_restore(app.installation, app.environment, chosen, app.hosts, end_blockers=end_blockers)
            return plan.model_copy(update={"remarks": (*plan.remarks, *notes)})

        self._app.remake = make
        return await make()

    async def plan_undo(self, names: Iterable[str]) -> Plan:
        """What it takes to make live again what the last restore of each of these databases has kept.

        Raises CallError where nothing is kept.
        """
        databases = self.named(names)

        async def make() -> Plan:
            labels = await self._kept_under(databases)
            return plan_undo(self._app.installation, self._app.environment, [(d, labels[d.name]) for d in databases])

        self._app.remake = make
        return await make()

    async def plan_provision(self, names: Iterable[str], *, reduce: bool = False) -> Provision:
        """What it takes to have databases and their accounts as fairlead.yml says; names of databases or of groups.

        `reduce`: what accounts may too much is taken from them. Looks at the servers, changes nothing.
        """
        several = wishes(self._app.installation, self._meant(names), reduce=reduce)

        async def make() -> Provision:
            app = self._app
            return await plan_provision(app.installation, app.environment, several, app.hosts, app.secrets)

        async def again() -> Plan:
            return (await make()).plan

        self._app.remake = again
        return await make()

    def provision_script(self, names: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
        """By group, statements that an administrator may type instead; without passwords."""
        several = wishes(self._app.installation, self._meant(names))
        return [
            (wish.group.name, PROVISIONERS[wish.group.engine].script(wish))
            for wish in several
            if wish.group.made_by == "fairlead"
        ]

    async def privileges(self) -> list[Finding]:
        """Can each service of the installation log in, do exactly what it is to, and nothing else?"""
        installation = self._app.installation
        return await check_privileges(wishes(installation, installation.databases), self._app.hosts, self._app.secrets)

    def _meant(self, names: Iterable[str]) -> list[DatabaseSpec]:
        """The environment's databases on servers, or those named, one by one or by their group."""
        own, wanted = self._app.own_databases(), list(names)
        groups = {one.group for one in own}
        chosen = self.named(name for name in wanted if name not in groups)
        by_group = [one for one in own if one.group in wanted]
        if not wanted or not by_group:
            return chosen
        named = chosen if set(wanted) - groups else []
        return [one for one in own if one in named or one in by_group]

    async def _kept_under(self, databases: Iterable[DatabaseSpec]) -> dict[str, str]:
        """The labels of the last swaps that stand."""
        found: dict[str, str] = {}
        wanted = {database.name: database for database in databases}
        async for run, _ in self._app.past_runs():
            for name in (run.kept.keys() & wanted.keys()) - found.keys():
                if await self._stands(wanted[name], run.kept[name]):
                    found[name] = run.kept[name]
            if len(found) == len(wanted):
                return found
        missing = ", ".join(sorted(wanted.keys() - found.keys()))
        what = f"nothing is kept of {missing} that could be made live again"
        raise CallError(what, "`fairlead history` shows what was restored")

    async def _stands(self, database: DatabaseSpec, label: str) -> bool:
        host = await self._app.hosts.get(database.host)
        result = await host.run(ENGINES[database.engine].swap_probe(database, label))
        return result.ok and as_where(result.stdout) == "after"

    async def beside(self, names: Iterable[str] = ()) -> list[Beside]:
        """What restores have left beside the environment's databases, or those named. Raises NotReady."""
        return await look_beside(self.named(names), self._app.hosts)

    def kept_until(self, one: Beside) -> str:
        """The last day, YYYY-MM-DD, on which it is kept; empty where its name does not tell."""
        with suppress(ValueError):
            return last_day(one, self.named([one.database])[0]).isoformat()
        return ""

    async def plan_prune(self, names: Iterable[str] = (), *, early: bool = False) -> Plan:
        """What it takes to drop what was kept beside these databases for its time, or with `early` all of it."""
        databases = self.named(names)
        known = {one.name: one for one in databases}

        async def make() -> Plan:
            there = await look_beside(databases, self._app.hosts)
            chosen = there if early else expired(there, known, self._app.today())
            return plan_prune(self._app.installation, self._app.environment, chosen, databases)

        self._app.remake = make
        return await make()

    async def estimates(self, names: Iterable[str], file: str = "") -> list[Ledger]:
        """What was written to these databases since the backups that are chosen, as far as is known."""

        async def one(database: DatabaseSpec) -> Ledger:
            host = await self._app.hosts.get(database.host)
            backup, _ = await self._backup_of(database, file)
            return await ENGINES[database.engine].estimate(host, database, backup, self._app.secrets)

        return list(await asyncio.gather(*(one(database) for database in self.named(names))))

    async def written_since(self, labels: Mapping[str, Sequence[str]]) -> list[Ledger]:
        """What was written to databases since the first of the backups with these labels that counts, as is known."""

        async def one(database: DatabaseSpec) -> Ledger:
            host = await self._app.hosts.get(database.host)
            backup = await self._made_for(database, labels[database.name])
            return await ENGINES[database.engine].estimate(host, database, backup, self._app.secrets)

        return list(await asyncio.gather(*(one(database) for database in self.named(labels))))

    async def chosen_for(self, undone: Plan, data: DataWish, now: float) -> list[Chosen]:
        """The databases that a rollback of this finished plan takes back too, and to which of its backups.

        Raises CallError where such a backup is no longer there.
        """
        migrated = {one.database for one in undone.data.databases if one.migrations}
        wanted = [
            database
            for database in self._app.own_databases()
            if database.name in undone.backups
            and {"none": False, "all": True, "migrated": database.name in migrated}[data or database.rollback.data]
        ]
        found = await asyncio.gather(*(self._made_for(one, undone.backups[one.name]) for one in wanted))
        return [
            Chosen(database, backup, restore_label(database.name, backup, now))
            for database, backup in zip(wanted, found, strict=True)
        ]

    async def _made_for(self, database: DatabaseSpec, labels: Sequence[str]) -> Backup:
        there = [one for one in await self._of(database) if not store.why_not(database, one)]
        for label in labels:
            if mine := [one for one in there if one.label == label]:
                return max(mine, key=lambda one: one.started)
        raise CallError(
            f"no proven backup of {database.name} that was made for this", "`fairlead db backups` lists them"
        )

    async def _of(self, database: DatabaseSpec) -> list[Backup]:
        host = await self._app.hosts.get(database.store.host)
        there = await store.backups(host, [database.store.path])
        return [one for one in there if one.database == database.name]

    async def ledgers(self, labels: Mapping[str, str]) -> list[Ledger]:
        """What the live databases and those kept under these labels differ in."""

        async def one(database: DatabaseSpec) -> Ledger:
            host = await self._app.hosts.get(database.host)
            label = labels[database.name]
            return await ENGINES[database.engine].ledger(host, database, label, self._app.secrets)

        return list(await asyncio.gather(*(one(d) for d in self._app.own_databases() if d.name in labels)))

    async def kept(self, names: Iterable[str]) -> list[Ledger]:
        """The same for what the last restore of each of these databases has kept."""
        return await self.ledgers(await self._kept_under(self.named(names)))

    async def _backup_of(self, database: DatabaseSpec, file: str) -> tuple[Backup, str]:
        """The newest backup that counts, or the named one, which may be older than the limit; and what to say of one
        that is newer and was passed over, empty = there is none.

        Raises CallError where there is none, NotReady where none of them counts.
        """
        there = [one for one in await self._of(database) if file in ("", one.file)]
        if not there:
            raise CallError(f"no backup {file}".rstrip() + f" of {database.name}", BACKUPS_HINT)
        good = [one for one in there if not store.why_not(database, one)]
        newest = max(good or there, key=lambda one: one.started)
        if flaw := store.why_not(database, newest):
            raise NotReady(f"{newest.file} cannot be restored, it does not count: {flaw}", BACKUPS_HINT)
        if not file and (old := store.why_not(database, newest, self._app.clock.now())):
            what = f"the newest backup of {database.name} does not count: {old}"
            raise NotReady(what, f"to take it all the same: --backup {newest.file}")
        last = max(there, key=lambda one: one.started)
        if last.started <= newest.started:
            return newest, ""
        return newest, f"{last.file} is newer and was passed over, it does not count: {store.why_not(database, last)}"

    async def plan_firewall(self, names: Iterable[str] = ()) -> Plan:
        """What it takes that only their clients reach the ports of these groups' servers, or of all groups'.

        Without steps where that is so already. Raises CallError where a group does not say which machine its server is.
        """
        now, groups = self._app.clock.now(), self._with_server(names)

        async def make() -> Plan:
            installation, environment = self._app.installation, self._app.environment
            return await plan_firewall(installation, environment, groups, self._app.hosts, now=now)

        self._app.remake = make
        return await make()

    async def plan_firewall_back(self, names: Iterable[str] = ()) -> Plan:
        """What it takes to make these servers' firewalls what they were before the last change of them that stands.

        Raises CallError where there was none.
        """
        now, groups = self._app.clock.now(), self._with_server(names)

        async def make() -> Plan:
            installation, environment = self._app.installation, self._app.environment
            kept = await self._kept_firewalls({group.server for group in groups})
            return await plan_return(installation, environment, groups, kept, self._app.hosts, now=now)

        self._app.remake = make
        return await make()

    async def _kept_firewalls(self, hosts: set[str]) -> dict[str, str]:
        """By host: the label of its last change that was not taken back."""
        found: dict[str, str] = {}
        taken_back = dict.fromkeys(hosts, 0)
        async for run, plan in self._app.past_runs():
            if plan is None or plan.kind != "firewall" or run.state != "done":
                continue
            for host in {step.host for step in plan.steps} & hosts - found.keys():
                if host not in plan.firewalls:
                    taken_back[host] += 1
                elif taken_back[host]:
                    taken_back[host] -= 1
                else:
                    found[host] = plan.firewalls[host]
        if not found:
            raise CallError("no change of a firewall stands that could be taken back", "see `fairlead history`")
        return found

    def _with_server(self, names: Iterable[str]) -> list[GroupSpec]:
        """These groups of the environment, or all that say where their server is."""
        groups, chosen = groups_of(self._app.installation, self._app.own_databases()), list(names)
        there = ", ".join(group.name for group in groups)
        for name in chosen:
            if name not in {group.name for group in groups}:
                hint = f"there are: {there}" if there else "set `server` and `clients` in its group of `databases`"
                raise CallError(
                    f"no group {name!r} in {self._app.environment.name} says where its server is, and who may reach it",
                    hint,
                )
        if not groups:
            what = (
                f"no group of databases in {self._app.environment.name} says where its server is, and who may reach it"
            )
            raise CallError(what, "set `server` and `clients` in the group")
        return [group for group in groups if not chosen or group.name in chosen]

    def named(self, names: Iterable[str]) -> list[DatabaseSpec]:
        """These databases of the environment, or all. Raises CallError for a name that is not among them."""
        own, chosen = self._app.own_databases(), list(names)
        if unknown := [name for name in chosen if name not in {d.name for d in own}]:
            raise CallError(
                f"no database {unknown[0]!r} in {self._app.environment.name}", ", ".join(d.name for d in own)
            )
        return [database for database in own if not chosen or database.name in chosen]

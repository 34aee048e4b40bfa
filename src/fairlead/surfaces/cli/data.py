"""Commands about databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from fairlead.errors import CallError, NotReady
from fairlead.model import Deployment, Finding, Plan, blockers, drills_in_words
from fairlead.surfaces.cli import lines
from fairlead.surfaces.cli.change import approve, consent, ended, nothing
from fairlead.surfaces.cli.frame import command, emit_json, options

if TYPE_CHECKING:
    from fairlead.app import Fairlead, Provision


@click.group(name="db")
def db() -> None:
    """Databases: check them, back them up, list and restore backups."""


@db.command(name="check")
@click.option("--deep", is_flag=True, help="Read every table of the environment's databases to its end, too.")
@options
@command
async def check(app: Fairlead, as_json: bool, deep: bool) -> int:
    """Is every database reachable from the host that must reach it, and with --deep, is every table whole?

    Example: fairlead db check --deep -e production
    """
    found = await app.data.check()
    total, reached = len(found), sum(not one.blocks for one in found)
    found += await app.data.check_deeply() if deep else []
    if as_json:
        emit_json({"reachable": reached, "total": total, "findings": found})
    else:
        click.echo("\n".join([*lines.findings(found), f"{reached}/{total} databases reachable"]))
    return 1 if blockers(found) else 0


@db.command(name="backup")
@click.argument("names", nargs=-1)
@options
@command
async def backup(app: Fairlead, as_json: bool, names: tuple[str, ...]) -> int:
    """Back up the environment's databases, or those named, and prove every copy.

    Example: fairlead db backup -e production crm consent
    """
    found = await app.data.backup(names)
    made = sum(not one.blocks for one in found)
    if as_json:
        emit_json({"made": made, "total": len(found), "findings": found})
    else:
        click.echo("\n".join([*lines.findings(found), f"{made}/{len(found)} databases backed up"]))
    return 1 if blockers(found) else 0


@db.command(name="backups")
@click.option("--verify", is_flag=True, help="Hash the file of every backup again.")
@click.option("--accept", default="", metavar="FILE", help="This backup counts although it is doubted; say a --reason.")
@click.option("--reason", default="", help="Why it counts; its manifest keeps it.")
@options
@command
async def backups(app: Fairlead, as_json: bool, verify: bool, accept: str, reason: str) -> int:
    """What lies in the backup stores, newest last; for one that does not count, why.

    Example: fairlead db backups --verify -e production
    """
    if accept:
        if not reason:
            raise CallError("why does it count?", f'say it: fairlead db backups --accept {accept} --reason "..."')
        await app.data.accept(accept, reason)
    found = await app.data.backups(verify=verify)
    if as_json:
        emit_json({"backups": found})
    else:
        click.echo("\n".join(lines.backup(one) for one in found) or "no backups yet: `fairlead db backup`")
    return 0


@db.command(name="drill")
@click.argument("names", nargs=-1)
@options
@command
async def drill(app: Fairlead, as_json: bool, names: tuple[str, ...]) -> int:
    """Prove that backups can be restored: each into a scratch database, counted there, and dropped again.

    The newest backup of each database that counts is taken, of all or of those named. Nothing live is touched.

    Example: fairlead db drill -e production
    """
    found = await app.data.drill(names)
    passed = all(one.passed for one in found)
    if as_json:
        emit_json({"ok": passed, "drills": found})
    else:
        click.echo("\n".join([*lines.drills(found), drills_in_words(found)]))
    return 0 if passed else 1


class _How(TypedDict):
    """What a restore is told beside names."""

    into: str
    file: str
    undo: bool
    end_blockers: bool


@db.command(name="restore")
@click.argument("names", nargs=-1, required=True)
@click.option("--into", default="", help="Only into a new database, or a new file, of this name.")
@click.option(
    "--backup", "file", default="", help="Which backup, as `db backups` names it; else the newest that counts."
)
@click.option("--undo", is_flag=True, help="Make live again what the last restore has kept.")
@click.option("--end-blockers", is_flag=True, help="Sessions that hold a lock and do nothing may be ended.")
@consent
@options
@command
async def restore(
    app: Fairlead, as_json: bool, names: tuple[str, ...], yes: bool, reason: str, **how: Unpack[_How]
) -> int:
    """Take databases back to a backup: restored beside the live one, proven there, swapped in; what was live is kept.

    Example: fairlead db restore crm --reason "the import went wrong" -e production
    """
    _refuse(names, how)
    if how["into"]:
        return _new(await app.data.restore_into(names[0], how["into"], how["file"]), as_json)
    if how["undo"]:
        made = await app.data.plan_undo(names)
    else:
        made = await app.data.plan_restore(names, how["file"], end_blockers=how["end_blockers"])
        try:
            since = lines.ledgers(await app.data.estimates(names, how["file"]), "since the backup")
        except NotReady as error:  # a damaged database is what a restore is for
            since = [f"what was written since the backup cannot be told: {error.what}"]
        click.echo("\n".join(since), err=True)
    approve(app, made, yes=yes, from_file=False)
    deployment = await app.deploy(made, reason=reason or ("undo a restore" if how["undo"] else "restore"), watch=False)
    return await ended(app, deployment, as_json)


def _refuse(names: tuple[str, ...], how: _How) -> None:
    if (how["into"] or how["file"]) and len(names) > 1:
        raise CallError("one backup, or one new name, is for one database", "name one")
    if how["undo"] and (how["into"] or how["file"]):
        raise CallError("--undo makes live what is kept: it takes neither --backup nor --into")


def _new(found: Finding, as_json: bool) -> int:
    if as_json:
        emit_json({"ok": not found.blocks, "finding": found})
    else:
        click.echo("\n".join(lines.findings([found])))
    return 1 if found.blocks else 0


class _Wish(TypedDict):
    """What a provisioning is told beside names."""

    reduce: bool
    sql: bool


@db.command(name="provision")
@click.argument("names", nargs=-1)
@click.option("--reduce", is_flag=True, help="Also take from accounts what they may too much.")
@click.option("--sql", is_flag=True, help="Only print statements for an administrator to type; without passwords.")
@consent
@options
@command
async def provision(
    app: Fairlead, as_json: bool, names: tuple[str, ...], yes: bool, reason: str, **how: Unpack[_Wish]
) -> int:
    """Make databases and accounts as fairlead.yml says, or those named, also by their group; then prove what
    each account may do. What is there already is never altered.

    Example: fairlead db provision external -e production
    """
    if how["sql"]:
        return _script(app, names, as_json)
    made = await app.data.plan_provision(names, reduce=how["reduce"])
    run = None
    if made.plan.steps:
        click.echo("\n".join(lines.findings(made.findings)), err=True)
        approve(app, made.plan, yes=yes, from_file=False)
        run = await app.deploy(made.plan, reason=reason or "provision", watch=False)
        if run.state != "done":
            return await ended(app, run, as_json)
    else:
        await app.must_be_free()
    left = made if run is None else await app.data.plan_provision(names, reduce=how["reduce"])
    return _provisioned(app, as_json, run, (made, left), await app.data.privileges())


def _script(app: Fairlead, names: tuple[str, ...], as_json: bool) -> int:
    """Statements instead of a run: that is a no, since nothing was made."""
    several = app.data.provision_script(names)
    if as_json:
        emit_json({"sql": dict(several)})
    else:
        click.echo("\n".join(line for group, told in several for line in (f"-- {group}", *told)))
    return 1


def _provisioned(
    app: Fairlead,
    as_json: bool,
    run: Deployment | None,
    plans: tuple[Provision, Provision],
    found: list[Finding],
) -> int:
    """What was changed, what is left to do, and what the accounts of all databases may do."""
    (made, left), own = plans, {one.subject for one in plans[1].findings}
    proof = [one for one in found if one.subject in own]
    counts = _counts(app, found)
    if as_json:
        document = {"changes": len(made.plan.steps), "deployment": run, "hash": made.plan.hash, "plan": made.plan}
        emit_json(document | {"findings": [*left.findings, *proof], "databases": counts})
    else:
        told = ", ".join(f"{group} {good}/{total}" for group, (good, total) in counts.items())
        number = len(made.plan.steps)
        changes = "; ".join(filter(None, (f"{number} change{'s' * (number != 1)}", told)))
        click.echo("\n".join([*lines.findings([*left.findings, *proof]), changes]))
    return 1 if blockers([*left.findings, *proof]) or left.plan.steps else 0


def _counts(app: Fairlead, found: list[Finding]) -> dict[str, tuple[int, int]]:
    """By group, how many databases are as they are to be, of how many; those of other environments too."""
    good = {one.subject for one in found if not one.blocks}
    asked = {one.subject for one in found}
    groups = {name: [one for one in group.databases if one in asked] for name, group in app.installation.groups.items()}
    return {name: (len(good & set(names)), len(names)) for name, names in groups.items() if names}


@db.command(name="firewall")
@click.argument("groups", nargs=-1)
@click.option("--undo", is_flag=True, help="Bring back the firewalls as they were before their last change.")
@click.option("--plan", "only_shown", is_flag=True, help="Only show the plan.")
@consent
@options
@command
async def firewall(
    app: Fairlead, as_json: bool, groups: tuple[str, ...], undo: bool, only_shown: bool, yes: bool, reason: str
) -> int:
    """Let only their clients reach database servers: ufw rules, on trial until a new SSH connection has succeeded.

    Example: fairlead db firewall external -e production
    """
    made = await (app.data.plan_firewall_back(groups) if undo else app.data.plan_firewall(groups))
    if not made.steps:
        return await _as_it_should_be(app, made, as_json)
    if only_shown:
        return _shown(app, made, as_json)
    approve(app, made, yes=yes, from_file=False)
    why = reason or ("undo a change of the firewall" if undo else "firewall")
    return await ended(app, await app.deploy(made, reason=why, watch=False), as_json)


def _shown(app: Fairlead, made: Plan, as_json: bool) -> int:
    back = app.expected_way_back(made)
    if as_json:
        emit_json({"hash": made.hash, "plan": made, "way_back": back})
    else:
        click.echo("\n".join(lines.plan(made, back)))
    return 0


async def _as_it_should_be(app: Fairlead, made: Plan, as_json: bool) -> int:
    """No rule has to change; whether they do what they say is looked at from all sides."""
    found = await app.check(check for checks in made.proven.values() for check in checks)
    if as_json:
        emit_json({"changes": 0, "findings": found, "remarks": made.remarks})
    else:
        remarks = (f"! {remark}" for remark in made.remarks)
        click.echo("\n".join([*lines.findings(found), *remarks, "0 changes: the rules are as they should be"]))
    return 1 if blockers(found) else 0


@db.command(name="ledger")
@click.argument("names", nargs=-1, required=True)
@options
@command
async def ledger(app: Fairlead, as_json: bool, names: tuple[str, ...]) -> int:
    """What live databases and those that the last restore has kept differ in, table by table. Shows numbers, no values.

    Example: fairlead db ledger crm -e production
    """
    found = await app.data.kept(names)
    if as_json:
        emit_json({"ledgers": found})
    else:
        click.echo("\n".join(lines.ledgers(found)))
    return 0


@db.command(name="kept")
@click.argument("names", nargs=-1)
@options
@command
async def kept(app: Fairlead, as_json: bool, names: tuple[str, ...]) -> int:
    """What restores and ways back have kept beside live databases, and until when it stays.

    Example: fairlead db kept -e production
    """
    found = [(one, app.data.kept_until(one)) for one in await app.data.beside(names)]
    if as_json:
        emit_json({"beside": [{**one.model_dump(mode="json"), "until": until} for one, until in found]})
    else:
        click.echo("\n".join(lines.beside(*one) for one in found) or "nothing is kept beside these databases")
    return 0


@db.command(name="prune")
@click.argument("names", nargs=-1)
@click.option("--early", is_flag=True, help="Also what is still to be kept; names are needed.")
@consent
@options
@command
async def prune(app: Fairlead, as_json: bool, names: tuple[str, ...], early: bool, yes: bool, reason: str) -> int:
    """Drop what was kept beside live databases for as long as `rollback.keep_days` says. A deployment does so too.

    Example: fairlead db prune -e production
    """
    if early and not names:
        raise CallError("--early drops what is still to be kept: of which databases?", "`fairlead db kept` lists them")
    made = await app.data.plan_prune(names, early=early)
    if not made.steps:
        return nothing(as_json, "nothing is kept for longer than it should be")
    approve(app, made, yes=yes, from_file=False)
    code = await ended(app, await app.deploy(made, reason=reason or "prune", watch=False), as_json)
    left = await app.data.plan_prune(names, early=early)
    if code == 0 and left.steps:
        raise NotReady(f"{left.steps[0].title}: it is still there", "the warnings above say why")
    return code

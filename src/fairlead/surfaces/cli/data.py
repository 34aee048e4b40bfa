"""Commands about databases."""

from __future__ import annotations

import click

from fairlead.app import Fairlead
from fairlead.model import blockers
from fairlead.surfaces.cli import lines
from fairlead.surfaces.cli.frame import command, emit_json, options


@click.group(name="db")
def db() -> None:
    """Databases: check them, back them up, list and restore backups."""


@db.command(name="check")
@options
@command
async def check(app: Fairlead, as_json: bool) -> int:
    """Is every database reachable from the host that must reach it?

    Example: fairlead db check -e production
    """
    found = await app.data.check()
    reached = sum(not one.blocks for one in found)
    if as_json:
        emit_json({"reachable": reached, "total": len(found), "findings": found})
    else:
        click.echo("\n".join([*lines.findings(found), f"{reached}/{len(found)} databases reachable"]))
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
@options
@command
async def backups(app: Fairlead, as_json: bool) -> int:
    """What lies in the backup stores, newest last.

    Example: fairlead db backups -e production
    """
    found = await app.data.backups()
    if as_json:
        emit_json({"backups": found})
    else:
        click.echo("\n".join(lines.backup(one) for one in found) or "no backups yet: `fairlead db backup`")
    return 0


@db.command(name="restore")
@click.argument("name")
@click.option("--into", required=True, help="A file on the database's host that does not exist yet.")
@click.option(
    "--backup", "file", default="", help="Which backup, as `db backups` names it; else the newest proven one."
)
@options
@command
async def restore(app: Fairlead, as_json: bool, name: str, into: str, file: str) -> int:
    """Write a backup into a new file beside the live database, and prove it there. The live database is not touched.

    Example: fairlead db restore crm --into data/crm-restored.db -e production
    """
    found = await app.data.restore_into(name, into, file)
    if as_json:
        emit_json({"ok": not found.blocks, "finding": found})
    else:
        click.echo("\n".join(lines.findings([found])))
    return 1 if found.blocks else 0

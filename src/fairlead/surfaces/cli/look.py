"""Commands that look and change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairlead.model import Finding, blockers
from fairlead.surfaces.cli import actions, lines
from fairlead.surfaces.cli.frame import command, emit_json, options

if TYPE_CHECKING:
    from fairlead.app import Fairlead


def _answer(found: list[Finding], as_json: bool, yes: str, no: str) -> int:
    if as_json:
        emit_json({"ok": not blockers(found), "findings": found})
    else:
        click.echo("\n".join([*lines.findings(found), lines.verdict(found, yes, no)]))
    return 1 if blockers(found) else 0


@click.command(name="health")
@options
@command
async def health(app: Fairlead, as_json: bool) -> int:
    """All services and databases at once, one line each with milliseconds, in under ten seconds.

    Example: fairlead health -e production
    """
    return _answer(await app.health(), as_json, "no alerts", "alerts")


@click.command(name="ready")
@click.option("--fix", is_flag=True, help="Make the backups that are missing, and ask again.")
@options
@command
async def ready(app: Fairlead, as_json: bool, fix: bool) -> int:
    """Ask all gates at once, one line each: hosts, lock, services, databases, backups, secrets, and those of `gates`.

    One `fail` or `unknown` is a no. With `--fix` backups that are missing are made, and all gates are asked again.

    Example: fairlead ready -e production
    """
    told = await app.readiness.ask()
    if fix and (made := await app.readiness.mend(told)):
        click.echo("\n".join(lines.findings(made)), err=True)
        told = await app.readiness.ask()
    actions.readiness(told, app.environment.name)
    if as_json:
        emit_json({"ok": told.ok, **told.model_dump(mode="json"), "findings": told.findings})
    else:
        click.echo("\n".join(lines.readiness(told)))
    return 0 if told.ok else 1


@click.command(name="status")
@options
@command
async def status(app: Fairlead, as_json: bool) -> int:
    """The activation report: last deployment, branch and CI, databases, connections, gates, an open run: can I start?

    Example: fairlead status -e production
    """
    told = await app.readiness.status()
    if as_json:
        emit_json(told)
        return 0 if told.ready else 1
    click.echo("\n".join(lines.status(told)))
    return 0 if told.ready else 1

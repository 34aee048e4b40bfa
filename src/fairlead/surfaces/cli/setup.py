"""Commands about the installation itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fairlead.app import json_schema, local_tools, write_backup_key, write_starter
from fairlead.model import blockers
from fairlead.surfaces.cli import lines
from fairlead.surfaces.cli.frame import command, emit_json, guarded, options

if TYPE_CHECKING:
    from fairlead.app import Fairlead, LockState


@click.command(name="init")
@click.option("--example", type=click.Choice(["starter", "plesk"]), default="starter", show_default=True)
@click.option("--backup-key", is_flag=True, help="Make a key that backups are encrypted to, and nothing else.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Another file than the usual one.")
def init(example: str, backup_key: bool, out: Path | None) -> None:
    """Write a fairlead.yml to start from. `--example plesk` is a whole installation: 7 services, 17 databases.

    Example: fairlead init --example plesk
    """

    async def work() -> int:
        if backup_key:
            return _backup_key(out or Path("backup.key"))
        return _starter(out or Path("fairlead.yml"), example)

    sys.exit(guarded(work, as_json=False))


def _starter(out: Path, example: str) -> int:
    write_starter(out, example)
    click.echo(f"wrote {out}; now fill in your hosts, then: fairlead doctor && fairlead plan")
    return 0


def _backup_key(out: Path) -> int:
    public = write_backup_key(out)
    click.echo(
        f"wrote {out}: whoever has it can read the backups, and without it nobody can; keep it in a second place"
    )
    click.echo("write into fairlead.yml:")
    click.echo(f"  sources:\n    - file: {{name: BACKUP_IDENTITY, path: {out}}}")
    click.echo(f"  backup_store:\n    encrypt: {{to: [{public}], identity: BACKUP_IDENTITY}}")
    return 0


@click.command(name="schema")
def schema() -> None:
    """Print the JSON Schema of fairlead.yml, for completion and checking in editors.

    Example: fairlead schema > fairlead.schema.json
    """
    click.echo(json.dumps(json_schema(), indent=2))


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON document on stdout.")
def doctor(as_json: bool) -> None:
    """Is this machine able to run Fairlead? Which tool is missing, and how to get it.

    Example: fairlead doctor
    """

    async def work() -> int:
        found = await local_tools()
        if as_json:
            emit_json({"ok": not blockers(found), "findings": found})
        else:
            click.echo("\n".join([*lines.findings(found), lines.verdict(found, "this machine is fit", "missing")]))
        return 1 if blockers(found) else 0

    sys.exit(guarded(work, as_json))


@click.group(name="lock")
def lock() -> None:
    """Who holds the environment's lock, and how to give up a dead one."""


@lock.command(name="show")
@options
@command
async def show(app: Fairlead, as_json: bool) -> int:
    """Who holds the lock, until when, and which run is open.

    Example: fairlead lock show -e production
    """
    state = await app.lock()
    if as_json:
        emit_json(_state(state))
        return 0
    left = state.lease_left
    holder = f"held by {state.who}, {left} s left" if left else "free"
    run = "no open run" if state.run == "-" else f"run {state.run} is open"
    click.echo(f"{app.environment.name} on {app.environment.lock_host}: {holder}, {run}, token {state.token}")
    return 0


def _state(state: LockState) -> dict[str, object]:
    return {"token": state.token, "run": state.run, "who": state.who, "seconds_left": state.lease_left}


@lock.command(name="release")
@options
@command
async def release(app: Fairlead, as_json: bool) -> int:
    """Give up the lock of a holder that is gone; an open run stays open for `resume`. A living holder keeps it.

    Example: fairlead lock release -e production
    """
    run = await app.release_lock()
    if as_json:
        emit_json({"released": True, "run": run})
    else:
        click.echo("the lock is free" + ("" if run == "-" else f"; run {run} is open: `fairlead resume`"))
    return 0

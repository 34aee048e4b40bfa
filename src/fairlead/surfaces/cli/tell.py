"""Commands that tell people, and change nothing on any server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairlead.errors import CallError
from fairlead.surfaces.cli import lines
from fairlead.surfaces.cli.frame import command, emit_json, options

if TYPE_CHECKING:
    from fairlead.app import Fairlead


@click.command(name="announce")
@click.argument("services", nargs=-1)
@click.option("--reason", default="", help="What for; people read it.")
@click.option("--called-off", "off", is_flag=True, help="The window that was announced will not be used.")
@options
@command
async def announce(app: Fairlead, as_json: bool, services: tuple[str, ...], reason: str, off: bool) -> int:
    """Tell beforehand when the next deployment window opens, until when, what goes out and why: an issue on GitHub.

    Told again with another reason or other services, it is added there. The first run in the window closes the issue.
    What GitHub does not take is kept, and sent by the next run; the exit code is 1 then.

    Example: fairlead announce -e production --reason "release 42: new forms"
    """
    if not reason.strip():
        raise CallError("say what for", "`--reason TEXT`")
    told = await app.announce(services, reason, off=off)
    if as_json:
        emit_json(told)
    else:
        click.echo("\n".join(lines.announced(told)))
    return 1 if told.waits else 0

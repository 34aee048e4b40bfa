"""Commands about what was done."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fairlead.app import write_page
from fairlead.surfaces.cli import lines
from fairlead.surfaces.cli.frame import command, emit_json, options

if TYPE_CHECKING:
    from fairlead.app import Fairlead


@click.command(name="history")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@options
@command
async def history(app: Fairlead, as_json: bool, limit: int) -> int:
    """The last runs of the environment, newest first, read from the lock host.

    Example: fairlead history -e production
    """
    told = await app.history(limit)
    if as_json:
        emit_json({"deployments": told})
    else:
        click.echo("\n".join(lines.deployment(one) for one in told) or "nothing was deployed yet")
    return 0


@click.command(name="show")
@click.argument("run", default="")
@options
@command
async def show(app: Fairlead, as_json: bool, run: str) -> int:
    """One run, change by change, from its record; without a name the last one.

    Example: fairlead show -e production
    """
    told = await app.report(run)
    if as_json:
        emit_json(told)
        return 0
    click.echo(lines.deployment(told.deployment))
    for at, sentence in told.timeline:
        click.echo(f"  {time.strftime('%H:%M:%S', time.gmtime(at))}  {lines.ascii_path(sentence)}")
    return 0


@click.command(name="report")
@click.argument("run", default="")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Where to write the page.")
@options
@command
async def report(app: Fairlead, as_json: bool, run: str, out: Path | None) -> int:
    """Write one self-contained HTML page about a run, and beside it a post-mortem when the run came back.

    Example: fairlead report -e production --out report.html
    """
    from fairlead.surfaces.page import page, post_mortem

    told = await app.report(run)
    target = out or Path(f"fairlead-{told.deployment.id}.html")
    write_page(target, page(told))
    mortem = None
    if told.deployment.state == "back":
        mortem = target.with_suffix(".post-mortem.md")
        write_page(mortem, post_mortem(told))
    if as_json:
        emit_json({"report": str(target), "post_mortem": str(mortem) if mortem else None, "run": told.deployment.id})
    else:
        click.echo(f"report: {target}" + (f"\npost-mortem: {mortem}" if mortem else ""))
    return 0

"""Commands that change something, and the plan that shows it first."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

import click

from fairlead.app import read_plan, write_plan
from fairlead.errors import CallError, FairleadError, Moved, NotReady, Refused
from fairlead.model import Deployment, Ledger, Passed, Plan, duration, why_not
from fairlead.surfaces.cli import actions, lines
from fairlead.surfaces.cli.frame import command, emit_json, options

if TYPE_CHECKING:
    from fairlead.app import DataWish, Fairlead, Readiness

UNCHANGED = "nothing to change: everything is live already"


class Consent(TypedDict):
    """What a person has said to a deployment."""

    yes: bool
    reason: str
    no_watch: bool
    overridden: tuple[str, ...]


EXITS = {"done": 0, "back": 3, "closed": 0, "nothing": 0, "open": 4}


def consent(function: click.decorators.FC) -> click.decorators.FC:
    """Options of everything that a person must approve."""
    function = click.option("--reason", default="", help="Why; goes into the record.")(function)
    return click.option("--yes", is_flag=True, help="Do not ask; see `docs/reference.md` for where this is allowed.")(
        function
    )


def approval(function: click.decorators.FC) -> click.decorators.FC:
    """The same, for what is watched afterwards."""
    return consent(click.option("--no-watch", is_flag=True, help="Do not watch afterwards.")(function))


@click.command(name="plan")
@click.argument("services", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Also write the plan to a file.")
@options
@command
async def plan(app: Fairlead, as_json: bool, services: tuple[str, ...], out: Path | None) -> int:
    """Show what a deployment would do, command by command, file by file. Changes nothing on any server.

    Example: fairlead plan -e production api frontend
    """
    made = await app.plan(services)
    if out:
        write_plan(out, made)
    if as_json:
        emit_json({"hash": made.hash, "plan": made, "way_back": app.expected_way_back(made)})
    else:
        click.echo("\n".join(lines.plan(made, app.expected_way_back(made))) if made.steps else UNCHANGED)
    return 0


@click.command(name="deploy")
@click.argument("services", nargs=-1)
@click.option(
    "--plan", "plan_file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A plan made before."
)
@click.option(
    "--override", "overridden", multiple=True, metavar="GATE", help="Start though this gate says no; says why."
)
@approval
@options
@command
async def deploy(
    app: Fairlead, as_json: bool, services: tuple[str, ...], plan_file: Path | None, **how: Unpack[Consent]
) -> int:
    """Prepare, plan, ask, stage, activate in order, watch; on failure everything goes back by itself.

    Example: fairlead deploy -e production --reason "release 42"
    """
    reason, overridden = how["reason"], how["overridden"]
    _must_say_why(overridden, reason)
    if plan_file and services:
        raise CallError("a plan file names its services itself", "leave the services out")
    async with _unless_busy(app):
        made = await app.plan(services) if plan_file is None else await _planned(app, plan_file)
        if not made.steps:
            await app.must_be_free()
            return nothing(as_json, UNCHANGED)
        told = await app.readiness.ask(made)
        actions.readiness(told, made.environment)
        if any(one.gate == "lock" and one.status == "fail" for one in told.gates):
            await app.must_be_free()
        passed = _passed(told, overridden)
    approve(app, made, yes=how["yes"], from_file=plan_file is not None)
    at_once = how["yes"] and plan_file is None
    done = await app.deploy(made, reason=reason, watch=not how["no_watch"], passed=passed, at_once=at_once)
    return await ended(app, done, as_json)


def _must_say_why(overridden: tuple[str, ...], reason: str) -> None:
    if overridden and not reason.strip():
        raise CallError("who overrides a gate says why", "`--override GATE --reason TEXT`; it goes into the record")
    if "lock" in overridden:
        raise CallError("the lock cannot be overridden", "`fairlead lock show` says who holds it")


def _passed(told: Readiness, overridden: tuple[str, ...]) -> Passed:
    """With what right the deployment begins. Raises NotReady where a gate blocks that nobody has overridden.

    Raises Refused where it is the clock that says no: nothing has to be repaired.
    """
    if unknown := set(overridden) - {one.gate for one in told.gates}:
        raise CallError(
            f"no gate {min(unknown)!r} was asked", f"there are: {', '.join(one.gate for one in told.gates)}"
        )
    blocking = [one for one in told.blocking if one.gate not in overridden]
    if blocking:
        click.echo("\n".join(lines.noted(blocking)), err=True)
        if window := next((one for one in blocking if one.gate == "window" and one.status == "fail"), None):
            raise Refused(f"not now: {window.says}", window.hint)
        findings = (finding for one in blocking for finding in one.findings)
        raise NotReady(f"not ready: {why_not(findings)}", "`fairlead ready` shows all gates")
    used = tuple(one.gate for one in told.blocking)
    for one in told.blocking:
        click.echo(f"! {one.gate} is overridden: {lines.ascii_path(one.says)}", err=True)
    return Passed(evidence=told.evidence, overridden=used)


@asynccontextmanager
async def _unless_busy(app: Fairlead) -> AsyncIterator[None]:
    """What a run in progress looks like from outside must not be reported as something to repair."""
    try:
        yield
    except NotReady:
        if app.environment.lock_host not in app.silent:
            with suppress(NotReady):  # the lock host may not answer either; then the first error says more
                await app.must_be_free()
        raise


async def _planned(app: Fairlead, plan_file: Path) -> Plan:
    """A plan from a file, if the ground has not moved since."""
    made = read_plan(plan_file)
    now = await app.again(made)
    if now.hash != made.hash:
        raise Moved("the servers or fairlead.yml are no longer what this plan was made for",
                    "make and approve a new plan: `fairlead plan --out FILE`")  # fmt: skip
    return made


def nothing(as_json: bool, says: str) -> int:
    """A plan without steps is a yes."""
    if as_json:
        emit_json({"deployment": None})
    else:
        click.echo(says)
    return 0


def approve(app: Fairlead, made: Plan, *, yes: bool, from_file: bool) -> None:
    """A person says yes to exactly this plan; `--yes` counts for a plan that was seen, or where that is allowed."""
    if yes and (from_file or app.environment.unattended):
        return
    if yes:
        raise Refused(
            f"{made.environment} does not allow --yes without a plan that was seen",
            "`fairlead plan --out FILE`, then `fairlead deploy --plan FILE --yes`",
        )
    click.echo("\n".join(lines.plan(made, app.expected_way_back(made))), err=True)
    if not sys.stdin.isatty():
        again = "type it again with --yes" if app.environment.unattended else "run it in a terminal"
        filed = "`fairlead deploy --plan FILE --yes`, or run it in a terminal"
        raise Refused("nobody is here to approve the plan", filed if made.kind in ("deploy", "adopt") else again)
    if not click.confirm(f"Carry out plan {made.hash[:12]} on {made.environment}?", default=False, err=True):
        raise Refused("not approved, nothing was changed")


async def ended(app: Fairlead, deployment: Deployment | None, as_json: bool) -> int:
    """Say how a run ended, with what was written to the databases that it took back; the exit code for it."""
    actions.ended(deployment)
    if deployment is None:
        if as_json:
            emit_json({"deployment": None})
        else:
            click.echo("nothing is open")
        return 0
    ledgers = await _ledgers(app, deployment)
    if as_json:
        emit_json({"deployment": deployment, "kept": deployment.kept, "ledgers": ledgers})
    else:
        click.echo("\n".join([told(deployment), *lines.ledgers(ledgers)]))
    return EXITS[deployment.state]


async def _ledgers(app: Fairlead, deployment: Deployment) -> list[Ledger]:
    """What went back is back, whether the difference can be told or not."""
    try:
        return await app.data.ledgers(deployment.kept)
    except FairleadError as error:
        click.echo(f"what live and kept databases differ in cannot be told: {error}", err=True)
        return []


def told(one: Deployment) -> str:
    """How a run ended, for people."""
    took = one.ended - one.started
    if one.state == "done":
        live = ", ".join(f"{name} {lines.ascii_path(version)}" for name, version in one.versions.items())
        target = f" (target 30 min): {live}" if live else ""
        return f"{one.kind} {one.id} is done in {duration(took)}{target}"
    if one.state == "back":
        back = f"the way back took {duration(one.back_seconds)} (target 5 min)"
        return (
            f"{one.kind} {one.id} came back: {lines.ascii_path(one.why_back)}\n"
            f"everything is as it was, proven from outside; {back}\n"
            f"{_of_data(one)}\nhint: `fairlead report {one.id} -e {one.environment}` writes the post-mortem"
        )
    return lines.deployment(one)


def _of_data(one: Deployment) -> str:
    if not one.kept:
        return "data is left as it is"
    names = ", ".join(one.kept)
    return (
        f"the data of {names} is as it was before; what it was replaced for is kept: "
        f"`fairlead db restore {' '.join(one.kept)} --undo -e {one.environment}` makes that live again"
    )


@click.command(name="adopt")
@click.argument("service")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Only write the plan to a file.")
@approval
@options
@command
async def adopt(
    app: Fairlead, as_json: bool, service: str, out: Path | None, yes: bool, reason: str, no_watch: bool
) -> int:
    """Make the folder that a service is served from now its first release; no file is changed, nothing is restarted.

    Example: fairlead adopt frontend -e production
    """
    made = await app.plan_adopt(service)
    if out:
        write_plan(out, made)
        if as_json:
            emit_json({"hash": made.hash, "plan": made, "way_back": app.expected_way_back(made)})
        else:
            click.echo("\n".join(lines.plan(made, app.expected_way_back(made))))
        return 0
    approve(app, made, yes=yes, from_file=False)
    return await ended(app, await app.deploy(made, reason=reason or "adopt", watch=not no_watch), as_json)


DATA: tuple[Literal["all", "migrated", "none"], ...] = ("all", "migrated", "none")


@click.command(name="rollback")
@click.argument("run", default="")
@click.option(
    "--data", default="", metavar="|".join(DATA), help="Which databases go back too; else as fairlead.yml says."
)
@approval
@options
@command
async def rollback(app: Fairlead, as_json: bool, run: str, data: str, yes: bool, reason: str, no_watch: bool) -> int:
    """Go back: an open run is undone; without one, the last finished deployment is taken back by a plan of its own.

    Example: fairlead rollback -e production --reason "donations fail"
    """
    wish = _wish(data)
    state = await app.lock()
    if state.run != "-":
        if run not in ("", state.run):
            raise CallError(f"run {state.run} is open, not {run}", "leave the name out to take the open run back")
        if not yes and not (sys.stdin.isatty() and click.confirm(f"Take the open run {state.run} back?", err=True)):
            raise Refused("not approved, nothing was changed", "say `--yes`, or run it in a terminal")
        return await _went_back(app, await app.go_back(reason or "rollback", wish), as_json)
    made = await app.plan_rollback(run, wish)
    approve(app, made, yes=yes, from_file=False)
    return await ended(app, await app.deploy(made, reason=reason or "rollback", watch=not no_watch), as_json)


def _wish(data: str) -> DataWish:
    for known in DATA:
        if data == known:
            return known
    if data:
        raise CallError(f"--data {data} is none of {', '.join(DATA)}")
    return ""


async def _went_back(app: Fairlead, deployment: Deployment | None, as_json: bool) -> int:
    """An open run that was asked to go back and did: that is a yes."""
    code = await ended(app, deployment, as_json)
    return 0 if deployment is not None and deployment.state == "back" else code


@click.command(name="resume")
@click.argument("run", default="")
@click.option("--no-watch", is_flag=True, help="Do not watch afterwards.")
@options
@command
async def resume(app: Fairlead, as_json: bool, run: str, no_watch: bool) -> int:
    """Finish the open run, or undo it where it cannot be finished from here. Works from any machine.

    Example: fairlead resume -e production
    """
    await _must_be_open(app, run)
    return await ended(app, await app.resume(watch=not no_watch), as_json)


@click.command(name="close")
@click.argument("run", default="")
@click.option("--reason", required=True, help="Why it is ended by hand; goes into the record.")
@options
@command
async def close(app: Fairlead, as_json: bool, run: str, reason: str) -> int:
    """End the open run by hand and leave everything exactly as it stands now.

    Example: fairlead close -e production --reason "repaired by hand"
    """
    await _must_be_open(app, run)
    return await ended(app, await app.close(reason), as_json)


async def _must_be_open(app: Fairlead, run: str) -> None:
    state = await app.lock()
    if run and state.run not in ("-", run):
        raise CallError(f"run {state.run} is open, not {run}", "leave the name out to take the open run")

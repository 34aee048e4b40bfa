"""Plans that make databases and accounts, and give accounts what they are to have: nothing that was found is undone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fairlead.config import DatabaseSpec, EnvironmentSpec, GroupSpec, Installation
from fairlead.engines import PROVISIONERS
from fairlead.engines.admin import Change, Survey, Wish, working_host
from fairlead.errors import NotReady
from fairlead.model import Finding, Plan, Run, Step
from fairlead.outside.connect import Hosts
from fairlead.outside.secrets import Secrets
from fairlead.plan.deploy import all_or_errors, assembled


class Provision(NamedTuple):
    """What it takes to have databases and accounts as fairlead.yml says."""

    plan: Plan
    """Without steps where nothing has to be changed."""
    findings: tuple[Finding, ...]
    """What is there, and what nobody here changes."""


def wishes(installation: Installation, databases: Iterable[DatabaseSpec], *, reduce: bool = False) -> list[Wish]:
    """The chosen databases by group, those of servers only."""
    chosen = [one for one in databases if one.engine in PROVISIONERS]
    groups = dict.fromkeys(one.group for one in chosen)
    return [
        Wish(
            installation.groups[name],
            tuple(one for one in installation.databases if one.group == name),
            tuple(one.name for one in chosen if one.group == name),
            reduce,
        )
        for name in groups
    ]


async def plan_provision(
    installation: Installation, environment: EnvironmentSpec, several: Sequence[Wish], hosts: Hosts, secrets: Secrets
) -> Provision:
    """Look at the servers, and say what has to be changed. Changes nothing.

    Raises NotReady naming every server that cannot be asked, and every group that nobody may make databases in.
    """
    made = [wish for wish in several if wish.group.made_by == "fairlead"]
    if missing := [wish.group.name for wish in made if wish.group.admin is None]:
        names = " ".join(missing)
        hint = f"`fairlead db provision {' '.join(n for w in made for n in w.names if w.group.admin is None)} --sql` "
        what = f"nobody may make databases in {names}: no `admin`"
        raise NotReady(what, hint + "prints what an administrator of the server has to type")
    surveys = await all_or_errors(_survey(wish, hosts, secrets) for wish in made)
    changes = [(wish.group, change) for wish, survey in zip(made, surveys, strict=True) for change in survey.changes]
    touched = {change.subject for _, change in changes}
    plan = assembled(
        installation,
        environment,
        [],
        sorted((_step(group, change) for group, change in changes), key=lambda step: step.phase == "activate"),
        [one for wish in made for one in wish.chosen if one.name in touched],
        kind="provision",
        watch=(),
        remarks=tuple(_remarks(changes, surveys)),
    )
    panel = [_by_panel(one, wish.group) for wish in several if wish not in made for one in wish.chosen]
    return Provision(plan, (*panel, *(finding for survey in surveys for finding in survey.findings)))


async def _survey(wish: Wish, hosts: Hosts, secrets: Secrets) -> Survey:
    host = await hosts.get(working_host(wish.group))
    return await PROVISIONERS[wish.group.engine].survey(host, wish, secrets)


def _step(group: GroupSpec, change: Change) -> Step:
    """What is new is made beside each other; what somebody may be using is changed one after the other."""
    return Step(
        id=_id(change),
        title=f"{change.subject}: {change.title}",
        host=working_host(group),
        phase="stage" if change.new else "activate",
        do=Run(command=change.do),
        probe=change.probe,
        undo=change.undo,
        back="reversible" if change.undo else "stays",
        loss="finish",
        shows=change.shows,
        shows_back=change.shows_back,
        warns=change.warns,
    )


def _id(change: Change) -> str:
    """Steps whose ids have their first word in common are never reordered."""
    lane = f"db-{change.after}" if " " not in change.after else change.after.replace(" ", "-")
    return f"{lane}.{change.word}" + f".{change.subject}" * (change.subject != change.after)


def _remarks(changes: Iterable[tuple[GroupSpec, Change]], surveys: Iterable[Survey]) -> Iterable[str]:
    for _, change in changes:
        yield from change.warns
    for survey in surveys:
        yield from survey.remarks


def _by_panel(database: DatabaseSpec, group: GroupSpec) -> Finding:
    says = f"is made in the panel of {group.host}; it is only verified"
    return Finding(check="provision", subject=database.name, status="ok", says=says)

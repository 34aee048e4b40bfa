"""What Fairlead can do without an installation: start one, describe its file, look at this machine, keep plans."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fairlead.config import schema
from fairlead.errors import CallError, NotReady
from fairlead.model import Finding, Plan
from fairlead.model.plan import PLAN_FORMAT
from fairlead.outside.age import new_key
from fairlead.outside.environment import job_summary, login_environment
from fairlead.outside.files import append_text, package_text, read_text, write_text
from fairlead.outside.process import run_async
from fairlead.outside.program import run_program

TOOLS = {
    "ssh": (("ssh", "-V"), "apt install openssh-client"),
    "rsync": (("rsync", "--version"), "apt install rsync"),
    "git": (("git", "--version"), "apt install git (only needed for versions by commit)"),
}
"""Program -> how to ask it, how to get it."""


def run_loop(work: Callable[[], Awaitable[int]]) -> int:
    """Run asynchronous work to its end and return its exit code."""

    async def main() -> int:
        return await work()

    return run_async(main())


def write_starter(path: Path, example: str) -> None:
    """Write a fairlead.yml to start from; never over an existing one."""
    if path.exists():
        raise CallError(f"{path} exists, and is not overwritten", "say `--out OTHER`, or move it away")
    write_text(path, package_text(f"config/examples/{example}.yml"))


def write_backup_key(path: Path) -> str:
    """Make a key for backups: its identity into a file that only this account may read. Returns the public key."""
    if path.exists():
        raise CallError(f"{path} exists, and is not overwritten", "say `--out OTHER`; a lost identity is lost backups")
    identity, public = new_key()
    write_text(path, f"{identity}\n", mode=0o600)
    return public


def json_schema() -> dict[str, Any]:
    """JSON Schema of fairlead.yml as it is written."""
    return schema()


async def local_tools() -> list[Finding]:
    """Is this machine able to run Fairlead: a finding for each program that it starts."""
    return list(await asyncio.gather(*(_tool(name) for name in TOOLS)))


async def _tool(name: str) -> Finding:
    argv, hint = TOOLS[name]
    try:
        result = await run_program(argv, folder=Path.cwd(), env=login_environment(), timeout=10.0)
    except NotReady as error:
        return Finding(check="tool", subject=name, status="fail", says=error.what, hint=hint)
    if not result.ok:
        status = "warn" if name == "git" else "fail"
        return Finding.model_validate(
            {"check": "tool", "subject": name, "status": status, "says": "is not installed", "hint": hint}
        )
    first = (result.stdout.strip() or result.stderr.strip()).splitlines()[0]
    return Finding(check="tool", subject=name, status="ok", says=" ".join(first.split())[:80])


def write_plan(path: Path, plan: Plan) -> None:
    """Keep a plan in a file that only its owner may read."""
    write_text(path, plan.to_json() + "\n", mode=0o600)


def read_plan(path: Path) -> Plan:
    """Read a plan from a file. Raises CallError when it is not one, or one of another format."""
    try:
        plan = Plan.model_validate_json(read_text(path))
    except NotReady as error:
        raise CallError(error.what, "`fairlead plan --out FILE` makes one") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CallError(
            f"{path} is not a plan: {where}: {first['msg']}", "`fairlead plan --out FILE` makes one"
        ) from None
    if plan.format != PLAN_FORMAT:
        raise CallError(f"{path} is a plan of format {plan.format}, this version makes format {PLAN_FORMAT}")
    return plan


def in_actions() -> bool:
    """Whether this runs in a job of GitHub Actions."""
    return job_summary() is not None


def add_to_summary(text: str) -> str:
    """Add Markdown to the summary of the job that this runs in, if it runs in one; returns why not, empty = added."""
    place = job_summary()
    try:
        if place is not None:
            append_text(place, text)
    except NotReady as error:  # it is no reason to end a deployment
        return error.what
    return ""


def write_page(path: Path, text: str) -> None:
    """Write a report."""
    write_text(path, text)

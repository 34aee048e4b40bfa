from __future__ import annotations

from collections.abc import Callable

from fairlead.checks.looked import looked
from fairlead.model import CommandCheck, Finding, Result, Status
from fairlead.outside.host import Host

_CANNOT_TELL = {
    124: "did not end in time",
    126: "cannot be started",
    127: "is not there",
}
"""Exit codes that say nothing about what was asked."""


async def check_command(check: CommandCheck, host: Host, *, clean: Callable[[str], str] = str) -> Finding:
    """Run a command that changes nothing; it says yes with exit code 0. `clean` takes secrets out of what it says."""
    return await looked("command", check.subject, _run(check, host, clean))


async def _run(check: CommandCheck, host: Host, clean: Callable[[str], str]) -> Finding:
    result = (await host.run(check.command)).cleaned(clean)
    line = " ".join(str(check.command).split())
    shown = line if len(line) <= 80 else line[:79] + "…"
    status, says = _verdict(result, check.command.argv[0])
    return Finding(
        check="command",
        subject=check.subject,
        status=status,
        says=says,
        hint="" if result.ok else f"on {check.host}: {shown}",
        evidence={"host": check.host, "command": shown, "code": result.code, "says": result.last_words},
    )


def _verdict(result: Result, program: str) -> tuple[Status, str]:
    if result.ok:
        return "ok", f"`{program}` says yes"
    said = f": {result.last_words}" if result.last_words else ""
    if result.code in _CANNOT_TELL:
        return "unknown", f"`{program}` {_CANNOT_TELL[result.code]}{said}"
    return "fail", f"`{program}` exited {result.code}{said}"

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.checks.command import check_command
from fairlead.errors import Unreachable
from fairlead.model import Command, CommandCheck, Finding
from fairlead.outside.recorder import Recorder
from support.places import place

ROWS = {
    "yes": (("true",), "ok", "`true` says yes"),
    "no": (("sh", "-c", "echo inactive; exit 3"), "fail", "`sh` exited 3: inactive"),
    "no, silently": (("false",), "fail", "`false` exited 1"),
    "no such program": (("no-such-program",), "unknown", "`no-such-program` is not there"),
    "too slow": (("sleep", "60"), "unknown", "`sleep` did not end in time"),
}


def check(*argv: str) -> CommandCheck:
    return CommandCheck(subject="api", host="here", command=Command(argv=argv, timeout=0.5))


@pytest.mark.parametrize("case", ROWS)
async def test_a_command_is_judged_by_its_exit_code(tmp_path: Path, case: str) -> None:
    argv, status, says = ROWS[case]
    async with place("local", tmp_path) as here:
        finding = await check_command(check(*argv), here.host)
    assert finding.status == status and finding.says.startswith(says), finding
    assert finding.ms is not None
    assert bool(finding.hint) == (status != "ok")


@pytest.mark.parametrize(
    ("error", "says"),
    [(Unreachable("no route", hint="cable?"), "no route"), (None, "the check itself failed: KeyError: 'true'")],
    ids=["host gone", "a mistake of ours"],
)
async def test_whatever_goes_wrong_is_not_knowing(error: Unreachable | None, says: str) -> None:
    finding: Finding = await check_command(check("true"), Recorder({"true": error} if error else {}))
    assert (finding.status, finding.says, finding.hint) == ("unknown", says, error.hint if error else "")

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from fairlead.checks.run import Asked, CheckContext, run_checks, together
from fairlead.model import Command, CommandCheck, Finding, HttpCheck, TreeCheck
from fairlead.outside.http import HttpClient
from fairlead.outside.secrets import Secrets
from support.places import place


async def after(seconds: float) -> Finding:
    await asyncio.sleep(seconds)
    return Finding(check="http", subject="quick", status="ok", says="answers")


async def stubborn() -> Finding:
    """Does not end when it is told to."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(30)
    raise AssertionError


async def broken() -> Finding:
    raise RuntimeError("a mistake\nof ours")


async def test_all_at_once_in_order_and_nobody_is_waited_for() -> None:
    began = time.monotonic()
    found = await together(
        [
            Asked("http", "never", after(60)),
            Asked("http", "quick", after(0.2)),
            Asked("http", "stubborn", stubborn()),
            Asked("lock", "here", broken()),
            *(Asked("http", "quick", after(0.2)) for _ in range(20)),
        ],
        0.5,
    )
    assert time.monotonic() - began < 4
    assert [(one.check, one.subject, one.status, one.says) for one in found[:4]] == [
        ("http", "never", "unknown", "no answer within 0.5 s"),
        ("http", "quick", "ok", "answers"),
        ("http", "stubborn", "unknown", "no answer within 0.5 s"),
        ("lock", "here", "unknown", "the check itself failed: RuntimeError: a mistake of ours"),
    ]
    assert all(one.status == "ok" and one.ms and one.ms >= 200 for one in found[4:])


async def test_nothing_asked_is_nothing_found() -> None:
    assert await together([], 1.0) == []


async def test_checks_from_a_plan_find_their_way(tmp_path: Path) -> None:
    checks = [
        HttpCheck(subject="web", url="http://127.0.0.1:9/"),
        HttpCheck(check="identity", subject="web", url="http://127.0.0.1:9/", fields={"release": "x"}),
        TreeCheck(subject="api", host="here", path="nowhere", tree="0" * 64),
        CommandCheck(subject="api", host="here", command=Command(argv=("true",))),
        CommandCheck(subject="api", host="missing", command=Command(argv=("true",))),
    ]
    async with place("local", tmp_path) as here, HttpClient() as http:
        found = await run_checks(checks, CheckContext(here.hosts, http, Secrets()), 5.0)
    assert [(one.check, one.subject, one.status) for one in found] == [
        ("http", "web", "fail"),
        ("identity", "web", "fail"),
        ("tree", "api", "fail"),
        ("command", "api", "ok"),
        ("command", "api", "unknown"),
    ]

from __future__ import annotations

import ast
import asyncio
import json
import os
import random
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.config.database import MaintenanceAccount
from fairlead.engines import postgres
from fairlead.errors import NotReady
from fairlead.model import Backup, Command, Ledger, SecretRef, TableLedger
from support.places import Place
from support.postgres import MASTER, PASSWORDS, Postgres, secrets
from support.postgres_swap import DIE, LABEL, Trial, changed, checksums, object_of, psql, talking
from support.processes import mentioning, until
from support.sentinels import Search, sentinel


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres("max_prepared_transactions=5", "wal_level=logical") as one:
        yield one


TABLES = (
    "create table people (id serial primary key, name text)",
    "insert into people (name) select 'n' || g from generate_series(1, 1000) g",
)
WRITES = (
    "insert into people (name) select 'new' || g from generate_series(1, 50) g",
    "delete from people where id <= 30",
    "update people set name = 'other' where id between 101 and 120",
)
ASKED = iter(range(10_000))


@pytest.fixture
async def trial(here: Place, server: Postgres) -> AsyncIterator[Trial]:
    """A database with a backup, and rows that were written since."""
    yield await a_trial(here, server)


async def a_trial(here: Place, server: Postgres, *statements: str, **words: Any) -> Trial:
    name = words.pop("name", f"trial{next(ASKED)}")
    trial = Trial(here, server, server.spec(name, **words))
    server.make(trial.live, *TABLES, *statements)
    await trial.back_up()
    server.sql("set role svc", *WRITES, database=trial.live)
    return trial


# -- the program itself


def test_the_program_is_python_3_7(server: Postgres) -> None:
    ast.parse(postgres.swap_probe(server.spec(), LABEL).argv[2], feature_version=(3, 7))


def test_the_program_fits_into_one_argument(server: Postgres) -> None:
    assert len(shlex.join(postgres.swap_probe(server.spec(), LABEL).argv)) < 100_000


NAMES = {
    "short": ("mo_idp", "mo_idp__new_20260704_0a1b2c3d", "mo_idp__kept_20260704_0a1b2c3d"),
    "as long as may be": ("x" * 39, "x" * 39 + "__new_20260704_0a1b2c3d", "x" * 39 + "__kept_20260704_0a1b2c3d"),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_beside_the_live_one(server: Postgres, case: str) -> None:
    live, *names = NAMES[case]
    spec = server.spec(database=live)
    assert [postgres.shadow_name(spec, LABEL), postgres.kept_name(spec, LABEL)] == names


@pytest.mark.parametrize("live", ["x" * 63, "ä" * 31, "😀" * 15, "x" * 40])
def test_a_long_name_is_cut_and_told_apart_by_its_hash(server: Postgres, live: str) -> None:
    spec, other = server.spec(database=live), server.spec(database=live[:-1] + "y")
    for name in (postgres.shadow_name, postgres.kept_name):
        assert len(name(spec, LABEL).encode()) <= 63 and name(spec, LABEL) != name(other, LABEL)
        assert name(spec, LABEL).startswith(live[:7]) and name(spec, LABEL).endswith(LABEL)


# -- the whole way


async def test_the_backup_becomes_live_and_what_was_live_is_kept(here: Place, server: Postgres) -> None:
    trial = await a_trial(here, server)
    written = checksums(server, trial.live)
    assert await trial.words() == ("before", "before")
    await trial.well("shadow")
    assert (await trial.words(), trial.there) == (("after", "before"), "ls")
    assert checksums(server, trial.live) == written, "the shadow touches nothing"
    backed_up = checksums(server, trial.shadow)
    await trial.well("swap")
    assert (await trial.words(), trial.there) == (("after", "after"), "lk")
    assert (checksums(server, trial.live), checksums(server, trial.kept)) == (backed_up, written)
    assert server.sql("select count(*), max(id) from people", database=trial.live) == "1000|1000"
    await trial.well("swap_undo")
    assert (await trial.words(), trial.there) == (("after", "before"), "ls")
    assert (checksums(server, trial.live), checksums(server, trial.shadow)) == (written, backed_up)
    await trial.well("swap")
    assert checksums(server, trial.live) == backed_up, "and again"


# -- from every state, twice


Reach = Callable[[Trial], Any]


def reached_by(*steps: str | tuple[str, str, str]) -> Reach:
    """Steps by name; a step with two texts is killed where the first one stands, the second put in its place."""

    async def go(trial: Trial) -> None:
        for step in steps:
            if isinstance(step, str):
                await trial.well(step)
            else:
                assert not (await trial.run(step[0], step[1:])).ok

    return go


def foreign(which: str) -> Reach:
    async def go(trial: Trial) -> None:
        trial.server.make(getattr(trial, which), "create table theirs as select 1 as a")

    return go


MADE = '"no second database can be made")\n'
UNMARKED = ("shadow", MADE, f"{MADE}    {DIE}\n")
COUNT = "    rows = counted(scene.account, name)\n"
HALF = ("shadow", COUNT, f"    {DIE}\n")
CLOSED = ("swap", "carry_on(live, new)\n", f"{DIE}\n")
RETURNING = ("swap_undo", "carry_on(live, new)\n", f"{DIE}\n")
STATES: dict[str, tuple[Reach, tuple[str, str]]] = {
    "nothing": (reached_by(), ("before", "before")),
    "made and not marked": (reached_by(UNMARKED), ("between", "before")),
    "half-filled": (reached_by(HALF), ("between", "before")),
    "proven": (reached_by("shadow"), ("after", "before")),
    "closed": (reached_by("shadow", CLOSED), ("after", "between")),
    "swapped": (reached_by("shadow", "swap"), ("after", "after")),
    "closed for the return": (reached_by("shadow", "swap", RETURNING), ("after", "between")),
    "returned": (reached_by("shadow", "swap", "swap_undo"), ("after", "before")),
    "returned and set aside": (reached_by("shadow", "swap", "swap_undo", "shadow_undo"), ("before", "before")),
    "a shadow of somebody else": (foreign("shadow"), ("cannot_tell", "cannot_tell")),
    "a kept one of somebody else": (foreign("kept"), ("cannot_tell", "cannot_tell")),
}
NO = ("no", "")
ENDS: dict[tuple[str, str], tuple[str, str]] = {
    ("nothing", "shadow"): ("after", "before"), ("nothing", "shadow_undo"): ("before", "before"),
    ("nothing", "swap"): NO, ("nothing", "swap_undo"): ("before", "before"),
    ("made and not marked", "shadow"): ("after", "before"),
    ("made and not marked", "shadow_undo"): ("before", "before"),
    ("made and not marked", "swap"): NO, ("made and not marked", "swap_undo"): ("between", "before"),
    ("half-filled", "shadow"): ("after", "before"), ("half-filled", "shadow_undo"): ("before", "before"),
    ("half-filled", "swap"): NO, ("half-filled", "swap_undo"): ("between", "before"),
    ("proven", "shadow"): ("after", "before"), ("proven", "shadow_undo"): ("before", "before"),
    ("proven", "swap"): ("after", "after"), ("proven", "swap_undo"): ("after", "before"),
    ("closed", "shadow"): ("after", "between"), ("closed", "shadow_undo"): NO,
    ("closed", "swap"): ("after", "after"), ("closed", "swap_undo"): ("after", "before"),
    ("swapped", "shadow"): ("after", "after"), ("swapped", "shadow_undo"): NO,
    ("swapped", "swap"): ("after", "after"), ("swapped", "swap_undo"): ("after", "before"),
    ("closed for the return", "shadow"): ("after", "between"), ("closed for the return", "shadow_undo"): NO,
    ("closed for the return", "swap"): ("after", "after"), ("closed for the return", "swap_undo"): ("after", "before"),
    ("returned", "shadow"): ("after", "before"), ("returned", "shadow_undo"): ("before", "before"),
    ("returned", "swap"): ("after", "after"), ("returned", "swap_undo"): ("after", "before"),
    ("returned and set aside", "shadow"): NO, ("returned and set aside", "shadow_undo"): ("before", "before"),
    ("returned and set aside", "swap"): NO, ("returned and set aside", "swap_undo"): ("before", "before"),
    ("a shadow of somebody else", "shadow"): NO, ("a shadow of somebody else", "shadow_undo"): NO,
    ("a shadow of somebody else", "swap"): NO, ("a shadow of somebody else", "swap_undo"): NO,
    ("a kept one of somebody else", "shadow"): NO, ("a kept one of somebody else", "swap"): NO,
    ("a kept one of somebody else", "swap_undo"): NO,
}  # fmt: skip


@pytest.mark.parametrize(("state", "act"), ENDS, ids=lambda word: word)
async def test_each_step_from_each_state_twice(trial: Trial, state: str, act: str) -> None:
    go, before = STATES[state]
    written = checksums(trial.server, trial.live)
    await go(trial)
    assert await trial.words() == before
    was, wanted = trial.there, ENDS[state, act]
    for _ in range(2):
        result = await trial.run(act)
        line = json.loads(result.stdout)
        assert (result.ok, line["ok"], result.stderr) == (wanted != NO, wanted != NO, ""), result
        assert wanted != NO or ("\n" not in line["says"] + line["hint"] and trial.there == was)
    ends = before if wanted == NO else wanted
    assert await trial.words() == ends
    assert trial.open == (ends[1] != "between")
    if trial.open:
        contents = {name: checksums(trial.server, name) for name in trial.ours}
        assert written in contents.values(), "nothing that was written is lost"
        assert (contents[trial.live] == written) == (ends[1] != "after")

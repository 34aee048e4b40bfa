"""Which change of a firewall is the one that can be taken back: rows of runs, newest first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fairlead.app.data import Data
from fairlead.config import load, parse
from fairlead.errors import CallError
from fairlead.model import Plan
from support.small import HERE, THERE, planned, small

Run = tuple[str, str, dict[str, str]]
"""Kind, how it ended, and labels by host; without labels it took a change back."""
CHANGE, CHANGE_2, BACK = (
    ("firewall", "done", {HERE: "one"}),
    ("firewall", "done", {HERE: "two"}),
    ("firewall", "done", {}),
)
ROWS: dict[str, tuple[tuple[Run, ...], str]] = {
    "the last one": ((CHANGE_2, CHANGE), "two"),
    "one that came back is none": ((("firewall", "back", {HERE: "two"}), CHANGE), "one"),
    "one that was taken back is none": ((BACK, CHANGE), ""),
    "nor are two": ((BACK, BACK, CHANGE_2, CHANGE), ""),
    "the one before it": ((BACK, CHANGE_2, CHANGE), "one"),
    "a new one after that": ((CHANGE_2, BACK, CHANGE), "two"),
    "a deployment between": ((("deploy", "done", {}), CHANGE), "one"),
    "of another machine": ((("firewall", "done", {THERE: "two"}), CHANGE), "one"),
    "none": ((), ""),
}  # fmt: skip


@pytest.mark.parametrize("case", ROWS)
async def test_the_change_that_stands(tmp_path: Path, case: str) -> None:
    runs, wanted = ROWS[case]

    async def past_runs() -> AsyncIterator[tuple[Any, Plan | None]]:
        yield SimpleNamespace(state="done"), None  # a run whose plan is gone
        for kind, state, labels in runs:
            steps = [small("rules", host=next(iter(labels), HERE))]
            yield SimpleNamespace(state=state), planned(tmp_path, steps, kind=kind, firewalls=labels)

    app: Any = SimpleNamespace(past_runs=past_runs)
    try:
        found = await Data(app)._kept_firewalls({HERE})
    except CallError as error:
        assert error.what == "no change of a firewall stands that could be taken back"
        found = {}
    assert found.get(HERE, "") == wanted and found.keys() <= {HERE}


FILE = """
fairlead: 1
project: p
hosts:
  web: {address: web.example.org}
  data: {address: db.example.org}
databases:
  one: {GROUP, server: data, clients: [203.0.113.10], names: {a: {}}}
  two: {GROUP, server: data, names: {b: {}}}
environments:
  test: {lock_host: web}
""".replace("GROUP", "engine: mariadb, reached_from: web, address: db.example.org, password: P, environment: test")


@pytest.mark.parametrize(("names", "wanted"), [((), ["one"]), (("one",), ["one"]), (("two",), []), (("odd",), [])])
def test_groups_that_say_where_their_server_is_and_who_may_reach_it(names: tuple[str, ...], wanted: list[str]) -> None:
    there = load(parse(FILE), {})
    app: Any = SimpleNamespace(
        installation=there, environment=there.environments["test"], own_databases=lambda: list(there.databases)
    )
    if wanted:
        assert [group.name for group in Data(app)._with_server(names)] == wanted
        return
    with pytest.raises(CallError) as error:
        Data(app)._with_server(names)
    assert (error.value.what, error.value.hint) == (
        f"no group {names[0]!r} in test says where its server is, and who may reach it", "there are: one"
    )  # fmt: skip

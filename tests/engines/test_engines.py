from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from fairlead import config
from fairlead.engines import ENGINES, admin, mariadb, postgres, store


def test_every_engine_that_the_file_may_name_is_there() -> None:
    assert set(ENGINES) == set(config.ENGINES)


def swap_of_postgres() -> str:
    spec = config.DatabaseSpec(
        name="crm", group="g", engine="postgres", host="here", environment="e", database="mo_crm", store=STORE
    )
    return postgres.swap_command(spec, "20261129_0a1b2c3d").argv[2]


STORE = config.StoreSpec(host="here", path="backups")
PROGRAMS = {
    "only listing": lambda: store.program("store"),
    "mariadb": lambda: store.program("mariadb"),
    "mariadb, swap": lambda: mariadb._program("swap"),
    "mariadb, ledger": lambda: mariadb._program("ledger"),
    "mariadb, provisioning": lambda: admin.program("mariadb"),
    "postgres": lambda: store.program("postgres"),
    "postgres, swap": swap_of_postgres,
    "postgres, provisioning": lambda: admin.program("postgres"),
    "sqlite": lambda: store.program("sqlite"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_whole_when_its_parts_are_together(name: str) -> None:
    """No part is ever run alone: none of its names may be missing, and Linux takes 128 KB at most."""
    text = PROGRAMS[name]()
    compile(text, name, "exec")
    words = [sys.executable, "-m", "ruff", "check", "--isolated", "--quiet", "--select", "F821", "-"]
    found = subprocess.run(words, input=text, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    assert len(shlex.quote(text)) < 115_000

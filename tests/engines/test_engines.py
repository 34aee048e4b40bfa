from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from fairlead import config
from fairlead.engines import ENGINES, admin, mariadb, postgres, store
from fairlead.engines.damage import names_damage


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
    "mariadb, in place": lambda: mariadb._program("in_place"),
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


DAMAGED = {
    "ERROR 145 (HY000): Table './mo_crm/people' is marked as crashed and should be repaired": True,
    "ERROR 1034 (HY000): Index for table 'people' is corrupt; try to repair it": True,
    "Error 1877: Table `mo_crm`.`people` is corrupted. Please drop the table and recreate.": True,
    "ERROR 1932 (42S02): Table 'mo_crm.people' doesn't exist in engine": True,
    'ERROR 1030 (HY000): Got error 176 "Read page with wrong checksum" from storage engine Aria': True,
    'ERROR 1030 (HY000): Got error 135 "No more room in file" from storage engine MyISAM': False,
    "pg_dump: error: invalid page in block 3 of relation base/16384/16385": True,
    "sqlite3.DatabaseError: database disk image is malformed": True,
    "ERROR 2013 (HY000): Lost connection to server during query": False,
    "ERROR 1146 (42S02): Table 'mo_crm.people' doesn't exist": False,
    "could not connect to server: Connection refused": False,
    "ERROR 1205 (HY000): Lock wait timeout exceeded": False,
    "ERROR 1021: Disk full": False,
    'could not open file "/etc/shop.conf": No such file': False,
}


@pytest.mark.parametrize("text", DAMAGED)
def test_which_errors_name_damage(text: str) -> None:
    assert names_damage(text) == DAMAGED[text]

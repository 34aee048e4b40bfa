"""The file with logins that a migration's commands are given: real shells, real files."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest

from fairlead.config.database import Login
from fairlead.config.service import MigrationSpec, ServiceSpec
from fairlead.model import Run, SecretRef
from fairlead.outside.local import LocalHost
from fairlead.outside.secrets import Secrets
from fairlead.strategies import logins, release
from support.places import place

EVERY_SIGN = string.printable.strip() + " '\"\\ äß€😀"
PASSWORDS = {"CRM": EVERY_SIGN, "IDP": "$(reboot) `x` %s\\n"}
CRM = Login(
    name="crm",
    engine="mariadb",
    address="127.0.0.1",
    port=3306,
    database="mo_crm",
    user="svc_crm",
    password=SecretRef(name="CRM"),
)
IDP = CRM.model_copy(
    update={"name": "idp", "engine": "postgres", "tls": "verify", "address": "2001:db8::7", "port": 5432}
    | {"database": "mo_idp", "user": "svc_idp", "password": SecretRef(name="IDP")}
)
FILE = Login(name="notes", engine="sqlite", path="data/notes.db")
SHOWS = (
    'cp -p "$FAIRLEAD_DATABASES" seen; stat -c %a "$FAIRLEAD_DATABASES" "${FAIRLEAD_DATABASES%/*}" >modes; '
    'echo "$FAIRLEAD_DATABASES" >where; tr "\\0" " " </proc/$PPID/cmdline >argv; env >env; umask >mask'
)


def spec(*several: Login, apply: str = SHOWS) -> MigrationSpec:
    return MigrationSpec(apply=(("sh", "-c", apply),), probe=("echo", "before"), databases=("crm",), logins=several)


async def applied(tmp_path: Path, given: MigrationSpec) -> tuple[Path, int]:
    step = release.migrate(ServiceSpec(name="api", host="here", path="sites/api"), given, "release")
    assert isinstance(step.do, Run)
    async with place("local", tmp_path) as here:
        (here.home / "release").mkdir()
        account = here.host.account.model_copy(update={"home": str(here.home)})
        told = await LocalHost(account, Secrets(environ=PASSWORDS)).run(step.do.command)
        return here.home / "release", told.code


@pytest.mark.parametrize("several", [(CRM,), (IDP, CRM, FILE)], ids=["one", "three engines"])
async def test_the_commands_find_their_logins(tmp_path: Path, several: tuple[Login, ...]) -> None:
    folder, code = await applied(tmp_path, spec(*several))
    assert code == 0
    found = json.loads((folder / "seen").read_text())
    assert found["crm"]["password"] == EVERY_SIGN
    assert (found["crm"]["user"], found["crm"]["port"]) == ("svc_crm", 3306)
    if len(several) > 1:
        assert found["idp"]["password"] == PASSWORDS["IDP"]
        assert found["idp"]["url"].endswith("@[2001:db8::7]:5432/mo_idp?sslmode=verify-full")
        assert found["notes"] == {"engine": "sqlite", "path": "data/notes.db"}


async def test_nobody_else_sees_them_and_nothing_is_left(tmp_path: Path) -> None:
    folder, _ = await applied(tmp_path, spec(CRM, IDP))
    assert (folder / "modes").read_text().split() == ["600", "700"]
    assert not Path((folder / "where").read_text().strip()).exists()
    said = (folder / "argv").read_text() + (folder / "env").read_text()
    assert not [word for word in PASSWORDS.values() if word in said]
    assert (folder / "mask").read_text().strip() != "0077"


async def test_a_command_that_fails_fails_and_leaves_nothing(tmp_path: Path) -> None:
    folder, code = await applied(tmp_path, spec(CRM, apply=f"{SHOWS}; exit 7"))
    assert code == 7
    assert not Path((folder / "where").read_text().strip()).exists()


def test_a_plan_holds_names_only() -> None:
    pieces, secrets = logins.written((CRM, IDP))
    assert [ref.name for ref in secrets] == ["CRM", "CRM", "IDP", "IDP"]
    assert len(pieces) == len(secrets) + 1
    assert logins.shown((CRM,)) == ("FAIRLEAD_DATABASES=(a file with the logins: crm as svc_crm)",)
    assert (logins.written(()), logins.shown(())) == (((), ()), ())

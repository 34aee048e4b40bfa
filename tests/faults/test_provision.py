"""Databases and accounts made by the command line, on real servers: once, twice, and in every bad situation."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from support.box import FREE, OPEN, Box, Boxes, ended, says
from support.provision import HBA, PASSWORDS, Ground, Maria, Postgres

GO = ("db", "provision", "--yes")
SUDO = 'shift 3; exec "$@"'
"""In the place of sudo: the server of these rows lets everybody in over its socket."""
ONE = [Maria, pytest.param(Postgres, marks=pytest.mark.long)]
"""Every commit tries it on one of them."""
STOPPED = """shift 3; cat >"$HOME/said.$$"
if grep -q "{when}" "$HOME/said.$$"; then {then}; fi
exec "$@" <"$HOME/said.$$"
"""


@pytest.fixture(scope="module", params=[Maria, Postgres], ids=["mariadb", "postgres"])
def server(request: pytest.FixtureRequest) -> Iterator[Ground]:
    made = request.param()
    yield made
    made.close()


@pytest.fixture
def ground(server: Ground) -> Iterator[Ground]:
    server.reset()
    yield server


@pytest.fixture
def box(boxes: Boxes, ground: Ground) -> Box:
    made = boxes(empty=True, environ=PASSWORDS)
    made.sshd.shim("sudo", SUDO)
    use(made, ground.group())
    return made


def use(box: Box, group: dict[str, Any], **environ: str) -> None:
    box.databases = {"data": group}
    box.operator.environ = {**box.operator.environ, **environ}
    box.configure()


def made(box: Box, *words: str) -> Any:
    """Provision, which has to go well; the JSON document."""
    told = box.run(*GO, "--json", *words)
    assert told.code == 0, told.text
    return json.loads(told.out)


# -- once, and twice


def test_everything_is_made_and_the_second_time_nothing_is_changed(box: Box, ground: Ground) -> None:
    """No log has a password, nor what the server keeps of one."""
    told = box.run(*GO)
    says(told, 0, "8 changes; data 2/2")
    assert "svc_crm may do what it is to, and" in told.out
    log, kept, before = ground.log(), ground.kept(), ground.state()
    assert "svc_crm" in log and len(kept) == 3
    assert [word for word in (*PASSWORDS.values(), *kept) if word in log] == []
    again = box.run(*GO)
    says(again, 0, "0 changes; data 2/2")
    assert (ground.state(), box.lock()) == (before, FREE)
    for name in ("crm", "shop"):
        answer = ground.login(f"svc_{name}", PASSWORDS[f"{name.upper()}_PASS"], f"mo_{name}")
        assert answer.stdout == "1\n", answer
    assert ground.login("keeper", PASSWORDS["KEEPER_PASS"], "mo_crm").stdout == "1\n"
    assert ground.login("svc_crm", PASSWORDS["CRM_PASS"], "mo_shop").returncode


@pytest.mark.long
def test_the_maintenance_account_can_do_its_work(box: Box, ground: Ground) -> None:
    made(box)
    ground.fill("crm")
    says(box.run("db", "backup", "crm"), 0, "1/1 databases backed up")
    ground.login("svc_crm", PASSWORDS["CRM_PASS"], "mo_crm", "delete from people")
    says(box.run("db", "restore", "crm", "--yes"), 0, "is done")
    assert ground.login("svc_crm", PASSWORDS["CRM_PASS"], "mo_crm", "select count(*) from people").stdout == "2\n"
    says(box.run(*GO), 0, "0 changes; data 2/2")


def test_the_statements_for_an_administrator_do_the_same(box: Box, ground: Ground) -> None:
    group = ground.group()
    del group["admin"]
    use(box, group)
    says(box.run(*GO), 1, "nobody may make databases in data: no `admin`", "fairlead db provision crm shop --sql")
    told = box.run("db", "provision", "--sql")
    assert told.code == 1 and not [word for word in PASSWORDS.values() if word in told.text]
    for _ in range(2):
        ground.script(told.out)
    use(box, ground.group(), **{name: f"<{name}>" for name in ("CRM_PASS", "SHOP_PASS", "KEEPER_PASS")})
    says(box.run(*GO), 0, "0 changes; data 2/2")


@pytest.mark.parametrize("server", [Maria], indirect=True, ids=["mariadb"])
def test_the_maintenance_account_may_end_who_does_nothing_and_is_in_the_way(box: Box, ground: Maria) -> None:
    made(box)
    ground.fill("crm")
    says(box.run("db", "backup", "crm"), 0, "1/1 databases backed up")
    ground.login("svc_crm", PASSWORDS["CRM_PASS"], "mo_crm", "delete from people")
    file = ground.folder / "client.cnf"  # as that login has left it
    words = ["mariadb", f"--defaults-file={file}", "--batch", "--unbuffered", "--skip-column-names", "mo_crm"]
    idle = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert idle.stdin and idle.stdout
    try:
        idle.stdin.write("begin; select 'holds', count(*) from people;\n")
        idle.stdin.flush()
        assert idle.stdout.readline().startswith("holds")
        says(box.run("db", "restore", "crm", "--yes", "--end-blockers"), 0, "is done")
    finally:
        idle.kill()
        idle.communicate()
    assert ground.login("svc_crm", PASSWORDS["CRM_PASS"], "mo_crm", "select count(*) from people").stdout == "2\n"


@pytest.mark.long
@pytest.mark.parametrize("by", ["password", "sudo"])
def test_however_the_administrator_logs_in(box: Box, ground: Ground, by: str) -> None:
    use(box, ground.group(by=by))
    assert made(box, "crm")["changes"] == 5
    assert made(box, "data")["changes"] == (3 if isinstance(ground, Maria) else 4)  # keeper acts for svc_shop too
    assert ground.login("svc_shop", PASSWORDS["SHOP_PASS"], "mo_shop").stdout == "1\n"


# -- what is found


@pytest.mark.long
def test_a_changed_password_is_noticed_and_set(box: Box, ground: Ground) -> None:
    made(box)
    use(box, ground.group(), CRM_PASS="another one")
    told = made(box)
    assert (told["changes"], told["plan"]["steps"][0]["id"]) == (1, "db-crm.password")
    assert "who still uses the old password of svc_crm" in told["plan"]["remarks"][0]
    assert ground.login("svc_crm", "another one", "mo_crm").stdout == "1\n"
    assert ground.login("svc_crm", PASSWORDS["CRM_PASS"], "mo_crm").returncode


@pytest.mark.parametrize("server", [Postgres], indirect=True, ids=["postgres"])
def test_a_password_that_is_kept_as_md5_is_kept_anew_where_pg_hba_asks_for_scram(box: Box, ground: Postgres) -> None:
    made(box)
    word = PASSWORDS["CRM_PASS"].replace("'", "''")
    ground.sql(f"set password_encryption = md5; alter role svc_crm password E'{word.replace(chr(92), chr(92) * 2)}'")
    assert ground.login("svc_crm", PASSWORDS["CRM_PASS"], "mo_crm").returncode
    ground.hba(HBA.replace("scram-sha-256", "md5"))
    says(box.run(*GO), 0, "0 changes; data 2/2")
    ground.hba(HBA)
    told = made(box)
    assert (told["changes"], told["plan"]["steps"][0]["id"], told["plan"]["remarks"]) == (1, "db-crm.password", [])
    assert "keep the password of svc_crm as SCRAM-SHA-256" in told["plan"]["steps"][0]["title"]
    assert ground.login("svc_crm", PASSWORDS["CRM_PASS"], "mo_crm").stdout == "1\n"


def test_what_an_account_may_too_much_is_said_and_taken_with_consent(box: Box, ground: Ground) -> None:
    made(box)
    good = ground.rights()
    ground.spoil()
    bad = ground.rights()
    told = box.run(*GO)
    says(told, 1, f"0 changes; {ground.spoilt}", "--reduce")
    assert "svc_crm may more than it should: " in told.out and ground.rights() == bad
    assert [word for word in ground.too_much if word not in told.out] == []
    told = box.run(*GO, "--reduce", "crm")
    says(told, 0, "data 2/2")
    assert ground.rights() == good
    says(box.run(*GO, "--reduce"), 0, "0 changes; data 2/2")


@pytest.mark.long
def test_a_name_that_is_taken_is_left_as_it_is(box: Box, ground: Ground) -> None:
    ground.take("crm")
    before = ground.about("mo_crm")
    told = box.run(*GO)
    says(told, 1, "it is left as it is", "ALTER DATABASE")
    assert ground.about("mo_crm") == before
    assert ground.login("svc_shop", PASSWORDS["SHOP_PASS"], "mo_shop").stdout == "1\n"
    says(box.run(*GO), 1, f"0 changes; {ground.spoilt}")


@pytest.mark.long
def test_an_expired_password_is_said_and_a_new_one_is_set(box: Box, ground: Ground) -> None:
    made(box)
    ground.expire("svc_crm")
    told = box.run(*GO)
    says(told, 1, "the password of svc_crm has expired", "give CRM_PASS a new value")
    use(box, ground.group(), CRM_PASS="new")
    assert made(box)["changes"] == 1
    assert ground.login("svc_crm", "new", "mo_crm").stdout == "1\n"


@pytest.mark.long
def test_the_limit_is_reached(box: Box, ground: Ground) -> None:
    ground.sql("create database other")
    use(box, ground.group(limit=2))
    told = box.run(*GO)
    says(told, 1, "mo_shop cannot be made: `limit` is 2, and so many databases are there", "raise `limit`")
    assert ground.databases() == {"other", "mo_crm"}


# -- what cannot be


WRONG = {
    "a wrong password": ({"by": "password"}, {"ADMIN_PASS": "wrong"}, (), ""),
    "a missing password": ({"by": "password"}, {"ADMIN_PASS": ""}, ("the secret ADMIN_PASS is missing",), "looked in"),
    "a service's password is missing": ({}, {"SHOP_PASS": ""}, ("the secret SHOP_PASS is missing",), "looked in"),
    "no such server": (
        {"by": "password", "address": "nowhere.invalid"}, {}, ("the name nowhere.invalid does not resolve",), "getent",
    ),
    "no such socket": ({"socket": "/nowhere"}, {}, ("/nowhere",), ""),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("row", WRONG)
def test_a_server_that_cannot_be_asked(box: Box, ground: Ground, row: str) -> None:
    how, environ, words, hint = WRONG[row]
    group = ground.group(**{key: value for key, value in how.items() if key != "socket"})
    if "socket" in how:
        group["admin"]["socket"] = how["socket"]
    use(box, group, **environ)
    before = ground.state()
    says(box.run(*GO), 1, words[0] if words else ground.denied, hint)
    assert ground.state() == before


@pytest.mark.long
def test_a_login_that_may_not_use_sudo(box: Box, ground: Ground) -> None:
    box.sshd.shim("sudo", 'echo "sudo: a password is required" >&2; exit 1')
    use(box, ground.group(by="sudo"))
    says(box.run(*GO), 1, "sudo: a password is required", "NOPASSWD")


@pytest.mark.long
def test_a_server_that_is_read_only(box: Box, ground: Ground) -> None:
    with ground.read_only():
        says(box.run(*GO), 1, "the server is read-only", "provision its primary")


NO_SUCH = {
    "a name": (("mail",), "no database 'mail' in live"),
    "a name beside a group": (("data", "mail"), "no database 'mail' in live"),
}


@pytest.mark.parametrize("row", NO_SUCH)
def test_what_is_not_in_the_file(box: Box, row: str) -> None:
    words, what = NO_SUCH[row]
    says(box.run(*GO, *words), 2, what, "crm, shop")


# -- migrations

MIGRATE = """import json, os, subprocess, sys
from pathlib import Path
done = Path.home() / "migrated"
if sys.argv[1] == "where":
    print("after" if done.exists() else "before")
    sys.exit()
login = json.load(open(os.environ["FAIRLEAD_DATABASES"]))["crm"]
where = [f"-h{login['address']}", f"-{'P' if login['engine'] == 'mariadb' else 'p'}{login['port']}"]
clients = {
    "mariadb": ["mariadb", "--no-defaults", "--skip-ssl", f"-u{login['user']}", login["database"], "-e"],
    "postgres": ["psql", "-X", "-v", "ON_ERROR_STOP=1", f"-U{login['user']}", f"-d{login['database']}", "-c"],
}
program, *words = clients[login["engine"]]
env = {**os.environ, "MYSQL_PWD": login["password"], "PGPASSWORD": login["password"]}
subprocess.run([program, words[0], *where, *words[1:], "drop table people"], env=env, check=True)
done.touch()
"""


def migrating(box: Box, ground: Ground, migrate_as: str) -> None:
    """A service whose next release drops a table."""
    made(box)
    ground.fill("crm")
    says(box.run("db", "backup"), 0, "2/2 databases backed up")
    commands = {"apply": ["python3", "migrate.py", "up"], "probe": ["python3", "migrate.py", "where"]}
    box.service["migrations"] = {**commands, "migrate_as": migrate_as, "needs": ["DROP"]}
    box.environment["services"] = {"site": {"host": "server", "path": "site", "databases": ["crm"]}}
    box.configure()
    box.write("v2", {"migrate.py": MIGRATE})


@pytest.mark.long
def test_a_migration_is_given_the_login_that_it_needs(box: Box, ground: Ground) -> None:
    migrating(box, ground, "maintenance" if isinstance(ground, Maria) else "service")
    told = box.deploy()
    says(told, 0, "is done")
    answer = ground.login("keeper", PASSWORDS["KEEPER_PASS"], "mo_crm", "select count(*) from people")
    assert "people" in answer.stderr and answer.returncode
    assert [word for word in PASSWORDS.values() if word in told.text] == []


@pytest.mark.long
@pytest.mark.parametrize("server", [Maria], indirect=True, ids=["mariadb"])
def test_a_migration_whose_account_may_not_is_refused_before_its_first_statement(box: Box, ground: Ground) -> None:
    migrating(box, ground, "service")
    what = "svc_crm lacks DROP on mo_crm, which its migrations need"
    says(box.run("ready"), 1, what, "migrate_as: maintenance")
    says(box.deploy(), 1, what, "")
    assert not (box.home / "site/releases").exists()
    answer = ground.login("keeper", PASSWORDS["KEEPER_PASS"], "mo_crm", "select count(*) from people")
    assert answer.stdout == "2\n"


# -- the way back


@pytest.mark.long
def test_a_run_that_fails_takes_back_what_it_made_and_nothing_else(box: Box, ground: Ground) -> None:
    use(box, ground.group(by="sudo"))
    made(box, "crm")
    before = ground.state()
    ground.sql(ground.forget_rights)
    spoiled = ground.rights()
    box.sshd.shim("sudo", STOPPED.format(when=ground.last_of_shop, then="echo 'ERROR 1 (HY000): no power' >&2; exit 1"))
    told = box.run(*GO)
    says(told, 3, "no power")
    assert (ground.rights(), box.lock()) == (spoiled, FREE)
    assert "mo_shop" not in ground.state() and "svc_shop" not in ground.state()
    box.sshd.shim("sudo", SUDO)
    made(box, "crm")
    assert ground.rights() and ground.state() == before


@pytest.mark.parametrize("server", ONE, indirect=True, ids=["mariadb", "postgres"])
def test_what_is_not_empty_any_more_is_not_dropped(box: Box, ground: Ground) -> None:
    use(box, ground.group(by="sudo"))
    before = ground.state()
    fill = f'for n in $(seq 100); do printf "%s\\n" {ground.filling} | "$@" && break; sleep 0.05; done; exit 1'
    box.sshd.shim("sudo", STOPPED.format(when=ground.last_of_shop, then=fill))
    told = box.run(*GO)
    says(told, 4, "mo_crm is not empty any more, so it is not dropped", "fairlead resume")
    assert "mo_crm" in ground.state() and box.lock() == OPEN
    box.sshd.shim("sudo", SUDO)
    ground.empty()
    says(box.run("resume", "--no-watch"), 3, "came back")
    assert (ground.state(), box.lock()) == (before, FREE)


@pytest.mark.long
def test_killed_in_the_middle_and_finished_by_resume(box: Box, ground: Ground) -> None:
    box.environment["lease"] = {"ttl": "5s", "beat": "5s"}
    use(box, ground.group(by="sudo"))
    box.sshd.shim("sudo", STOPPED.format(when=ground.last_of_shop, then=': >"$HOME/mark"; sleep 2'))
    process = box.operator.start(*GO)
    box.until("mark")
    process.send_signal(signal.SIGKILL)
    ended(process)
    says(box.run("resume", "--no-watch"), 0, "is done")
    says(box.run(*GO), 0, "0 changes; data 2/2")

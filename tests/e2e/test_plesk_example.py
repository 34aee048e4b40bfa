"""The plesk example on real servers: 7 services and 17 databases, from nothing and from what somebody else has left."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.plesk import EXTERNAL, PLESK, POSTGRES, Plesk, differences
from support.plesk_sources import API, DRUSH, lay
from support.trace import strace_works
from support.witness import tree

FOUND = {**dict.fromkeys(("api", "crm", "www", "admin", "n8n"), "current/"), "games": ""}
"""Where somebody else has put what is live, below subdomains/NAME."""
GO = ("deploy", "-e", "production", "--yes")
pytestmark = pytest.mark.timeout(300)


def somebody_was_here(site: Plesk) -> None:
    """Pages that are live, put there by hand: odd modes, an upload, a link."""
    for name, place in FOUND.items():
        folder = site.home / "subdomains" / name / place
        lay(folder, {"index.html": "<title>Menschlichkeit</title>by hand", "up/a b.txt": "x", ".well-known/y": "z"})
        (folder / "index.html").chmod(0o640)
        (folder / "again").symlink_to("index.html")
    drush = site.home / "subdomains/crm/current/vendor/bin/drush"
    lay(site.home / "subdomains/crm/current", {"civicrm/dashboard": "CiviCRM", "vendor/bin/drush": DRUSH})
    drush.chmod(0o755)
    hand = {"main.py": API, "release.json": '{"release": "by hand"}', ".env": site.settings, "VERSION": "by hand\n"}
    lay(site.home / "subdomains/api/current", hand)
    lay(site.home / "subdomains/n8n/current", {"greet.json": '{"version": "by hand"}'})
    site.give()
    site.restart()


@pytest.fixture(scope="module", params=["from nothing", "from a foreign installation"])
def site(request: pytest.FixtureRequest) -> Iterator[Plesk]:
    with tempfile.TemporaryDirectory(prefix="fl-plesk-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        with Plesk(Path(name)) as made:
            if "foreign" in request.param:
                somebody_was_here(made)
            made.foreign = "foreign" in request.param
            yield made


def test_all_17_databases_are_as_they_are_to_be(site: Plesk) -> None:
    told = site.operator.json(0, "db", "provision", "--yes", "-e", "production")
    assert (told["changes"], told["deployment"]) == (0, None)
    assert told["databases"] == {"plesk": [5, 5], "external": [9, 9], "postgres": [3, 3]}


def test_all_17_databases_are_reached_each_by_one_login(site: Plesk) -> None:
    names = (*PLESK, *EXTERNAL, *POSTGRES)
    before = {name: site.logins(f"svc_{name}") for name in names}
    told = site.operator.json(0, "db", "check", "-e", "production")
    assert (told["reachable"], told["total"]) == (17, 17)
    assert {name: site.logins(f"svc_{name}") - before[name] for name in names} == dict.fromkeys(names, 1)


def test_all_17_databases_are_backed_up_and_proven(site: Plesk) -> None:
    names = (*PLESK, *EXTERNAL, *POSTGRES)
    before = {name: site.dumps(name) for name in names}
    with site.traced():
        made = [site.operator.json(0, "db", "backup", "-e", environment) for environment in ("production", "staging")]
    found = {one["subject"]: one for several in made for one in several["findings"]}
    assert {name: site.dumps(name) - before[name] for name in names} == dict.fromkeys(names, 1)
    for group in (PLESK, EXTERNAL):
        rows = [found[name]["evidence"]["rows"] for name in group]
        assert rows == [{"people": 100 * (number + 1)} for number in range(len(group))]
    assert [found[name]["evidence"]["rows"] for name in POSTGRES] == [{"public.people": 300}] * 3


@pytest.mark.parametrize("name", ["votes", "crm", "idp"])
def test_a_database_comes_back_into_a_new_one(site: Plesk, name: str) -> None:
    with site.traced():
        told = site.operator.json(0, "db", "restore", name, "--into", f"mo_{name}__again", "-e", "production")
    assert told["finding"]["status"] == "ok", told


def test_what_somebody_else_has_put_there_is_not_overwritten(site: Plesk) -> None:
    if not site.foreign:
        return
    site.release("v1")
    refused = site.operator.run(*GO)
    assert refused.returncode == 1
    assert "fairlead adopt frontend" in refused.stderr
    for name, place in FOUND.items():
        service = {"www": "frontend"}.get(name, name)
        live = site.home / "subdomains" / name / place
        before = tree(live)
        site.operator.must(0, "adopt", service, "-e", "production", "--yes", "--no-watch")
        assert tree((live if place else live / "current").resolve()) == before


def test_v1_goes_out(site: Plesk) -> None:
    site.release("v1")
    connections, found = site.sshd.connections, site.photograph()["trees"]
    told = site.operator.json(0, *GO)["deployment"]
    assert (told["state"], set(site.live().values())) == ("done", {"v1"})
    assert site.sshd.connections - connections == 1
    calls = (site.home / "stand-ins/crm").read_text()
    assert "drush updatedb -y" in calls and "cv upgrade:db" in calls and "drush cache:rebuild" in calls
    assert "import:workflow" in (site.home / "stand-ins/docker").read_text()
    if site.foreign:
        site.operator.must(0, "rollback", "-e", "production", "--yes", "--no-watch", "--reason", "as it was")
        back = site.photograph()["trees"]
        assert {name: back[name] == found[name] for name in FOUND} == dict.fromkeys(FOUND, True)
        site.operator.must(0, *GO, "--no-watch")
        assert set(site.live().values()) == {"v1"}


def test_v2_goes_out_with_its_migrations(site: Plesk) -> None:
    site.release("v2", schema=2)
    with site.sampled():
        told = site.operator.json(0, *GO)["deployment"]
    assert (told["state"], set(site.live().values())) == ("done", {"v2"})
    assert (site.home / "stand-ins/crm-schema").read_text() == "2\n"
    assert "of_v2" in site.plesk.sql("show tables", "mo_votes")


def test_a_v3_that_fails_its_visitors_comes_back_whole(site: Plesk) -> None:
    before = site.photograph()
    site.release("v3", schema=2, errors=True)
    deploying = site.operator.start(*GO, "--json")
    while deploying.poll() is None:
        site.visit(5)
    out, err = deploying.communicate()
    site.operator.said += [out, err]
    assert deploying.returncode == 3, err
    assert "requests to api failed" in out and "access log" in out
    assert differences(before, site.photograph()) == []
    assert set(site.live().values()) == {"v2"}


def test_a_database_that_is_lost_in_the_middle_starts_the_way_back(site: Plesk) -> None:
    before = site.photograph()
    site.release("v4", schema=2)
    lost = site.home / "stand-ins/lost"
    waits = f"case $1 in cache:rebuild) while [ ! -e {lost} ]; do sleep 0.05; done ;; esac\nexit 0\n"
    drush = site.operator.folder / "crm/vendor/bin/drush"
    drush.write_text(drush.read_text().replace("exit 0\n", waits))
    deploying = site.operator.start(*GO, "--json")
    calls = site.home / "stand-ins/crm"
    known = calls.read_text().count("cache:rebuild")
    while deploying.poll() is None and calls.read_text().count("cache:rebuild") == known:
        pass
    site.external.stop()
    lost.touch()
    out, err = deploying.communicate(timeout=100)
    site.operator.said += [out, err]
    site.external.start()
    assert deploying.returncode == 3, err
    assert f"port {site.external.port} of 127.0.0.1 is closed" in out
    assert differences(before, site.photograph()) == []


def test_the_status_of_all_is_told_at_once(site: Plesk) -> None:
    told = site.operator.json(0, "status", "-e", "production")
    assert (told["databases_reachable"], told["databases_total"]) == (17, 17)
    assert told["last"]["state"] == "back"
    assert {(one["check"], one["status"]) for one in told["findings"]} == {
        ("host", "ok"),
        ("lock", "ok"),
        ("drill", "warn"),
    }, "no drill was ever made"


def test_no_secret_of_all_this_is_anywhere(site: Plesk) -> None:
    for words in (("history",), ("show", "--json"), ("report", "--out", "page.html", "--json")):
        site.operator.run(*words, "-e", "production")
    search = site.search()
    assert search.hits == []
    assert search.looked > 100_000
    seen = {(where.startswith("trace sshd"), program.name.rpartition("/")[2]) for where, program in site.programs()}
    far, near = {"mariadb-dump", "mariadb", "pg_dump", "psql", "zstd"}, {"ssh"}
    assert seen >= {*((True, name) for name in far), *((False, name) for name in near)} or not strace_works()


def test_the_search_finds_a_secret_where_it_may_be(site: Plesk) -> None:
    """A password in the API's own settings, a header in nginx's, a password in a server's log."""
    site.plesk.sql(f"select '{site.secrets['MO_VOTES_DB_PASS']}'")
    search = site.search()
    assert search.hits == ["MO_VOTES_DB_PASS in plesk's general"]
    for name, file in (("MO_VOTES_DB_PASS", "api.cnf"), ("MO_CRM_CHECK_AUTHORIZATION", "conf")):
        search.hits.clear()
        assert search.text(file, ({"api.cnf": site.home, "conf": site.folder / "nginx"}[file] / file).read_bytes())
        assert search.hits == [f"{name} in {file}"]

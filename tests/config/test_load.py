"""What the specs say for what the file says."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.config import (
    CommandSource,
    DotenvSource,
    EnvironmentSource,
    FileSource,
    Installation,
    ServiceSpec,
    load,
    parse,
)
from fairlead.model import SecretRef

BASE = """\
fairlead: 1
project: shop
hosts:
  web: {{address: web.example.org}}
  second: {{address: second.example.org, commands: {commands}}}
databases:
  main: {{engine: sqlite, reached_from: web, path: "data/{{name}}.db", names: {{shop: , wiki: }}}}
services:
  api: {shared}
environments:
  production: {{services: {{api: {{host: web, path: sites/api, {placed}}}}}}}
"""


def installation(text: str, **settings: str) -> Installation:
    return load(parse(text), settings)


def api(
    shared: str = "{source: {folder: api}}", placed: str = "", commands: str = "systemd", **settings: str
) -> ServiceSpec:
    loaded = installation(BASE.format(shared=shared, placed=placed, commands=commands), **settings)
    return loaded.environments["production"].services["api"]


def service(keys: str, **settings: str) -> ServiceSpec:
    return api(
        "{source: {folder: api}, " + keys + "}", "url: https://a.example.org, databases: [shop, wiki]", **settings
    )


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("30s", 30), ("5m", 300), ("24h", 86400), ("250ms", 0.25), ("2d", 172800), ("7", 7), ("1.5", 1.5), ('"90"', 90)],
)
def test_durations(written: str, seconds: float) -> None:
    assert service(f"health: [{{path: /, timeout: {written}}}]").health[0].timeout == seconds


def test_slow_is_in_milliseconds() -> None:
    assert service("health: [{path: /, slow: 0.5}, {path: /x, slow: 250ms}]").health[0].slow_ms == 500


@pytest.mark.parametrize(("written", "share"), [("5%", 0.05), ("0.05", 0.05), ("0", 0), ("100%", 1), ("0.5%", 0.005)])
def test_shares(written: str, share: float) -> None:
    text = BASE.format(shared="{strategy: verify_only}", placed="", commands="sudo")
    text = text.replace("production: {", f"production: {{watch: {{error_share: {written}}}, ")
    assert installation(text).environments["production"].watch.error_share == share


@pytest.mark.parametrize(
    ("written", "commands"),
    [
        ("[npm, ci]", (("npm", "ci"),)),
        ("[[npm, ci], [npm, run, build]]", (("npm", "ci"), ("npm", "run", "build"))),
        ("[sleep, 007, 1.10, 1e3, 0x1F]", (("sleep", "007", "1.10", "1e3", "0x1F"),)),
        (
            '[echo, off, no, "true", $HOME, "$${HOME}", "a b; c"]',
            (("echo", "off", "no", "true", "$HOME", "${HOME}", "a b; c"),),
        ),
        ('[sh, -c, "one\\ntwo"]', (("sh", "-c", "one\ntwo"),)),
    ],
    ids=["one command", "several", "numbers as written", "words that YAML 1.1 would turn", "several lines"],
)
def test_commands(written: str, commands: tuple[tuple[str, ...], ...]) -> None:
    source = api(f"{{source: {{folder: a, build: {written}}}}}").source
    assert source is not None
    assert source.build == commands


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("healthy", "healthy"),
        ("off", "off"),
        ("true", True),
        ("null", None),
        ("1", 1),
        ("1.10", 1.1),
        ('"1"', "1"),
        ("[1, {a: b}]", [1, {"a": "b"}]),
    ],
)
def test_expected_json_values(written: str, value: Any) -> None:
    found = service(f"health: [{{path: /, json: {{a.b: {written}}}}}]").health[0].fields["a.b"]
    assert found == value
    assert type(found) is type(value)


def test_headers_are_text_or_the_name_of_a_secret() -> None:
    health = service("health: [{path: /, headers: {Accept: text/html, Authorization: {secret: TOKEN}}}]").health[0]
    assert health.headers == {"Accept": "text/html", "Authorization": SecretRef(name="TOKEN")}
    assert (health.status, health.timeout, health.slow_ms) == ((200,), 5.0, 0.0)


@pytest.mark.parametrize(
    ("placed", "kind"),
    [
        ("", "nothing"),
        ("unit: api", "restart"),
        ("unit: api, on_switch: reload", "reload"),
        ("unit: api, on_switch: nothing", "nothing"),
    ],
)
def test_what_happens_after_the_switch(placed: str, kind: str) -> None:
    assert api(placed=placed).on_switch.kind == kind


def test_a_command_after_the_switch() -> None:
    switch = service("on_switch: {run: [sh, start.sh], stop: [sh, stop.sh], leaves: true}").on_switch
    assert (switch.kind, switch.run, switch.stop, switch.leaves) == ("run", ("sh", "start.sh"), ("sh", "stop.sh"), True)


def test_a_migration_changes_all_databases_of_its_service_unless_it_says_which() -> None:
    migrations = service("migrations: {apply: [[up], [more, up]], probe: [where]}").migrations
    assert migrations is not None
    assert (migrations.databases, migrations.apply, migrations.phase) == (
        ("shop", "wiki"),
        (("up",), ("more", "up")),
        "before",
    )
    migrations = service("migrations: {apply: [up], probe: [where], databases: [wiki], phase: after}").migrations
    assert migrations is not None
    assert (migrations.databases, migrations.apply, migrations.phase) == (("wiki",), (("up",),), "after")


def test_an_environment_replaces_keys_whole_or_takes_them_away() -> None:
    shared = "{source: {folder: a, output: dist}, keep: 3, shared: [x], identity: {path: /version}}"
    found = api(shared, "source: {folder: b}, shared: [], identity: null")
    assert found.source is not None
    assert (found.source.folder, found.source.output, found.keep, found.shared, found.identity) == (
        "b",
        "",
        3,
        (),
        None,
    )


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("sites//shop/", "sites/shop"),
        ("./sites/shop", "sites/shop"),
        ("/srv/shop", "/srv/shop"),
        ("//srv/shop", "/srv/shop"),
        ('"its $(reboot); & ünï \\" code"', 'its $(reboot); & ünï " code'),
    ],
)
def test_paths_are_taken_literally(written: str, path: str) -> None:
    text = BASE.format(shared="{source: {folder: api}}", placed="", commands="sudo")
    loaded = installation(text.replace("sites/api", written))
    assert loaded.environments["production"].services["api"].path == path


@pytest.mark.parametrize(
    ("written", "settings", "address"),
    [
        ("${A}", {"A": "a.example.org"}, "a.example.org"),
        ('"${A}.example.org"', {"A": "a"}, "a.example.org"),
        ("${A:-b}.${B:-c}", {"A": "a"}, "a.c"),
        ("${A:-b}", {"A": ""}, "b"),
        ("${A:-b}", {"A": "7"}, "7"),
        ("${A}", {"A": "007"}, "007"),
    ],
    ids=["alone", "inside", "two", "empty takes the default", "a number as text", "as it was written"],
)
def test_settings(written: str, settings: dict[str, str], address: str) -> None:
    loaded = installation(f"fairlead: 1\nproject: shop\nhosts: {{web: {{address: {_quoted(written)}}}}}", **settings)
    assert loaded.hosts["web"].account.address == address


def _quoted(text: str) -> str:
    return text if text.startswith('"') else f'"{text}"'


@pytest.mark.parametrize("written", ["${P}", '"${P}"', "${X:-8001}"])
def test_a_setting_may_be_a_number(written: str) -> None:
    text = f"fairlead: 1\nproject: shop\nhosts:\n  web:\n    address: a\n    port: {written}\n"
    assert installation(text, P="8001").hosts["web"].account.port == 8001


def test_a_document_names_its_sources_and_settings_before_anything_is_resolved() -> None:
    document = parse(
        "fairlead: 1\nproject: shop\n"
        "sources: [environment, {dotenv: .env}, {file: {name: KEY, path: ~/k}}, {command: [sops, -d, x]}]\n"
        "hosts: {web: {address: '${B}${A:-x}', user: '${A}'}}\n"
    )
    assert document.sources == (
        EnvironmentSource(),
        DotenvSource(path=".env"),
        FileSource(name="KEY", path="~/k"),
        CommandSource(argv=("sops", "-d", "x")),
    )
    assert document.settings == ("B", "A")
    assert parse("fairlead: 1\nproject: shop").sources == (EnvironmentSource(),)


@pytest.mark.parametrize(
    ("commands", "restart", "own"),
    [
        ("systemd", "systemctl restart api", "chown -R a:b sites/x y"),
        ("user", "systemctl --user restart api", "chown -R a:b sites/x y"),
        ("sudo", "sudo -n systemctl restart api", "sudo -n chown -R a:b sites/x y"),
        ("plesk", "sudo -n systemctl restart api", "chown -R a:b sites/x y"),
        (
            "{preset: sudo, restart: [touch, '{path}/tmp/restart.txt']}",
            "touch sites/x y/tmp/restart.txt",
            "sudo -n chown -R a:b sites/x y",
        ),
        ("{own: ['true']}", "systemctl restart api", "true"),
    ],
)
def test_commands_of_a_host(commands: str, restart: str, own: str) -> None:
    loaded = installation(BASE.format(shared="{source: {folder: a}}", placed="", commands=commands))
    found, values = loaded.hosts["second"].commands, {"unit": "api", "owner": "a:b", "path": "sites/x y"}
    assert " ".join(found.argv("restart", **values)) == restart
    assert found.argv("own", **values)[-1] in ("sites/x y", "true")
    assert " ".join(found.argv("own", **values)) == own


def test_a_database_resolved() -> None:
    text = """\
fairlead: 1
project: shop
hosts: {db: {address: db.example.org}}
databases:
  main:
    engine: postgres
    reached_from: db
    address: localhost
    database: mo_{name}
    password: MO_{NAME}_DB_PASS
    maintenance: {user: root, password: ROOT}
    backup_store: {host: db, path: b, keep: 3, max_age: 12h}
    names: {shop-stg: {personal: true, user: someone}, wiki: }
environments: {production: {}}
"""
    loaded = installation(text)
    shop, wiki = loaded.databases
    assert (shop.database, shop.user, shop.password) == (
        "mo_shop-stg",
        "someone",
        SecretRef(name="MO_SHOP_STG_DB_PASS"),
    )
    assert (shop.environment, shop.port, shop.tls, shop.personal, wiki.user) == (
        "production",
        5432,
        "verify",
        True,
        "wiki",
    )
    assert (shop.store.host, shop.store.path, shop.store.keep, shop.store.max_age) == ("db", "b", 3, 43200.0)
    assert loaded.secrets == ("ROOT", "MO_SHOP_STG_DB_PASS", "MO_WIKI_DB_PASS")


MAKING = """\
fairlead: 1
project: shop
hosts: {{db: {{address: db.example.org}}}}
databases:
  main:
    engine: {engine}
    reached_from: db
    address: localhost
    password: A
    {keys}
    names: {{shop: {{{own}}}}}
environments: {{production: {{}}}}
"""


def test_who_makes_databases_and_how() -> None:
    keys = "server: db\n    clients: [localhost, '2001:db8:0::7']\n    admin: {user: root, password: B, socket: /s}"
    own = "privileges: [DROP, SELECT, DROP]"
    loaded = installation(MAKING.format(engine="mariadb", keys=keys, own=own))
    group, shop = loaded.groups["main"], loaded.database("shop")
    assert group.admin is not None
    assert (group.server, group.clients) == ("db", ("localhost", "2001:db8::7"))
    assert (group.admin.user, group.admin.password, group.admin.local) == ("root", SecretRef(name="B"), True)
    assert (group.character_set, group.collation, group.template) == ("utf8mb4", "utf8mb4_unicode_ci", "")
    assert shop.privileges == ("DROP", "SELECT")
    assert loaded.secrets == ("B", "A")


@pytest.mark.parametrize(
    ("written", "user", "secret"),
    [("service", "shop", "A"), ("maintenance", "keeper", "B")],
    ids=["own", "maintenance"],
)
def test_the_login_that_migrations_are_given(written: str, user: str, secret: str) -> None:
    text = MAKING.format(engine="mariadb", keys="maintenance: {user: keeper, password: B}", own="")
    migrations = f"migrations: {{apply: [up], probe: [where], migrate_as: {written}, needs: [DROP]}}"
    service = f"services: {{api: {{source: {{folder: a}}, {migrations}}}}}\n"
    placed = "environments: {production: {services: {api: {host: db, path: a, databases: [shop]}}}}"
    loaded = installation(text.replace("environments: {production: {}}", service + placed))
    given = loaded.environments["production"].services["api"].migrations
    assert given is not None
    [login] = given.logins
    assert (login.name, login.user, login.password, given.needs) == ("shop", user, SecretRef(name=secret), ("DROP",))


@pytest.mark.parametrize(
    ("admin", "local"),
    [("{user: a, password: B}", False), ("{user: a}", True), ("{user: a, run_as: a}", True)],
    ids=["with a password", "known by the socket", "through sudo"],
)
def test_where_the_administrator_logs_in(admin: str, local: bool) -> None:
    keys = f"server: db\n    clients: [192.0.2.7]\n    admin: {admin}"
    group = installation(MAKING.format(engine="postgres", keys=keys, own="")).groups["main"]
    assert group.admin is not None
    assert (group.admin.local, group.template, group.collation) == (local, "template1", "")


def test_a_file_as_database_resolved() -> None:
    shop = installation(BASE.format(shared="{strategy: verify_only}", placed="", commands="sudo")).database("shop")
    assert (shop.path, shop.host, shop.database, shop.password, shop.port, shop.tls) == (
        "data/shop.db",
        "web",
        "",
        None,
        None,
        "off",
    )
    assert (shop.store.host, shop.store.path) == ("web", "fairlead-backups/main")


ORDER = """\
fairlead: 1
project: shop
hosts: {{web: {{address: a}}, other: {{address: b}}}}
services:
  last: {{strategy: verify_only, depends_on: [middle]}}
  middle: {{strategy: verify_only, depends_on: [first]}}
  alone: {{strategy: verify_only}}
  first: {{strategy: verify_only}}
environments:
  production: {{services: {{{0}}}}}
"""


@pytest.mark.parametrize(
    ("services", "order", "needs_of_last"),
    [
        ("last: , middle: , alone: , first: ", ["alone", "first", "middle", "last"], ("first", "middle")),
        ("last: , alone: , first: ", ["alone", "first", "last"], ("first",)),
        ("first: , last: {depends_on: []}", ["last", "first"], ()),
        ("last: ", ["last"], ()),
    ],
    ids=["all", "through one that is not there", "replaced here", "alone"],
)
def test_order_of_deployment(services: str, order: list[str], needs_of_last: tuple[str, ...]) -> None:
    production = installation(ORDER.format(services)).environments["production"]
    assert list(production.services) == order
    assert production.services["last"].depends_on == needs_of_last


@pytest.mark.parametrize(
    ("services", "lock"),
    [
        ("last: {host: other}, first: {host: web}", "other"),
        ("alone: ", "web"),
        ("alone: {host: other}}, lock_host: web, lease: {", "web"),
    ],
    ids=["the first used", "the first there is", "the one that is given"],
)
def test_where_the_lock_lies(services: str, lock: str) -> None:
    assert installation(ORDER.format(services)).environments["production"].lock_host == lock


def test_two_environments_may_look_at_one_place() -> None:
    text = """\
fairlead: 1
project: shop
hosts: {web: {address: a}}
services:
  shop: {source: {folder: a}}
environments:
  production: {services: {shop: {host: web, path: a, unit: a, port: 80}}}
  staging: {services: {shop: {host: web, path: a, unit: a, port: 80, strategy: verify_only, shared: verify_only}}}
"""
    assert installation(text).environments["staging"].services["shop"].shared_place


def test_the_same_relative_path_of_two_logins_is_two_folders() -> None:
    text = """\
fairlead: 1
project: shop
hosts:
  one: {address: a, user: x}
  two: {address: a, user: y}
  here: {connect: local, home: h}
  there: {connect: local}
services: {shop: {source: {folder: a}}}
environments:
  a: {services: {shop: {host: one, path: a}}}
  b: {services: {shop: {host: two, path: a}}}
  c: {services: {shop: {host: here, path: a}}}
  d: {services: {shop: {host: there, path: a}}}
"""
    assert len(installation(text).environments) == 4


def test_an_alias_repeats_a_value() -> None:
    text = "fairlead: 1\nproject: s\nhosts: {a: &a {address: x}, b: *a}"
    assert installation(text).hosts["b"].account.address == "x"

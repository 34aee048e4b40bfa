"""The plesk example on this machine: sshd as an ordinary user, two MariaDB servers, PostgreSQL and nginx, all real.

What fairlead.yml says is `config/examples/plesk.yml` with this machine's ports and without what is not here: composer
and npm. systemctl and docker are stand-ins, which start the real API and take notes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import string
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any, Self

import yaml

import fairlead.config
from support.mariadb import Certificates, MariaDB, open_folder
from support.operator import Operator
from support.plesk_sources import lay, write
from support.ports import free_port
from support.postgres import Postgres
from support.provision import HBA, open_to_all
from support.sealed import Key
from support.sentinels import NASTY, Search, Sentinel, key_sentinel, sentinel
from support.sshd import KEY, Sshd
from support.trace import Program, Sampler, attached, started, strace_works
from support.witness import answer, digest, listening, process, tree

EXAMPLE = Path(fairlead.config.__file__).parent / "examples/plesk.yml"
SERVICES = ("api", "crm", "frontend", "games", "admin", "n8n", "website")
STATIC = {"frontend": "www", "games": "games", "admin": "admin"}
PLESK = ("main", "votes", "support", "newsletter", "forum")
EXTERNAL = ("crm", "n8n", "hooks", "consent", "games", "analytics", "api_stg", "admin_stg", "nextcloud")
POSTGRES = ("idp", "grafana", "discourse")
EVERY_SIGN = "".join(sign for sign in string.printable if sign.isprintable())

UNIT = """\
#!/bin/sh
# In the place of systemctl and journalctl, for the API's unit.
pid=$HOME/unit.pid log=$HOME/logs/unit.log
runs() { [ -s "$pid" ] && kill -0 "$(cat "$pid")" 2>/dev/null; }
end() { while runs; do kill "$(cat "$pid")" 2>/dev/null; sleep 0.05; done; }
case $1 in
restart)
    end
    cd "$HOME/subdomains/api/current" || exit 1
    PYTHONDONTWRITEBYTECODE=1 setsid -f sh -c 'echo $$ >"$1"; exec python3 main.py' sh "$pid" >>"$log" 2>&1 </dev/null
    while ! runs; do sleep 0.02; done ;;
stop) end ;;
status) runs ;;
show)
    state=failed
    ! runs || state=active
    printf '%s\\n' LoadState=loaded ActiveState=$state SubState=running Type=simple Result=success \\
        MainPID="$(cat "$pid")" NRestarts=0 ExecMainCode=0 ExecMainStatus=0 ;;
log) tail -n 20 "$log" ;;
esac
"""
DOCKER = """\
#!/bin/sh
# In the place of n8n's container: notes how it was called, and which workflow it would have read.
printf '%s: %s\\n' "$*" "$(cat "$HOME"/subdomains/n8n/current/greet.json 2>/dev/null)" >>"$HOME/stand-ins/docker"
"""
SERVER = """
server {{
  listen 127.0.0.1:{port};
  access_log {home}/logs/{name}/access_ssl_log combined;
  {body}
}}
"""


class Plesk:
    """The servers and an operator before them: `with Plesk(folder) as plesk:`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stack, self.foreign = folder, ExitStack(), False
        self.ports = {name: free_port() for name in SERVICES}
        self.api_port = free_port()
        self.seen: list[tuple[str, Program]] = []

    def __enter__(self) -> Self:
        with self.stack:
            data = open_folder()
            self.stack.callback(shutil.rmtree, data, ignore_errors=True)
            tls = Certificates(data / "tls")
            self.traces, self.temporary = self.folder / "traces", self.folder / "t"
            for folder in (self.traces, self.temporary):
                folder.mkdir(0o700)
            self.sshd = self.stack.enter_context(Sshd(self.folder / "sshd"))
            self._make_secrets()
            log = ("--general-log=1", "--log-output=FILE")
            self.plesk = self.stack.enter_context(
                MariaDB(data / "plesk", *log, f"--general-log-file={data}/plesk/general")
            )
            self.external = self.stack.enter_context(
                MariaDB(data / "external", *log, f"--general-log-file={data}/external/general", *tls.options)
            )
            self.sockets = open_to_all()
            self.stack.callback(shutil.rmtree, self.sockets, ignore_errors=True)
            logs = ("log_statement=all", "log_line_prefix=%d ")
            self.postgres = self.stack.enter_context(Postgres(*logs, tls=True, sockets=self.sockets))
            (self.postgres.data / "pg_hba.conf").write_text(HBA)
            self.postgres.sql("select pg_reload_conf()", "drop role fairlead")
            self.external.sql("drop user fairlead@'%', svc@'%'")
            self._trust(tls)
            self._panel()
            self._serve()
            self._configure()
            self._provision()
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    # -- what the operator does

    def release(self, version: str, **how: Any) -> None:
        """Have a version of all services in the checkout."""
        write(self.operator.folder, version, **how)

    def visit(self, times: int = 40) -> None:
        """So many visitors ask the API for something, through nginx."""
        for number in range(times):
            with contextlib.suppress(HTTPException):  # the API is being restarted
                answer(self.ports["api"], f"/things/{number}")

    def give(self) -> None:
        """Everything in the home belongs to the account."""
        if os.getuid() == 0:
            subprocess.run(["chown", "-Rh", f"{self.sshd.user}:{self.sshd.user}", self.home], check=True)

    @property
    def settings(self) -> str:
        """The API's `.env`."""
        return f"PORT={self.api_port}\nDATABASE={self.home}/api.cnf\n"

    def restart(self) -> None:
        """Start what lies in the API's `current`, as somebody on the host would."""
        env = {"HOME": str(self.home), "PATH": f"{self.sshd.bin}:{self.sshd.path}"}
        as_user = {"user": self.sshd.user, "group": self.sshd.user} if os.getuid() == 0 else {}
        subprocess.run([self.sshd.bin / "unit", "restart"], check=True, env=env, cwd=self.home, **as_user)

    # -- ground truth

    @property
    def home(self) -> Path:
        return self.sshd.home

    def photograph(self) -> dict[str, Any]:
        """Trees, processes, answers, and every row of every database, as the servers themselves tell them."""
        main = process(listening().get(self.api_port, 0)) or {}
        return {
            "trees": {
                name: tree(self.home / "subdomains" / name / "current")
                for name in ("crm", "api", "n8n", *STATIC.values())
            },
            "api runs in": main.get("cwd"),
            "version": answer(self.ports["api"], "/version"),
            "databases": self.databases(),
        }

    def databases(self) -> dict[str, Any]:
        """Tables and a checksum over all rows, of all 17."""
        found = {name: self._mariadb(self.plesk, name) for name in PLESK}
        found |= {name: self._mariadb(self.external, name) for name in EXTERNAL}
        sums = "select count(*), md5(string_agg(t::text, '|' order by id)) from people t"
        return found | {name: self.postgres.sql(sums, database=f"mo_{name}") for name in POSTGRES}

    def _mariadb(self, server: MariaDB, name: str) -> str:
        tables = server.sql("show tables", f"mo_{name}").split()
        return server.sql("checksum table " + ", ".join(f"`{table}`" for table in tables), f"mo_{name}")

    def live(self) -> dict[str, str]:
        """The version that each deployed service serves, asked as a visitor does."""
        seen = {name: _page(self.ports[name]).split("<h1>")[-1].split(" ")[-1].split("<")[0] for name in STATIC}
        release = (answer(self.ports["api"], "/version")[1] or {}).get("release", "")
        places = {path.name: (path / "VERSION").read_text().strip() for path in self._releases("api")}
        workflow = json.loads((self.home / "subdomains/n8n/current/greet.json").read_text())["version"]
        return {
            **seen,
            "api": places.get(release, release),
            "crm": _page(self.ports["crm"]).split("CRM ")[-1],
            "n8n": workflow,
        }

    def _releases(self, name: str) -> list[Path]:
        return [
            path for path in (self.home / "subdomains" / name / "releases").glob("*") if (path / "VERSION").exists()
        ]

    def logins(self, account: str) -> int:
        """How often an account of a database has logged in so far, by its server's own log."""
        logs = (self.plesk.folder / "general", self.external.folder / "general")
        lines = "".join(log.read_text(errors="replace") for log in logs if log.exists())
        mariadb = sum("Connect\t" in line and f"{account}@" in line for line in lines.splitlines())
        return mariadb + self.postgres.log.count(f"connection authorized: user={account} ")

    def dumps(self, name: str) -> int:
        """How often the rows of a database were read by a dump, by its server's own log."""
        if name in POSTGRES:
            lines = self.postgres.log.splitlines()
            return sum(line.startswith(f"mo_{name} ") and "COPY public.people" in line for line in lines)
        log = (self.plesk if name in PLESK else self.external).folder / "general"
        return log.read_text(errors="replace").count(f"SHOW PACKAGE BODY STATUS WHERE Db = 'mo_{name}'")

    @contextlib.contextmanager
    def traced(self) -> Iterator[None]:
        """Take down all programs that are started meanwhile on both ends, where this machine lets us.

        Only where it is short: strace costs more than what it looks at.
        """
        if not strace_works():
            with self.sampled():
                yield
            return
        self.operator.traces = self.traces
        try:
            with attached(self.sshd.process.pid, self.traces / f"sshd {len(list(self.traces.iterdir()))}"):
                yield
        finally:
            self.operator.traces = None

    @contextlib.contextmanager
    def sampled(self) -> Iterator[None]:
        """The same for programs that live for a while."""
        with Sampler(0.03) as sampler:
            yield
        for one in sampler.programs():
            own = b"fairlead" in one.argv  # its environment is a source
            self.seen.append(("sample", Program(one.argv, () if own else one.environ)))

    def search(self) -> Search:
        """Look for every secret on both ends, in the servers' own logs and in all programs that were started."""
        search = Search(self.sentinels)
        search.programs(self.programs())
        for text in self.operator.said:
            search.text("what a command said", text)
        search.folder("the operator's home", self.operator.home)
        search.folder("the operator's temporary files", self.temporary)
        search.folder("the checkout", self.operator.folder)
        search.folder("sshd", self.folder / "sshd", but=[self.sshd.key])
        search.folder("the target", self.sshd.public, but=[self.home / "api.cnf"])
        for server in (self.plesk, self.external):
            for log in ("general", "log"):
                search.text(f"{server.folder.name}'s {log}", (server.folder / log).read_bytes())
        search.text("PostgreSQL's log", self.postgres.log)
        search.text("nginx's log", (self.folder / "nginx/error.log").read_bytes())
        return search

    def programs(self) -> list[tuple[str, Program]]:
        """What `traced` and `sampled` have seen."""
        return [*self.seen, *started(self.traces)]

    # -- laying it out

    def _make_secrets(self) -> None:
        names = {f"MO_{name.upper()}_DB_PASS": NASTY for name in (*PLESK, *EXTERNAL, *POSTGRES)}
        names |= {"MO_CRM_DB_PASS": EVERY_SIGN, "MO_IDP_DB_PASS": EVERY_SIGN, "MO_VOTES_DB_PASS": "-"}
        names |= {f"MO_{server}_MAINTENANCE_PASS": NASTY for server in ("PLESK", "MYSQL", "PG")}
        made = [sentinel(name, middle) for name, middle in names.items()]
        header = sentinel("MO_CRM_CHECK_AUTHORIZATION", "-")
        made.append(replace(header, value=f"Basic {header.value}"))
        self.backups = Key.new()
        made.append(Sentinel("MO_BACKUP_IDENTITY", self.backups.identity, (self.backups.identity[16:60],)))
        self.secrets = {one.name: one.value for one in made}
        public = self.sshd.key.with_suffix(".pub").read_text()
        key = key_sentinel(KEY, str(self.sshd.key), self.sshd.key.read_text(), public)
        self.sentinels: tuple[Sentinel, ...] = (*made, key)

    def _trust(self, tls: Certificates) -> None:
        lay(self.home, {".my.cnf": f"[client]\nssl-ca={tls.ca}\n", ".postgresql/root.crt": self.postgres.authority})

    def _panel(self) -> None:
        """The five databases that the panel has made; what makes an account is kept out of the server's log."""
        master = self._word("MO_PLESK_MAINTENANCE_PASS")
        self.plesk.sql(f"set sql_log_off = 1; alter user fairlead@'%' identified by '{master}'")
        for number, name in enumerate(PLESK):
            full, password = self.plesk.create(name, rows=100 * (number + 1)), self._word(f"MO_{name.upper()}_DB_PASS")
            place, rights = full.replace("_", "\\_"), "select, insert, update, delete, create, alter, index, references"
            self.plesk.sql(
                f"set sql_log_off = 1; create user svc_{name}@'%' identified by '{password}'; "
                f"grant {rights} on `{place}`.* to svc_{name}@'%'; alter database {full} collate utf8mb4_unicode_ci"
            )

    def _provision(self) -> None:
        """The twelve others, made as an operator makes them, and rows in each."""
        for environment in ("production", "staging"):
            self.operator.must(0, "db", "provision", "--yes", "-e", environment)
        for number, name in enumerate(EXTERNAL):
            rows = f"insert into people (name) select concat('n', seq) from seq_1_to_{100 * (number + 1)}"
            self.external.sql(
                f"create table people (id int primary key auto_increment, name text); {rows}", f"mo_{name}"
            )
        for name in POSTGRES:
            table = "create table people as select id, 'n' || id as name from generate_series(1, 300) id"
            self.postgres.sql(f"set role svc_{name}", table, database=f"mo_{name}")

    def _word(self, secret: str) -> str:
        """A secret between MariaDB's quotes."""
        return self.secrets[secret].replace("\\", "\\\\").replace("'", "\\'")

    def _serve(self) -> None:
        for name in ("subdomains", "stand-ins", "httpdocs", *(f"logs/{service}" for service in SERVICES)):
            (self.home / name).mkdir(parents=True)
        password = self.secrets["MO_VOTES_DB_PASS"]
        option_file = f"[client]\nhost=127.0.0.1\nport={self.plesk.port}\nuser=svc_votes\npassword={password}\n"
        lay(self.home, {"httpdocs/index.html": "<h1>WordPress</h1>", "api.cnf": option_file})
        lay(self.home / "subdomains/api/shared", {".env": self.settings})
        lay(
            self.home / "subdomains/crm/shared/sites/default",
            {"settings.php": "", "civicrm.settings.php": "", "files/up.png": "x"},
        )
        self.sshd.shim("unit", UNIT)
        self.sshd.shim("docker", DOCKER)
        self.give()
        self.stack.callback(self._stop_api)
        self._nginx()

    def _stop_api(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self.home / "unit.pid").read_text()), 9)

    def _nginx(self) -> None:
        folder = self.folder / "nginx"
        folder.mkdir()
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        types = "default_type text/plain; types { text/html html; application/json json; }"
        config = f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}} {self._as_root()}"
        lay(folder, {"conf": f"{config} http {{ {types} access_log off; {temporary} {self._servers()} }}"})
        nginx = subprocess.Popen(
            ["nginx", "-c", str(folder / "conf"), "-p", str(folder), "-e", str(folder / "error.log")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.stack.callback(nginx.wait)
        self.stack.callback(nginx.terminate)
        end = time.monotonic() + 20
        while _page(self.ports["website"]) != "<h1>WordPress</h1>":
            assert time.monotonic() < end, (folder / "error.log").read_text()
            time.sleep(0.02)

    def _as_root(self) -> str:
        return f"user {self.sshd.user};" if os.getuid() == 0 else ""

    def _servers(self) -> str:
        header = self.secrets["MO_CRM_CHECK_AUTHORIZATION"]
        check = f'location /civicrm/ {{ if ($http_authorization != "{header}") {{ return 401; }} }}'
        places = {**{name: f"subdomains/{place}/current" for name, place in STATIC.items()}, "website": "httpdocs"}
        bodies = {name: f"root {self.home}/{place};" for name, place in places.items()}
        bodies["crm"] = f"root {self.home}/subdomains/crm/current; {check}"
        bodies["api"] = f"location / {{ proxy_pass http://127.0.0.1:{self.api_port}; }}"
        bodies["n8n"] = "location = /healthz { return 200 '{}'; }"
        return "".join(
            SERVER.format(port=self.ports[name], home=self.home, name=name, body=body) for name, body in bodies.items()
        )

    def _configure(self) -> None:
        folder = self.folder / "checkout"
        folder.mkdir()
        (folder / "fairlead.yml").write_text(yaml.safe_dump(self.document(), sort_keys=False))
        environ = {**self.secrets, **self.sshd.environ, "TMPDIR": str(self.temporary)}
        environ["MO_BACKUP_KEY"] = self.backups.public
        self.operator = Operator(folder, self.folder / "operator", environ)

    def document(self) -> dict[str, Any]:
        """The example, on these servers."""
        document: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
        document["sources"] = ["environment"]
        unit = {word: ["unit", word] for word in ("restart", "reload", "stop", "status", "show", "log")}
        way = {"address": "127.0.0.1", "port": self.sshd.port, "user": self.sshd.user, "key": KEY}
        document["hosts"] = {"plesk": {**way, "known_hosts": str(self.sshd.known_hosts), "commands": unit}}
        document["hosts"]["plesk"]["load"] = {"warn": 1000, "fail": 1000}  # of this machine tests ask much
        for group, address, port in (
            ("plesk", "127.0.0.1", self.plesk.port),
            ("external", "127.0.0.1", self.external.port),
            ("postgres", "localhost", self.postgres.port),
        ):
            document["databases"][group] |= {
                "address": address,
                "port": port,
                "tls": "off" if group == "plesk" else "verify",
            }
        sockets = {"external": ("root", self.external.socket), "postgres": ("postgres", self.sockets)}
        for group, (user, socket) in sockets.items():
            admin = {"user": user, "socket": str(socket)}
            document["databases"][group] |= {"server": "plesk", "clients": ["127.0.0.1"], "admin": admin}
        self._services(document["services"])
        self._places(document["environments"])
        return document

    def _services(self, services: dict[str, Any]) -> None:
        for name in ("api", "crm", "frontend", "admin"):
            del services[name]["source"]["build"]
            services[name] = {key: value for key, value in services[name].items() if key != "owner"}
        services["games"].pop("owner")
        services["api"]["settle"] = "500ms"

    def _places(self, environments: dict[str, Any]) -> None:
        production = environments["production"]
        production.pop("gates")  # GitHub is not here
        production.pop("announce")
        production |= {"unattended": "allow", "lease": {"ttl": "30s", "beat": "15s"}}
        production["watch"] = {
            "duration": "4s",
            "interval": "250ms",
            "down_for": "2s",
            "window": "4s",
            "min_requests": 5,
        }
        for name, service in production["services"].items():
            service["url"] = f"http://127.0.0.1:{self.ports[name]}"
        production["services"]["n8n"]["path"] = "subdomains/n8n"
        production["services"]["api"]["access_log"] = "logs/api/access_ssl_log"


def _page(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
            return str(response.read().decode())
    except OSError:
        return ""


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What of two photographs is not equal."""
    return [key for key in before if digest(before[key]) != digest(after[key])]

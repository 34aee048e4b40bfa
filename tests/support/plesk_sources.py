"""Versions of the plesk example's six services: `write(folder, "v2", errors=True)`.

The API is a real HTTP server with a database and real migrations; of Drupal, CiviCRM and n8n there are only the command
lines that a deployment calls, and they take notes.
"""

from __future__ import annotations

import shutil
from pathlib import Path

API = '''\
"""The API: answers from its release, asks its database when asked whether it is ready."""
import http.server
import json
import os
import subprocess

SETTINGS = dict(line.split("=", 1) for line in open(".env").read().splitlines())
RELEASE = json.load(open("release.json"))["release"]
ERRORS = os.path.exists("errors")


def ready():
    argv = ["mariadb", "--defaults-file=" + SETTINGS["DATABASE"], "-Ne", "select count(*) from people", "mo_votes"]
    return subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answers = {"/healthz": {}, "/health": {"status": "healthy"}, "/version": {"release": RELEASE}}
        status = 200 if self.path in answers else 500 if ERRORS else 200
        if self.path == "/readyz":
            status = 200 if ready() else 503
        body = json.dumps(answers.get(self.path, {"path": self.path})).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(SETTINGS["PORT"])), Handler).serve_forever()
'''
MIGRATE = '''\
"""Each version brings one table; `up`, `down`, `where` and `show`."""
import json
import os
import subprocess
import sys

LOGINS = os.environ["FAIRLEAD_DATABASES"]
LOGIN = json.load(open(LOGINS))["votes"]
TABLE = "of_" + open("VERSION").read().strip()


def sql(text):
    options = os.path.dirname(LOGINS) + "/options"
    password = LOGIN["password"].replace("\\\\", "\\\\\\\\").replace('"', '\\\\"')
    with open(options, "w") as file:
        file.write('[client]\\npassword="%s"\\n' % password)
        file.write("host=%(address)s\\nport=%(port)s\\nuser=%(user)s\\n" % LOGIN)
    argv = ["mariadb", "--defaults-file=" + options, "-N", LOGIN["database"]]
    return subprocess.run(argv, input=text, stdout=subprocess.PIPE, universal_newlines=True, check=True).stdout


UP = "create table if not exists %s (id int primary key)" % TABLE
word = sys.argv[1]
if word == "up":
    sql(UP)
elif word == "down":
    sql("drop table if exists %s" % TABLE)
elif word == "where":
    print("after" if sql("show tables like '%s'" % TABLE) else "before")
else:
    print(UP)
'''
DRUSH = """\
#!/bin/sh
# In the place of drush and cv: takes notes. The schema of the CRM has a number, and updatedb brings the release's.
printf '%s\\n' "${0##*/} $*" >>"$HOME/stand-ins/crm"
have=$HOME/stand-ins/crm-schema
case $1 in
updatedb) [ "$2" = -y ] && cp deploy/schema "$have" ;;
php:script) if cmp -s deploy/schema "$have"; then echo after; else echo before; fi ;;
esac
exit 0
"""
PAGES = {"frontend": "Frontend", "games": "Games", "admin": "Admin"}


def write(folder: Path, version: str, *, schema: int = 1, errors: bool = False) -> None:
    """All six below `folder`; `schema` is the CRM's, and with `errors` the API fails what visitors ask for."""
    for name in ("api", "crm", "n8n", *PAGES):
        shutil.rmtree(folder / name, ignore_errors=True)
    lay(folder / "api", {"main.py": API, "deploy/migrate.py": MIGRATE, "VERSION": f"{version}\n"})
    if errors:
        lay(folder / "api", {"errors": ""})
    crm = {"index.html": f"<title>Menschlichkeit</title>CRM {version}", "civicrm/dashboard": "CiviCRM"}
    lay(
        folder / "crm",
        {**crm, "deploy/schema": f"{schema}\n", "deploy/where.php": "<?php\n", "vendor/bin/drush": DRUSH},
    )
    shutil.copy(folder / "crm/vendor/bin/drush", folder / "crm/vendor/bin/cv")
    for tool in ("drush", "cv"):
        (folder / "crm/vendor/bin" / tool).chmod(0o755)
    lay(folder / "n8n/workflows", {"greet.json": f'{{"name": "greet", "version": "{version}"}}\n'})
    for name, title in PAGES.items():
        output = folder / name / ("" if name == "games" else "dist")
        lay(output, {"index.html": f"<!doctype html><title>{title}</title><h1>{title} {version}</h1>\n"})
        lay(output, {f"asset-{number}.txt": f"{name} {number}\n" for number in range(20)})


def lay(folder: Path, files: dict[str, str]) -> None:
    """Write texts below a folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

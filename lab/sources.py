"""Write a version of the lab's services: python3 lab/sources.py FOLDER VERSION; `--help` lists what can be wrong."""

from __future__ import annotations

import argparse
import random
import shutil
from pathlib import Path

API = """\
import json
import os

import pymysql
from fastapi import FastAPI, HTTPException

app = FastAPI()
RELEASE = json.load(open("release.json"))["release"]  # as it was when this process began
SETTINGS = dict(line.split("=", 1) for line in open(".env").read().splitlines())
ERRORS = os.path.exists("errors")


def database():
    local = {"unix_socket": "/run/mysqld/mysqld.sock"}
    where = {"host": SETTINGS["ADDRESS"]} if "ADDRESS" in SETTINGS else local
    login = {"user": SETTINGS["DATABASE_USER"], "password": SETTINGS["DATABASE_PASSWORD"]}
    return pymysql.connect(**where, **login, database=SETTINGS["DATABASE"], connect_timeout=3)


@app.get("/health")
def health():
    return {"status": "healthy", "pid": os.getpid()}


@app.get("/readyz")
def ready():
    try:
        with database() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM person")
            return {"people": cursor.fetchone()[0]}
    except pymysql.MySQLError as error:
        raise HTTPException(503, str(error))


@app.get("/version")
def version():
    return {"release": RELEASE, "pid": os.getpid()}


@app.get("/things/{number}")
def thing(number: int):
    if ERRORS:
        raise HTTPException(500, "broken")
    return {"thing": number}
"""
MIGRATE = """\
import json
import os
import sys

import pymysql

LOGIN = json.load(open(os.environ["FAIRLEAD_DATABASES"]))[NAME]
TABLE = "of_" + open("VERSION").read().strip()
local = {"unix_socket": "/run/mysqld/mysqld.sock"}
where = local if LOGIN["address"] == "localhost" else {"host": LOGIN["address"], "port": LOGIN["port"]}
login = {name: LOGIN[name] for name in ("user", "password", "database")}
UP = "CREATE TABLE IF NOT EXISTS %s (id INT PRIMARY KEY, note TEXT)" % TABLE
word = sys.argv[1]
if word == "show":
    print(UP)
    sys.exit()
connection = pymysql.connect(**where, **login, autocommit=True, connect_timeout=5)
cursor = connection.cursor()
if word == "up":
    cursor.execute(UP)
    cursor.execute("INSERT IGNORE INTO %s SELECT id, name FROM person" % TABLE)
elif word == "down":
    cursor.execute("DROP TABLE IF EXISTS %s" % TABLE)
else:
    print("after" if cursor.execute("SHOW TABLES LIKE '%s'" % TABLE) else "before")
"""
# Python must not write into the release: it would no longer be what its name says.
RUN = 'PYTHONDONTWRITEBYTECODE=1 exec python3 -m uvicorn main:app --host 127.0.0.1 --port "$PORT"\n'
DIES = "{{ sleep {seconds}; kill -9 $$; }} &\n"
"""The unit's main process goes, so many seconds after a restart that succeeded."""
PAGES = {"frontend": "Frontend", "games": "Games", "admin": "Admin"}


def write(folder: Path, version: str, dies: float = 0, heavy: int = 0, many: int = 0, errors: bool = False) -> None:
    """All six; `dies` seconds after its start the API does, or with `errors` it fails its visitors.

    The games are `heavy` MiB that do not compress, the frontend has `many` files more.
    """
    for name in ("api", "crm", "n8n", *PAGES):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
        (folder / name / "VERSION").write_text(f"{version}\n")
    (folder / "api/main.py").write_text(API)
    (folder / "api/run").write_text((DIES.format(seconds=dies) if dies else "") + RUN)
    if errors:
        (folder / "api/errors").touch()
    for name, database in (("api", "votes"), ("crm", "crm")):
        (folder / name / "deploy").mkdir()
        (folder / name / "deploy/migrate.py").write_text(MIGRATE.replace("NAME", f'"{database}"', 1))
    (folder / "crm/index.php").write_text(f'<?php echo "CRM {version}\\n";\n')
    (folder / "n8n/workflow.json").write_text(f'{{"name": "greet", "version": "{version}"}}\n')
    for name, title in PAGES.items():
        (folder / name / "index.html").write_text(f"<!doctype html><title>{title}</title><h1>{title} {version}</h1>\n")
    for number in range(many):
        file = folder / "frontend/assets" / f"{number % 97:02}" / f"{number}.js"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"// {number}\n")
    if heavy:
        (folder / "games/film.bin").write_bytes(random.Random(version).randbytes(heavy << 20))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("version")
    parser.add_argument("--dies", type=float, default=0)
    parser.add_argument("--heavy", type=int, default=0)
    parser.add_argument("--many", type=int, default=0)
    parser.add_argument("--errors", action="store_true")
    told = parser.parse_args()
    write(told.folder, told.version, told.dies, told.heavy, told.many, told.errors)


if __name__ == "__main__":
    main()

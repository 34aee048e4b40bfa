"""A stand-in for the `fairlead` command: it says what the demo wants to hear, and does as much of it as PRETENDER says.

honest: deploys v2, and brings v3 back. idle: says so and does nothing. loses rows: deletes rows on the way back.
mixed: forgets to restart one service. slow: never comes to an end. always ready: needs no backup.
no post-mortem: writes none.
It exists to show that the demo does not believe what it is told.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

FOLDER, HOW = Path.cwd(), os.environ["PRETENDER"]
TOLD = json.loads((FOLDER / "estate.json").read_text())
HOME = Path(TOLD["home"])
NOTES = FOLDER / "operator" / "pretender.json"
ORDER = ("api", "crm", "frontend", "games", "admin", "n8n")


def switch(name: str, release: str) -> None:
    folder = HOME / "services" / name
    (folder / "current").unlink()
    (folder / "current").symlink_to(f"releases/{release}")
    (folder / ".live").write_text(f"{release}\n")
    if not (HOW == "mixed" and name == "games"):
        control = [TOLD["python"], "-I", "-S", str(HOME / "bin" / "control.py")]
        subprocess.run([*control, "restart", name, str(folder)], check=True)


def ids() -> dict[str, str]:
    """What the sources are called as releases; -I: asked of the product itself, not of this stand-in."""
    ask = """if True:
        import json, pathlib, sys
        from fairlead.demo.sources import tree_of
        print(json.dumps({name: tree_of(pathlib.Path("source", name)).hash[:12] for name in sys.argv[1:]}))"""
    return json.loads(subprocess.run([sys.executable, "-I", "-c", ask, *ORDER], capture_output=True, check=True).stdout)


def stage(name: str, release: str) -> None:
    """Put the source in place as a release; the identity is written by hand."""
    folder, source = HOME / "services" / name, FOLDER / "source" / name
    shutil.copytree(source, folder / "releases" / release, symlinks=True)
    identity = {"release": release, "service": name, "version": (source / "VERSION").read_text().strip()}
    (folder / "releases" / release / "release.json").write_text(json.dumps(identity))


def migrate(release: Path, name: str) -> int:
    """Migrate a database with the estate's own program; the newest row that it had before."""
    path = HOME / "data" / f"mo_{name}.db"
    with sqlite3.connect(path, timeout=20) as connection:
        newest = int(connection.execute("SELECT max(id) FROM entries").fetchone()[0])
    program = [TOLD["python"], "-I", "-S", str(HOME / "bin" / "migrate.py"), "apply", str(path)]
    subprocess.run(program, cwd=release, check=True)
    return newest


def take_back(name: str, newest: int) -> None:
    """Keep everything beside, and leave in the live database what it had before it was migrated."""
    live = HOME / "data" / f"mo_{name}.db"
    connection = sqlite3.connect(live, timeout=20, isolation_level=None)
    connection.execute("ATTACH ? AS kept", (f"{live}__kept_20260704_0a1b2c3d",))
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TABLE kept.entries AS SELECT * FROM main.entries WHERE id > ?", (newest,))
    connection.execute("DELETE FROM main.entries WHERE id > ?", (newest,))
    connection.execute("UPDATE main.settings SET value = 'v2' WHERE key = 'schema'")
    connection.execute("COMMIT")
    connection.close()


def deploy() -> int:
    version = (FOLDER / "source" / "api" / "VERSION").read_text().strip()
    while HOW == "slow":
        time.sleep(0.1)
    before = {name: (HOME / "services" / name / "current").resolve().name for name in ORDER}
    if HOW != "idle":
        for name, release in ids().items():
            stage(name, release)
            switch(name, release)
    migrated = {}
    if HOW != "idle":
        migrated = {
            name: migrate(FOLDER / "source" / owner, name) for owner, name in (("api", "votes"), ("crm", "crm"))
        }
    if version == "v2":
        return 0
    time.sleep(0.6)
    for name, newest in migrated.items():
        take_back(name, newest)
    if HOW != "idle":
        for name in reversed(ORDER):
            switch(name, before[name])
    if HOW == "loses rows":
        with sqlite3.connect(HOME / "data" / "mo_crm.db") as connection:
            connection.execute("DELETE FROM entries WHERE author = 'writer'")
    return 3


def main(words: list[str]) -> int:
    notes = json.loads(NOTES.read_text()) if NOTES.exists() else {"backup": False}
    code = 0
    if words[0] == "ready":
        code = 0 if notes["backup"] or HOW == "always ready" else 1
    elif words[:2] == ["db", "backup"]:
        notes["backup"] = True
    elif words[0] == "deploy":
        code = deploy()
    elif words[0] == "report":
        report = Path(words[words.index("--out") + 1])
        mortem = report.with_suffix(".post-mortem.md")
        report.write_text("<!doctype html>")
        mortem.write_text("# Post-mortem\n")
        print(json.dumps({"report": str(report), "post_mortem": None if HOW == "no post-mortem" else str(mortem)}))
    NOTES.write_text(json.dumps(notes))
    return code


sys.exit(main(sys.argv[1:]))

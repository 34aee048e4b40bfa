"""Ground truth about an estate: what lies in its folders, what runs, what answers, what the databases hold.

Imports nothing from the product and uses the standard library only, so that the product cannot be its own witness.

    before = Witness.of(folder).photograph()
    ...
    assert difference(before, Witness.of(folder).photograph()) == []

A photograph is plain data (JSON).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import stat
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Photograph = dict[str, Any]

MAY_MOVE = frozenset({"processes", "new rows", "other releases"})
"""What legitimately differs between two photographs of one state: a restarted process, rows that a writer added,
folders of further releases."""


@dataclass(frozen=True)
class Witness:
    """Where to look."""

    folders: Mapping[str, Path]
    """The folder of each service."""
    ports: Mapping[str, int]
    databases: Mapping[str, Path]
    """The file of each database, by its whole name such as `mo_crm`."""
    journal: Path | None = None
    """`DATABASE MARK` for each acknowledged row."""

    @classmethod
    def of(cls, estate: Path) -> Witness:
        """Look at the estate in this folder."""
        told = json.loads((estate / "estate.json").read_text())
        home, ports = Path(told["home"]), told["ports"]
        folders = {name: home / "services" / name for name in ports}
        databases = {path.stem: path for path in sorted((home / "data").glob("*.db"))}
        return cls(folders, ports, databases, estate / "acknowledged.log")

    def photograph(self) -> Photograph:
        """Look at everything."""
        listeners = listening()
        services = {name: self.service(name, listeners) for name in self.folders}
        return {"services": services, "databases": {name: database(path) for name, path in self.databases.items()}}

    def service(self, name: str, listeners: Mapping[int, int] | None = None) -> dict[str, Any]:
        """One service: its folder, its process, its answers."""
        folder, port = self.folders[name], self.ports[name]
        pid = (listening() if listeners is None else listeners).get(port)
        return {
            "link": str((folder / "current").readlink()) if (folder / "current").is_symlink() else None,
            "tree": tree(folder / "current"),
            "releases": {path.name: digest(tree(path)) for path in sorted((folder / "releases").glob("*"))},
            "beside": tree(folder, but=("releases", "current", "log")),
            "process": process(pid) if pid else None,
            "identity": answer(port, "/version")[1],
            "health": answer(port, "/health")[0],
        }

    def standing(self) -> dict[str, str | None]:
        """Which release each service says it was started from; None = it does not answer."""
        return {name: (answer(port, "/version")[1] or {}).get("release") for name, port in self.ports.items()}

    def lost_rows(self) -> list[str]:
        """Acknowledged rows that are in no database any more, live or kept beside it, as `DATABASE MARK`."""
        promised: dict[str, set[str]] = {name: set() for name in self.databases}
        for line in self.journal.read_text().splitlines() if self.journal and self.journal.exists() else ():
            name, _, mark = line.partition(" ")
            promised[name].add(mark)
        kept = {
            name: marks(path).union(*map(marks, path.parent.glob(f"{path.name}__kept_????????_????????")))
            for name, path in self.databases.items()
        }
        return [f"{name} {mark}" for name in promised for mark in sorted(promised[name] - kept[name])]


def tree(folder: Path, but: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """All below a folder except `but`: path -> type, mode, owner, and content hash or link; itself is `.`."""
    if not folder.exists():
        return {}
    top = folder.resolve()
    inside = (each for each in sorted(top.iterdir()) if each.name not in but) if top.is_dir() else ()
    paths = [top, *(path for each in inside for path in below(each))]
    return {str(path.relative_to(top)): entry(path) for path in paths}


def below(path: Path) -> Iterator[Path]:
    """A path and all below it, sorted; links are not followed."""
    yield path
    if path.is_dir() and not path.is_symlink():
        for each in sorted(path.iterdir()):
            yield from below(each)


def entry(path: Path) -> dict[str, Any]:
    """One file, folder or link."""
    found = path.lstat()
    told: dict[str, Any] = {"type": stat.filemode(found.st_mode)[0], "mode": oct(stat.S_IMODE(found.st_mode))}
    told["owner"] = f"{found.st_uid}:{found.st_gid}"
    if stat.S_ISLNK(found.st_mode):
        told["link"] = str(path.readlink())
    elif stat.S_ISREG(found.st_mode):
        told["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return told


def digest(value: object) -> str:
    """A short hash of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def listening() -> dict[int, int]:
    """Which process listens on which TCP port of this machine, from /proc: port -> pid."""
    ports: dict[str, int] = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A":
            ports[f"socket:[{fields[9]}]"] = int(fields[1].partition(":")[2], 16)
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        for descriptor in _descriptors(process):
            port = ports.get(descriptor)
            if port is not None:
                found[port] = int(process.name)
    return found


def _descriptors(process: Path) -> Iterator[str]:
    """What a process holds open, as far as it lives and may be looked at."""
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:
        return
    for descriptor in descriptors:
        with suppress(OSError):
            yield str(descriptor.readlink())


def process(pid: int) -> dict[str, Any] | None:
    """A process: where it was started, by whom, and when (clock ticks since boot); None = it has ended."""
    try:
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        cwd = str(Path(f"/proc/{pid}/cwd").readlink())
        return {"pid": pid, "cwd": cwd, "started": int(started), "user": Path(f"/proc/{pid}").stat().st_uid}
    except OSError:
        return None


def answer(port: int, path: str) -> tuple[int | None, Any]:
    """Ask over HTTP: status and JSON document; (None, None) = no answer, document None = it is not JSON."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, None
    except (OSError, ValueError):
        return None, None


def database(path: Path) -> dict[str, Any]:
    """One database as it is at one moment: integrity, schema, and a hash of every row."""
    if not path.is_file():
        return {"integrity": "absent", "schema": "", "tables": {}}
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10, isolation_level=None)
    try:
        connection.execute("BEGIN")
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
        ]
        return {
            "integrity": connection.execute("PRAGMA integrity_check").fetchone()[0],
            "schema": digest(connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall()),
            "tables": {name: table(connection, name) for name in names if not name.startswith("sqlite_")},
        }
    finally:
        connection.close()


def table(connection: sqlite3.Connection, name: str) -> dict[str, Any]:
    """One table: number of rows, a hash over all of them, and one of each."""
    rows = connection.execute(f'SELECT * FROM "{name}"')
    each = sorted(hashlib.blake2b(repr(row).encode(), digest_size=8).hexdigest() for row in rows)
    return {"rows": len(each), "hash": digest(each), "each": each}


def marks(path: Path) -> set[str]:
    """The marks of all rows of one database; a database that is not there has none."""
    if not path.is_file():
        return set()
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return {mark for (mark,) in connection.execute("SELECT mark FROM entries")}
    finally:
        connection.close()


def disagreements(photograph: Photograph) -> list[str]:
    """Where link, marker, process and HTTP answer of one service do not speak of the same release; nothing = whole."""
    return [sentence for name, seen in photograph["services"].items() for sentence in _disagreement(name, seen)]


def _disagreement(name: str, seen: Mapping[str, Any]) -> Iterator[str]:
    linked = Path(seen["link"] or "").name
    if not seen["process"] or not seen["identity"]:
        yield f"{name}: nothing answers"
        return
    if Path(seen["process"]["cwd"]).name != linked:
        yield f"{name}: `current` is {linked}, the process was started in {seen['process']['cwd']}"
    if seen["identity"].get("release") != linked:
        yield f"{name}: `current` is {linked}, the service says {seen['identity'].get('release')}"
    if seen["identity"].get("pid") != seen["process"]["pid"]:
        yield f"{name}: process {seen['identity'].get('pid')} answers, {seen['process']['pid']} listens"
    if seen["beside"].get(".live", {}).get("sha256") != hashlib.sha256(f"{linked}\n".encode()).hexdigest():
        yield f"{name}: the marker .live is not that of {linked}"


def difference(before: Photograph, after: Photograph, but: Collection[str] = MAY_MOVE) -> list[str]:
    """What is not as it was, one sentence each; `but` names what may move, () = nothing may."""
    found: list[str] = []
    for name in sorted(before["services"].keys() | after["services"].keys()):
        old, new = (photograph["services"].get(name) for photograph in (before, after))
        found += _service_moved(name, old, new, but) if old and new else [f"{name}: seen only once"]
    for name in sorted(before["databases"].keys() | after["databases"].keys()):
        old, new = (photograph["databases"].get(name) for photograph in (before, after))
        found += _database_moved(name, old, new, but) if old and new else [f"{name}: seen only once"]
    return found


def _service_moved(name: str, old: Mapping[str, Any], new: Mapping[str, Any], but: Collection[str]) -> Iterator[str]:
    for key, title in (("link", "`current`"), ("health", "the status of /health")):
        if old[key] != new[key]:
            yield f"{name}: {title} was {old[key]}, is {new[key]}"
    for key, title in (("tree", "current/"), ("beside", "")):
        for path in sorted(old[key].keys() | new[key].keys()):
            was, now = old[key].get(path), new[key].get(path)
            if was != now:
                yield f"{name}: {title}{path} {moved(was, now)}"
    for release in sorted(old["releases"].keys() | new["releases"].keys()):
        was, now = old["releases"].get(release), new["releases"].get(release)
        if was != now and not (was is None and "other releases" in but):
            yield f"{name}: releases/{release} " + (
                "appeared" if was is None else "is gone" if now is None else "changed"
            )
    yield from _process_moved(name, old, new, but)


def moved(was: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str:
    """What differs between two descriptions of one thing, and only that."""
    if not was or not now:
        return "was absent" if not was else "is gone"
    keys = sorted(key for key in was.keys() | now.keys() if was.get(key) != now.get(key))
    return "; ".join(f"{key} was {short(was.get(key))}, is {short(now.get(key))}" for key in keys)


def short(value: object) -> str:
    """A hash by its beginning, anything else whole."""
    return str(value)[:12] if isinstance(value, str) and len(value) == 64 else str(value)


def _process_moved(name: str, old: Mapping[str, Any], new: Mapping[str, Any], but: Collection[str]) -> Iterator[str]:
    moves = {"pid", "started"} if "processes" in but else set()
    for key, title in (("process", "process"), ("identity", "identity")):
        was, now = ({k: v for k, v in (seen[key] or {}).items() if k not in moves} for seen in (old, new))
        if was != now:
            yield f"{name}: its {title} {moved(was, now)}"


def _database_moved(name: str, old: Mapping[str, Any], new: Mapping[str, Any], but: Collection[str]) -> Iterator[str]:
    for key in ("integrity", "schema"):
        if old[key] != new[key]:
            yield f"{name}: its {key} was {old[key]}, is {new[key]}"
    for table_name in sorted(old["tables"].keys() | new["tables"].keys()):
        was, now = (Counter(seen["tables"].get(table_name, {}).get("each", ())) for seen in (old, new))
        lost, added = (was - now).total(), (now - was).total()
        if lost:
            yield f"{name}: {lost} rows of {table_name} are gone or changed"
        if added and "new rows" not in but:
            yield f"{name}: {added} rows of {table_name} are new"

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.box import Box, Boxes, in_place, release, says
from support.live_data import TABLE, Maria, Postgres, Sqlite, names
from support.sshd import Sshd


@pytest.fixture(scope="session")
def installed() -> Iterator[dict[str, Path]]:
    """A home for each strategy with v1 live in it, deployed once: rows begin with a copy."""
    with tempfile.TemporaryDirectory(prefix="fl-faults-") as name:
        yield {word: _installed(Path(name) / word, word) for word in ("release", "in_place")}


def _installed(folder: Path, strategy: str) -> Path:
    folder.mkdir()
    with Sshd(folder / "sshd") as sshd:
        box = Box(folder, sshd, release() if strategy == "release" else in_place())
        if strategy == "in_place":
            box.put("site/.env", "SECRET=1")
        told = box.deploy()
        assert told.code == 0 and box.is_new(), told.text
        subprocess.run(["cp", "-a", str(sshd.home), str(folder / "home")], check=True)
    return folder / "home"


@pytest.fixture
def boxes(installed: dict[str, Path], tmp_path: Path) -> Iterator[Boxes]:
    """Make a server with v1 live and v2 in the operator's checkout."""
    with ExitStack() as stack:

        def make(*options: str, sshd: dict[str, Any] = {}, empty: bool = False, **more: Any) -> Box:  # noqa: B006
            server = stack.enter_context(Sshd(tmp_path / "sshd", *options, **sshd))
            strategy = more.get("service", {}).get("strategy", "release")
            if not empty:
                subprocess.run(["cp", "-a", f"{installed[strategy]}/.", str(server.home)], check=True)
            box = Box(tmp_path, server, **more)
            box.write("v2")
            return box

        yield make


@pytest.fixture(params=[Maria, Postgres, Sqlite], ids=["mariadb", "postgres", "sqlite"])
def crm(request: pytest.FixtureRequest, boxes: Boxes, tmp_path: Path) -> Any:
    """A box with the database `crm`, of which there is a backup with `a` and `b`."""
    box = boxes(environ=request.param.passwords)
    place = request.param(box.home, tmp_path)
    box.databases = {"data": place.group() | {"names": {"crm": {}}}}
    box.configure()
    if isinstance(place, Sqlite):
        box.put("data/.keep", "")
        place.sql(TABLE)
        box.own(box.home / "data")
    says(box.run("db", "backup"), 0, "2 rows in 1 tables")
    place.sql("insert into people values (3, 'c');")
    place.sql("update people set name = 'B' where id = 2;")
    assert names(place) == "a B c"
    yield box, place
    place.close()

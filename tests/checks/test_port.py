"""Ports that are reached, refused or silent, asked from this machine and from a host."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.checks import port
from fairlead.checks.port import check_port, knock
from fairlead.model import PortCheck
from support.account import tools_without
from support.places import place
from support.ports import free_port


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def silent() -> Iterator[int]:
    """A port whose queue is full: it answers nobody, as one behind a firewall."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = []
        for _ in range(8):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(server.getsockname())
            waiting.append(client)
        yield server.getsockname()[1]
        for client in waiting:
            client.close()


@pytest.mark.parametrize("kind", ["", "ssh"], ids=["this machine", "a host"])
async def test_a_port_as_it_should_be_and_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listening: int, silent: int, kind: str
) -> None:
    monkeypatch.setattr(port, "PATIENCE", 1)
    rows = [
        (listening, True, "ok", "reaches "),
        (listening, False, "fail", ", and should not"),
        (silent, True, "fail", "nothing answers"),
        (silent, False, "ok", "nothing answers"),
        (free_port(), True, "fail", "it is refused"),
        (free_port(), False, "ok", "it is refused"),
    ]
    async with place(kind or "local", tmp_path) as here:
        for number, wanted, status, says in rows:
            check = PortCheck(
                subject="plesk", host="here" if kind else "", address="127.0.0.1", port=number, open=wanted
            )
            found = await check_port(check, here.hosts)
            assert (found.status, found.check, found.subject) == (status, "port", "plesk") and says in found.says, found
            assert bool(found.hint) is (status != "ok")


async def test_the_address_that_it_comes_from_is_told(tmp_path: Path, listening: int) -> None:
    async with place("local", tmp_path) as here:
        assert (await knock(here.hosts, "here", "127.0.0.1", listening)).source == "127.0.0.1"


async def test_a_name_that_leads_nowhere_is_not_knowing(tmp_path: Path) -> None:
    async with place("local", tmp_path) as here:
        check = PortCheck(subject="plesk", host="here", address="no-such-host.invalid", port=1, open=False)
        found = await check_port(check, here.hosts)
    assert found.status == "unknown" and "cannot be told" in found.says


TOOLS = {"without bash": ({"bash"}, "open"), "without either": ({"bash", "python3"}, "unknown")}


@pytest.mark.parametrize("case", TOOLS)
def test_what_it_is_asked_with(tmp_path: Path, listening: int, case: str) -> None:
    lacks, word = TOOLS[case]
    path = tools_without(tmp_path / "tools", lacks | {"python3"})
    if "python3" not in lacks:
        (tmp_path / "tools/python3").symlink_to(sys.executable)  # the one that is found may be a script for bash
    script = Path(port.__file__).with_name("port.sh").read_text().replace("PATH=$PATH:/usr/sbin:/sbin", f"PATH={path}")
    argv = [f"{path}/sh", "-c", script, "fairlead", "127.0.0.1", str(listening), "2"]
    told = subprocess.run(argv, env={"PATH": str(path)}, capture_output=True, text=True).stdout.splitlines()
    assert told[-1].split()[0] == word, told

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fairlead.errors import CallError, ConfigError, Unreachable
from fairlead.model import Account, Command
from fairlead.outside.connect import Hosts
from fairlead.outside.secrets import Secrets
from support.sshd import Sshd

TRUE = Command(argv=("true",))


async def test_each_account_is_opened_once_and_only_when_asked_for(tmp_path: Path) -> None:
    with Sshd(tmp_path) as sshd:
        accounts = {"a": sshd.account("a"), "b": sshd.account("b"), "l": Account(name="l", kind="local")}
        async with Hosts(accounts, sshd.secrets) as hosts:
            assert sshd.connections == 0
            got = await asyncio.gather(*(hosts.get("a") for _ in range(10)))
            assert len(set(map(id, got))) == 1 and sshd.connections == 1
            assert (await (await hosts.get("l")).run(TRUE)).ok and sshd.connections == 1
            assert (await (await hosts.get("b")).run(TRUE)).ok and sshd.connections == 2
        assert not sshd.running("cat")


async def test_through_another_account_in_one_connection_each(sshd: Sshd, tmp_path: Path) -> None:
    with Sshd(tmp_path) as bastion:
        for name in ("client", "client.pub"):
            (tmp_path / name).write_bytes((sshd.folder / name).read_bytes())
        (bastion.public / "authorized_keys").write_bytes((sshd.folder / "client.pub").read_bytes())
        accounts = {"inner": sshd.account("inner", via="bastion"), "bastion": bastion.account("bastion")}
        before = sshd.connections
        async with Hosts(accounts, sshd.secrets) as hosts:
            inner, outer = await asyncio.gather(hosts.get("inner"), hosts.get("bastion"))
            assert (await inner.run(TRUE)).ok and (await outer.run(TRUE)).ok
            assert (bastion.connections, sshd.connections - before) == (1, 1)


async def test_a_caller_that_gives_up_does_not_spoil_it_for_others(sshd: Sshd) -> None:
    async with Hosts({"a": sshd.account("a")}, sshd.secrets) as hosts:
        first = asyncio.create_task(hosts.get("a"))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(hosts.get("a"))
        await asyncio.sleep(0.01)
        first.cancel()
        assert (await (await second).run(TRUE)).ok


async def test_after_a_failure_the_next_call_tries_again(sshd: Sshd, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    account = sshd.account("a").model_copy(update={"known_hosts": str(known)})
    async with Hosts({"a": account}, sshd.secrets) as hosts:
        with pytest.raises(Unreachable, match="host key"):
            await hosts.get("a")
        known.write_bytes(sshd.known_hosts.read_bytes())
        assert (await (await hosts.get("a")).run(TRUE)).ok


async def test_closing_while_a_login_is_on_its_way(sshd: Sshd) -> None:
    hosts = Hosts({"a": sshd.account("a")}, sshd.secrets)
    opening = asyncio.create_task(hosts.get("a"))
    await asyncio.sleep(0.01)
    await hosts.aclose()
    with pytest.raises(asyncio.CancelledError):
        await opening


async def test_what_a_plan_knows_takes_the_place_of_what_the_file_says(tmp_path: Path) -> None:
    old, new = (Account(name="a", kind="local", home=str(tmp_path / home)) for home in ("old", "new"))
    for account in (old, new):
        Path(account.home).mkdir()
    async with Hosts({"a": old}, Sshd(tmp_path).secrets) as hosts:
        first = await hosts.get("a")
        hosts.know({"a": old, "b": new})
        assert await hosts.get("a") is first
        hosts.know({"a": new})
        results = [await (await hosts.get(name)).run(Command(argv=("pwd",))) for name in ("a", "b")]
        assert [r.stdout for r in results] == [f"{new.home}\n"] * 2


@pytest.mark.parametrize(
    ("name", "via", "kind", "error", "words"),
    [
        ("x", "", "ssh", CallError, "there is no host named x"),
        ("a", "b", "ssh", ConfigError, "hosts jump through each other in a ring: a -> b -> a"),
        ("a", "b", "local", ConfigError, "host a cannot jump through b: that one is local"),
        ("a", "c", "ssh", CallError, "there is no host named c"),
    ],
)
async def test_accounts_that_make_no_sense(name: str, via: str, kind: str, error: type[Exception], words: str) -> None:
    one = Account(name="a", kind="ssh", address="a", via=via)
    other = Account.model_validate({"name": "b", "kind": kind, "address": "b", "via": "a"})
    async with Hosts({"a": one, "b": other}, Sshd(Path("unused")).secrets) as hosts:
        with pytest.raises(error, match=words):
            await hosts.get(name)


async def test_paths_on_this_machine_are_meant_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    account = Account(name="here", kind="local", home="server")
    async with Hosts({"here": account}, Secrets(()), tmp_path) as hosts:
        host = await hosts.get("here")
        assert (await host.run(Command(argv=("pwd",)))).stdout.strip() == str(tmp_path / "server")

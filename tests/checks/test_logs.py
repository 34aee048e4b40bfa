"""Logs that are written, rotated, emptied and damaged between two looks, on accounts of both kinds."""

from __future__ import annotations

import gzip
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.checks import logs
from fairlead.checks.logs import Wanted, check_logs
from fairlead.checks.personal import KINDS, Rules
from fairlead.errors import NotReady
from fairlead.journal.store import Store
from fairlead.model import Command, Finding, Result
from support.places import Place, place

MAIL = "anna.planted@example.org"
IBAN = "AT611904300234573201"
QUIET = "GET /orders/4711 200\n"


@pytest.fixture(params=["local", "ssh"])
async def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with place(request.param, tmp_path) as found:
        (found.home / "logs").mkdir()
        yield found


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Place]:
    async with place("local", tmp_path) as found:
        (found.home / "logs").mkdir()
        yield found


@pytest.fixture
def store(tmp_path: Path) -> Any:
    made = Store(tmp_path / "history.db")
    yield made
    made.close()


async def look(at: Place, store: Store, *patterns: str, **more: Any) -> dict[str, tuple[str, str]]:
    """By file: status and sentence."""
    found = await findings(at, store, *patterns, **more)
    return {one.subject.removeprefix("here:"): (one.status, one.says) for one in found}


async def findings(at: Place, store: Store, *patterns: str, **more: Any) -> list[Finding]:
    wanted = Wanted(
        "here", patterns or ("logs/app.log",), more.get("rules", Rules()), more.get("failing", frozenset(KINDS))
    )
    return await check_logs(wanted, more.get("host", at.host), store, "production")


def write(at: Place, text: str | bytes, name: str = "app.log") -> Path:
    file = at.home / "logs" / name
    with file.open("ab") as opened:
        opened.write(text if isinstance(text, bytes) else text.encode())
    return file


def hand_over(at: Place) -> None:
    """What root has made there belongs to the account."""
    if at.user:
        for path in (at.home / "logs", *(at.home / "logs").rglob("*")):
            os.chown(path, (at.home).stat().st_uid, (at.home).stat().st_gid, follow_symlinks=False)


async def test_only_what_is_new_is_read(anywhere: Place, store: Store) -> None:
    write(anywhere, QUIET * 3)
    hand_over(anywhere)
    assert await look(anywhere, store) == {"logs/app.log": ("ok", "nothing personal in 3 lines")}
    write(anywhere, f"{QUIET}mail to {MAIL}\n")
    told = await look(anywhere, store)
    assert told == {"logs/app.log": ("fail", "1 e-mail address (line 5)")}


async def test_what_was_found_counts_until_it_is_gone(here: Place, store: Store) -> None:
    file = write(here, f"{MAIL}\n{QUIET}{IBAN} {MAIL}\n")
    for _ in range(2):
        assert (await look(here, store))["logs/app.log"] == ("fail", "2 e-mail addresses (line 1, 3), 1 IBAN (line 3)")
    cleaned = file.with_name("new")
    cleaned.write_text("x\n" + QUIET + "x\n")
    cleaned.rename(file)
    assert (await look(here, store))["logs/app.log"][1].startswith("nothing personal in 3 lines")
    assert await look(here, store) == {"logs/app.log": ("ok", "nothing personal in 3 lines")}


async def test_nothing_of_it_is_kept_or_told(here: Place, store: Store, tmp_path: Path) -> None:
    write(here, f"{MAIL} {IBAN} svnr 1237010180 +43 664 1234567 93.184.216.34\n{MAIL}")
    [found] = await findings(here, store)
    assert found.status == "fail"
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("history.db*"))
    for value in (MAIL, IBAN, "1237010180", "1234567", "93.184"):
        assert value not in found.to_json()
        assert value.encode() not in kept
    assert found.evidence["found"] == {"email": 2, "iban": 1, "svnr": 1, "phone": 1, "ip": 1}


async def test_a_line_that_is_still_being_written(here: Place, store: Store) -> None:
    write(here, QUIET + f"mail {MAIL[:10]}")
    assert (await look(here, store))["logs/app.log"][0] == "ok"
    write(here, f"{MAIL[10:]} sent")
    assert (await look(here, store))["logs/app.log"] == ("fail", "1 e-mail address (line 2)")
    write(here, "\n" + QUIET)
    assert (await look(here, store))["logs/app.log"] == ("fail", "1 e-mail address (line 2)")


async def test_a_file_that_is_rotated_is_read_to_its_end(anywhere: Place, store: Store) -> None:
    file = write(anywhere, QUIET)
    hand_over(anywhere)
    await look(anywhere, store)
    write(anywhere, f"{MAIL}\n")
    file.rename(file.with_name("app.log.1"))
    write(anywhere, QUIET)
    hand_over(anywhere)
    told = await look(anywhere, store)
    assert told == {
        "logs/app.log": ("ok", "nothing personal in 1 lines"),
        "logs/app.log.1": ("warn", "rotated: 1 e-mail address (line 2)"),
    }


async def test_rotated_files_that_were_never_asked_for_are_left_alone(here: Place, store: Store) -> None:
    write(here, f"{MAIL}\n", "app.log.1")
    write(here, QUIET)
    assert await look(here, store) == {"logs/app.log": ("ok", "nothing personal in 1 lines")}
    assert set(await look(here, store, "logs/*")) == {"logs/app.log", "logs/app.log.1"}


async def test_a_file_that_was_compressed_meanwhile_is_noticed(here: Place, store: Store) -> None:
    file = write(here, QUIET * 2)
    await look(here, store)
    file.with_name("app.log.1.gz").write_bytes(gzip.compress(f"{MAIL}\n".encode()))
    later = file.with_name("later")
    later.write_text(QUIET)
    file.unlink()
    later.rename(file)
    status, says = (await look(here, store))["logs/app.log"]
    assert (status, "was not seen" in says) == ("warn", True)
    assert (await look(here, store))["logs/app.log"][0] == "ok"


EMPTIED = {
    "shorter than before": QUIET,
    "longer than before": "something else\n" * 9,
    "as long as before": "x" * (len(QUIET) * 3 - 1) + "\n",
}


@pytest.mark.parametrize("text", EMPTIED.values(), ids=EMPTIED)
async def test_a_file_that_was_emptied_is_read_from_its_beginning(here: Place, store: Store, text: str) -> None:
    file = write(here, QUIET * 3)
    await look(here, store)
    file.write_text(f"{text}{MAIL}\n")
    status, says = (await look(here, store))["logs/app.log"]
    assert (status, "begun anew" in says) == ("fail", True)
    assert says.startswith(f"1 e-mail address (line {text.count(chr(10)) + 1})")


async def test_other_rules_mean_another_look(here: Place, store: Store) -> None:
    write(here, f"{MAIL}\n")
    assert (await look(here, store, rules=Rules(allow=("*@example.org",))))["logs/app.log"][0] == "ok"
    assert (await look(here, store))["logs/app.log"][0] == "fail"


async def test_what_is_only_counted_is_no_reason_to_stop(here: Place, store: Store) -> None:
    write(here, "93.184.216.34 GET /\n")
    assert (await look(here, store, failing=frozenset(KINDS) - {"ip"}))["logs/app.log"] == (
        "ok",
        "1 IP address (line 1)",
    )
    assert (await look(here, store))["logs/app.log"][0] == "fail"


async def test_files_by_pattern_with_odd_names(anywhere: Place, store: Store) -> None:
    write(anywhere, QUIET, "a b.log")
    write(anywhere, f"{MAIL}\n", "ü $(x) '.log")
    write(anywhere, b"\xff\xfe\x00 binary\n", "c.log")
    hand_over(anywhere)
    told = await look(anywhere, store, "logs/*.log")
    assert told["logs/ü $(x) '.log"] == ("fail", "1 e-mail address (line 1)")
    assert (told["logs/a b.log"][0], told["logs/c.log"][0], len(told)) == ("ok", "ok", 3)


async def test_no_file_is_no_yes(here: Place, store: Store) -> None:
    write(here, QUIET)
    told = await look(here, store, "logs/app.log", "logs/other*.log")
    assert told["logs/other*.log"] == ("unknown", "there is no such file")
    (here.home / "logs/packed.log.gz").write_bytes(gzip.compress(MAIL.encode()))
    told = await look(here, store, "logs/packed*")
    assert told["logs/packed*"] == ("unknown", "there is no such file but compressed ones, which are not looked at")


async def test_a_file_that_may_not_be_read_is_no_yes(tmp_path: Path, store: Store) -> None:
    async with place("ssh", tmp_path) as there:
        if not there.user:
            pytest.skip("everything may be read here")
        (there.home / "logs").mkdir(mode=0o755)
        write(there, QUIET).chmod(0o600)
        os.chown(there.home / "logs/app.log", 0, 0)
        assert (await look(there, store))["logs/app.log"] == ("unknown", "it may not be read")


async def test_much_is_read_in_parts(here: Place, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PART", 1000)
    write(here, (QUIET * 170 + f"{MAIL}\n") * 3 + "y" * 5000 + f" {MAIL}\n", "a.log")
    write(here, QUIET * 400, "b.log")
    told = await look(here, store, "logs/*.log")
    assert told["logs/a.log"] == ("fail", "4 e-mail addresses (line 171, 342, 513, 514)")
    assert told["logs/b.log"] == ("ok", "nothing personal in 400 lines")


async def test_too_much_for_one_look_goes_on_with_the_next(
    here: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "PART", 1000)
    monkeypatch.setattr(logs, "MOST", 3000)
    write(here, QUIET * 400)
    write(here, f"{MAIL}\n")
    seen = [(await look(here, store))["logs/app.log"] for _ in range(4)]
    assert [status for status, _ in seen] == ["unknown", "unknown", "fail", "fail"]
    assert "still to be looked through" in seen[0][1]


async def test_a_lost_store_means_another_look(here: Place, store: Store, tmp_path: Path) -> None:
    write(here, f"{MAIL}\n")
    await look(here, store)
    other = Store(tmp_path / "other.db")
    assert (await look(here, other))["logs/app.log"][0] == "fail"
    other.close()
    store.save_scan("production/here", next(iter(store.scans("production/here"))), "damaged")
    assert (await look(here, store))["logs/app.log"][0] == "fail"


class Odd:
    """A host that answers, but not what the script prints."""

    def __init__(self, at: Place, *answers: str | None) -> None:
        self.at, self.answers = at, list(answers)

    async def run(self, command: Command, *, stdin: bytes = b"") -> Result:
        answer = self.answers.pop(0) if self.answers else None
        return await self.at.host.run(command) if answer is None else Result(code=0, stdout=answer)


ODD = {
    "nothing": ("",),
    "half an answer": ("file 0 1:2 10 eA== bG9ncy9hcHAubG9n\n",),
    "no part": (None, "whole\n"),
    "a damaged part": (None, "part 1:2 !!!!\nwhole\n"),
    "a part that is not packed": (None, "part 1:2 aGVsbG8=\nwhole\n"),
}


@pytest.mark.parametrize("answers", ODD.values(), ids=ODD)
async def test_a_host_that_answers_oddly_is_no_yes(here: Place, store: Store, answers: Any) -> None:
    write(here, QUIET)
    with pytest.raises(NotReady):
        await look(here, store, host=Odd(here, *answers))


async def test_a_file_that_is_rotated_during_the_look(here: Place, store: Store) -> None:
    write(here, QUIET)
    told = await look(here, store, host=Odd(here, None, "moved 1:2 -\nwhole\n"))
    assert told["logs/app.log"][0] == "unknown"
    assert "during the look" in told["logs/app.log"][1]

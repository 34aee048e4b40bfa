"""A database that is lost while a release goes out: noticed, told from other causes, and answered by the way back."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from support.box import FREE, Box, ended, release, says, until
from support.live_data import Maria, Place, Postgres

Crm = tuple[Box, Any]
SERVERS = pytest.mark.parametrize("crm", [Maria, Postgres], indirect=True, ids=["mariadb", "postgres"])
WAITS = 'cp site/current/VERSION running; [ "$(cat running)" = v1 ] || { >mark; until [ -e go ]; do sleep 0.1; done; }'
NEW = {Maria: "alter user svc@'%' identified by 'another'", Postgres: "alter role svc password 'another'"}


def another_password(place: Place) -> None:
    """Somebody gives the service's account another one."""
    place.sql(NEW[type(place)])  # type: ignore[index]


def hangs(place: Any) -> None:
    """Whoever connects gets no answer, as behind a firewall that drops packets."""
    place.server.process.send_signal(signal.SIGSTOP)


LOSSES: dict[str, tuple[Callable[[Any], None], tuple[str, ...]]] = {
    "credentials": (another_password, ("access denied for", "refuses the password of")),
    "network": (hangs, ("no server greets there: it hangs", "no server answers there: it hangs")),
}


@SERVERS
@pytest.mark.parametrize("how", LOSSES)
def test_what_was_lost_is_told_from_other_causes(crm: Crm, how: str) -> None:
    box, place = crm
    lose, causes = LOSSES[how]
    box.service = release(on_switch={"run": ["sh", "-c", WAITS]})
    box.environment["services"] = {"site": {"host": "server", "path": "site", "databases": ["crm"]}}
    box.configure()
    try:
        with box.deploying() as process:
            until((box.home / "mark").exists, "the switch", 100)
            lose(place)
            (box.home / "go").touch()
            told = ended(process)
    finally:
        place.server.process.send_signal(signal.SIGCONT)
    says(told, 3, "the database crm was lost during the deployment: ")
    assert any(cause in told.text for cause in causes), told.text
    assert box.live()["VERSION"] == "v1\n" and box.lock() == FREE

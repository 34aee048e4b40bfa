from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fairlead.checks.looked import looked_at_all, within
from fairlead.engines import PROVISIONERS
from fairlead.engines.admin import Wish
from fairlead.model import Finding
from fairlead.outside.connect import Hosts
from fairlead.outside.secrets import Secrets


async def check_privileges(
    wishes: Sequence[Wish], hosts: Hosts, secrets: Secrets, *, limit: float = 60.0
) -> list[Finding]:
    """Can each service log in, do exactly what it is to, and nothing else? All groups at once, in their order.

    After `limit` seconds what a host has not answered is `unknown`.
    """

    async def ask(wish: Wish) -> list[Finding]:
        host = await hosts.get(wish.group.host)
        return await PROVISIONERS[wish.group.engine].privileges(host, wish, secrets)

    async def one(wish: Wish) -> list[Finding]:
        subjects = tuple(database.name for database in wish.chosen)
        return await looked_at_all("privileges", subjects, within(limit, ask(wish)))

    found = await asyncio.gather(*map(one, wishes))
    return [finding for several in found for finding in several]

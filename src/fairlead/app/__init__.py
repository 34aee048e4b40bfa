"""Everything a surface may import: takes words, returns models, prints and asks nothing.

What is heavy is imported when it is asked for: see `opening.opened`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from fairlead.app.opening import opened
from fairlead.app.tools import (
    add_to_summary,
    in_actions,
    json_schema,
    local_tools,
    read_plan,
    run_loop,
    write_backup_key,
    write_page,
    write_plan,
    write_starter,
)

if TYPE_CHECKING:
    from fairlead.app.announce import Announced
    from fairlead.app.facade import Fairlead
    from fairlead.app.ready import Readiness, Status
    from fairlead.journal.target import State as LockState
    from fairlead.plan.provision import Provision
    from fairlead.run.runner import DataWish

__all__ = [
    "Announced",
    "DataWish",
    "Fairlead",
    "LockState",
    "Provision",
    "Readiness",
    "Status",
    "add_to_summary",
    "in_actions",
    "json_schema",
    "local_tools",
    "opened",
    "read_plan",
    "run_loop",
    "write_backup_key",
    "write_page",
    "write_plan",
    "write_starter",
]

_LATER = {
    "Announced": "fairlead.app.announce:Announced",
    "DataWish": "fairlead.run.runner:DataWish",
    "Fairlead": "fairlead.app.facade:Fairlead",
    "LockState": "fairlead.journal.target:State",
    "Provision": "fairlead.plan.provision:Provision",
    "Readiness": "fairlead.app.ready:Readiness",
    "Status": "fairlead.app.ready:Status",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, word = _LATER[name].partition(":")
    return getattr(importlib.import_module(module), word)

"""Everything a surface may import: takes words, returns models, prints and asks nothing."""

from fairlead.app.announce import Announced
from fairlead.app.facade import Fairlead
from fairlead.app.ready import Readiness, Status
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
    "read_plan",
    "run_loop",
    "write_backup_key",
    "write_page",
    "write_plan",
    "write_starter",
]

"""The errors a person may meet, drawn before they are coded.

FairleadError                              exit code
├── CallError      the call is wrong                2
├── ConfigError    fairlead.yml is wrong            2
├── NotReady       a check said no                  1
│   └── Unreachable    a host did not answer        1
├── CameBack       failed, everything is as before  3
├── Halted         a human is needed                4
│   ├── Damaged        the record cannot be read    4
│   └── Lost           a connection broke midway    4
└── Refused        it must not start                5
    ├── Busy           somebody else holds the lock 5
    ├── OpenRun        an unfinished run is in the way 5
    ├── Fenced         somebody took over           5
    └── Moved          the ground under a plan moved 5

`what` is one sentence in lower case without a full stop; `hint` is the next thing to type or to look at.
"""

from __future__ import annotations


class FairleadError(Exception):
    """Base of every error that is told to a person instead of shown as a traceback."""

    exit_code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what, self.hint = what, hint

    def __str__(self) -> str:
        return self.what


class CallError(FairleadError):
    """The command was called in a way that cannot work."""

    exit_code = 2


class ConfigError(FairleadError):
    """fairlead.yml is wrong; `what` holds one line for each problem, each with file, line and column."""

    exit_code = 2


class NotReady(FairleadError):
    """A check said no, or could not say yes."""

    exit_code = 1


class Unreachable(NotReady):
    """A host or a program on it did not answer; nothing was run there."""


class CameBack(FairleadError):
    """The deployment failed, and everything was proven to be as it was."""

    exit_code = 3


class Halted(FairleadError):
    """Going on or back would make it worse, or could not be proven: a human is needed."""

    exit_code = 4


class Damaged(Halted):
    """The record on the target is not one that a run can have written."""


class Lost(Halted):
    """The connection broke while a command may have been running: whether it ran is not known."""


class Refused(FairleadError):
    """It must not start now."""

    exit_code = 5


class Busy(Refused):
    """Somebody else holds the lock and their lease is not over."""


class OpenRun(Refused):
    """An earlier run was not finished."""


class Fenced(Refused):
    """Somebody with a higher token took over: this process must not change anything any more."""


class Moved(Refused):
    """What the plan was made for is no longer what is there."""

"""What the target's script answers: typed answers, and refusals as errors that say more than their base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fairlead.errors import Busy, Fenced, Halted, OpenRun
from fairlead.model import Receipt, RecordLine, Where


class HeldBy(Busy):
    """Somebody else holds the lock; `seconds` are left of their lease."""

    def __init__(self, what: str, hint: str = "", *, who: str = "", seconds: int = 0, run: str = "") -> None:
        super().__init__(what, hint)
        self.who, self.seconds, self.run = who, seconds, run


class OpenRunOf(OpenRun):
    """Another run is open than the one that was asked for: `run`, or `-` when none is."""

    def __init__(self, what: str, hint: str = "", *, run: str = "-") -> None:
        super().__init__(what, hint)
        self.run = run


class FencedBy(Fenced):
    """The lock or the fence is not ours: `token` stands there.

    A holder who meets it while raising may go above it: `acquire("anew", ..., minimum=token)`.
    """

    def __init__(self, what: str, hint: str = "", *, token: int = 0) -> None:
        super().__init__(what, hint)
        self.token = token


class TooLate(Halted):
    """The host's clock has passed the moment up to which the change could have begun; it has not begun."""


class Stuck(Halted):
    """Older changes could not be ended; the fence stays closed. `stragglers`: each `pg/CHANGE:PID`, or `gate`."""

    def __init__(self, what: str, hint: str = "", *, stragglers: tuple[str, ...] = ()) -> None:
        super().__init__(what, hint)
        self.stragglers = stragglers


@dataclass(frozen=True)
class Acquired:
    """The lock is ours."""

    token: int
    run: str
    fresh: bool
    """False: we had it already, and only the answer was lost."""
    now: int
    """Unix time by the host's clock, before the lease was written."""
    idle: float = 0.0
    """Seconds for which nobody had held the lock: whole ones, so that it was longer. 0 = not known."""


@dataclass(frozen=True)
class Raised:
    """Nothing of a lower token runs on the host, and nothing can begin."""

    signals: int
    """How many were sent to end what was still running."""
    now: int


@dataclass(frozen=True)
class Done:
    """A change that ran and has ended."""

    rc: int
    output: str
    """Both of its outputs, as they came."""
    now: int
    left: bool = False
    """Something of it is still running in its session."""
    ended: bool = False
    """It was over its time, or the line was lost: it was ended."""


@dataclass(frozen=True)
class Saw:
    """A change that was not begun, since its probe did not say `before`."""

    where: Where


@dataclass(frozen=True)
class State:
    """What an account knows of an environment. `token` 0 and `run` `-` where there is nothing yet."""

    token: int = 0
    status: Literal["held", "free"] = "free"
    nonce: str = "-"
    run: str = "-"
    """The open run, `-` = none."""
    who: str = "-"
    lease_token: int = 0
    lease_end: int = 0
    """By the host's clock, as `now` is."""
    fence: int = 0
    fence_state: Literal["closed", "open"] = "open"
    now: int = 0
    receipts: tuple[Receipt, ...] = ()
    """The last thousand, oldest first."""
    record: bytes = b""

    @property
    def lease_left(self) -> int:
        """Seconds for which the holder still holds it; 0 when anybody may take it."""
        held = self.status == "held" and self.lease_token == self.token
        return max(0, self.lease_end - self.now) if held else 0


@dataclass(frozen=True)
class RunHead:
    """A record as the list shows it."""

    run: str
    size: int
    """Bytes."""
    first: RecordLine | None
    last: RecordLine | None
    """None when the last line is torn: read the whole record."""

"""How a new version takes over: specification and artifact become steps and checks. Nothing here acts.

A strategy is a module with the functions of `Strategy`, and a row in `STRATEGIES`; its word stands also in
config/service.py. `verify_only` has none: nothing of it is ever planned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from fairlead.config import HostSpec, ServiceSpec
from fairlead.model import Check, Command, ServiceChange, Step, Tree
from fairlead.strategies import in_place, release

F = TypeVar("F")


class Strategy(Protocol[F]):
    """What plan/ asks of a way to bring out a service; `F` is what the way has to know of a service's place.

    `F.current` is the release that is live there, empty = none; `F.unnamed` are releases that do not tell their id.
    """

    def look(self, service: ServiceSpec, /) -> Command:
        """The command that finds out what lies there. It changes nothing."""
        ...

    def wants(self, tree: Tree | None, /) -> bytes:
        """What that command reads on standard input, where `tree` is to be brought out."""
        ...

    def read(self, stdout: str, /) -> F:
        """Parse its answer. Raises ValueError or KeyError where it is not whole."""
        ...

    def refuse(self, service: ServiceSpec, found: F, tree: Tree | None, /) -> None:
        """Raise NotReady with everything that stands in the way."""
        ...

    def lives(self, tree: Tree, found: F, /) -> bool:
        """There is nothing to do: this release is live."""
        ...

    def change(self, service: ServiceSpec, tree: Tree, version: str, found: F, /) -> ServiceChange:
        """What the release means for the service, file by file."""
        ...

    def steps(self, service: ServiceSpec, host: HostSpec, tree: Tree, found: F, /) -> tuple[Step, ...]:
        """All steps that make it live, in order."""
        ...

    def staged(self, service: ServiceSpec, change: ServiceChange, found: F, /) -> tuple[Check, ...]:
        """What must hold when everything is staged, before the first activation."""
        ...

    def standing(self, service: ServiceSpec, change: ServiceChange, /) -> tuple[Check, ...]:
        """What must hold after the way back, beside health and identity."""
        ...

    def fence(self, service: ServiceSpec, host: HostSpec, /, *, on: bool) -> tuple[Step, ...]:
        """Keep the live release from writing, or let it write again, whichever release it is; empty = it cannot."""
        ...

    def back(
        self, service: ServiceSpec, host: HostSpec, undone: ServiceChange, found: F, /
    ) -> tuple[ServiceChange, tuple[Step, ...], tuple[Check, ...]]:
        """Take a finished change back: what that means, its steps, and what must hold before the first of them."""
        ...


STRATEGIES: Mapping[str, Strategy[Any]] = {"release": release, "in_place": in_place}
"""Strategies by their word in fairlead.yml; a new one is one file, one row here and one in config/service.py."""

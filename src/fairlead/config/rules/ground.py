from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from fairlead.config.document import Document
from fairlead.config.file import File
from fairlead.config.installation import Installation
from fairlead.config.problems import Path, Problem, closest
from fairlead.config.service import ServiceEntry, ServiceSpec
from fairlead.config.types import NAME


@dataclass(frozen=True)
class Ground:
    """What rules look at: the file as written and as resolved, as far as its parts are right."""

    document: Document
    file: File
    installation: Installation
    settings: Mapping[str, Path]
    """Every setting that the file asks for, and where."""

    def problem(self, path: Path, what: str, hint: str = "") -> Problem:
        """A problem at its place in the file."""
        return Problem(self.document.mark(path), path, what, hint)

    def unknown(self, path: Path, name: str, *section: str) -> Iterator[Problem]:
        """A problem if `section` has no such name. A broken section is not asked; what is no name is said elsewhere."""
        known = self.document.names(*section)
        if re.fullmatch(NAME, name) and known is not None and name not in known:
            yield self.problem(path, f"`{name}` is not in `{'.'.join(section)}`", closest(name, known))

    def services(self) -> Iterator[tuple[str, ServiceSpec]]:
        """Every service with the name of its environment."""
        for environment in self.installation.environments.values():
            for service in environment.services.values():
                yield environment.name, service

    def written(self) -> Iterator[tuple[Path, ServiceEntry]]:
        """Every place where keys of a service are written."""
        for name, entry in self.file.services.items():
            yield ("services", name), entry
        for environment, given in self.file.environments.items():
            for name, placed in given.services.items():
                yield ("environments", environment, "services", name), placed

    def spot(self, environment: str, service: str, *keys: str | int) -> Path:
        """Where a key of a service is written: for its environment or for all; else the service's own place."""
        placed: Path = ("environments", environment, "services", service)
        for path in ((*placed, *keys), ("services", service, *keys)):
            if path[: -len(keys) + 1 or None] in self.document.places:
                return path
        return placed


Rule = Callable[[Ground], Iterator[Problem]]

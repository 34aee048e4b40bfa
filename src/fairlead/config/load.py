from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from fairlead.config.database import DatabaseSpec, GroupSpec, database_spec, group_spec
from fairlead.config.document import Document, compose
from fairlead.config.environment import environment_spec
from fairlead.config.explain import explain
from fairlead.config.file import FORMAT, File
from fairlead.config.host import host_spec
from fairlead.config.installation import Installation
from fairlead.config.problems import Path, Problem, refusal
from fairlead.config.rules import Ground, broken_rules
from fairlead.config.settings import Filling
from fairlead.config.source import source

_EMPTY = {"fairlead": FORMAT, "project": "unknown"}


def parse(text: str | bytes, name: str = "fairlead.yml") -> Document:
    """Read the YAML and its `sources`, which settings come from. Raises ConfigError; every line has a position."""
    document = compose(text, name)
    filling = Filling(document, {})
    given = {key: value for key, value in filling.data.items() if key == "sources"}
    problems = [problem for problem in filling.problems if problem.path[0] == "sources"]
    file, found = _validated({**_EMPTY, **given}, document, filling)
    if problems or found:
        # Without sources no setting is known: say what else is wrong, but not that settings are missing.
        _, others = _validated(filling.data, document, filling)
        raise refusal(name, [*problems, *others])
    return replace(document, sources=tuple(map(source, file.sources)), settings=tuple(filling.used))


def load(document: Document, settings: Mapping[str, str]) -> Installation:
    """Resolve everything and check it as a whole. Raises ConfigError with all problems, one a line."""
    filling = Filling(document, settings)
    file, problems = _validated(filling.data, document, filling)
    installation = _resolved(file, document)
    problems += [*filling.problems, *broken_rules(Ground(document, file, installation, filling.used))]
    if problems:
        raise refusal(document.name, problems)
    return installation


def _validated(data: dict[str, Any], document: Document, filling: Filling) -> tuple[File, list[Problem]]:
    """The file as far as it is right, and what is wrong with the rest; not again what could not be filled."""
    try:
        file, found = File.model_validate(data), list[Problem]()
    except ValidationError as error:
        file, found = File.model_validate(_EMPTY), list(explain(error, data, document))
    broken = {problem.path for problem in found} | filling.unset
    if broken:
        file = _rest(data, broken, document)
    return file, [problem for problem in found if problem.path not in filling.unset]


def _rest(data: dict[str, Any], broken: Iterable[Path], document: Document) -> File:
    """The file without what is wrong in it, so that the rest can still be checked as a whole."""
    while broken:
        for path in broken:
            _remove(data, _owner(path))
        try:
            return File.model_validate({**_EMPTY, **data})
        except ValidationError as error:
            broken = {problem.path for problem in explain(error, data, document)} - {()}
    return File.model_validate(_EMPTY)


def _owner(path: Path) -> Path:
    """What stands and falls with a value: a host, a database or group, a service, a key of an environment."""
    section, inner = path[:1], path[2:3]
    if inner in (("names",), ("services",)) and section in (("databases",), ("environments",)):
        return path[:4]
    if section == ("environments",):
        return path[:3]
    return path[:2] if section in (("hosts",), ("databases",), ("services",)) else section


def _remove(data: Any, path: Path) -> None:
    for part in path[:-1]:
        data = data.get(part) if isinstance(data, dict) else None
    if path and isinstance(data, dict):
        data.pop(path[-1], None)


def _resolved(file: File, document: Document) -> Installation:
    names = document.names("environments")
    only = names[0] if names and len(names) == 1 else ""
    groups = {name: group_spec(name, entry) for name, entry in file.databases.items()}
    hosts = {name: host_spec(name, entry) for name, entry in file.hosts.items()}
    return Installation(
        project=file.project,
        sources=tuple(map(source, file.sources)),
        hosts=hosts,
        groups=groups,
        databases=tuple(_databases(file, groups, only)),
        environments={
            name: environment_spec(name, entry, file.services, tuple(hosts))
            for name, entry in file.environments.items()
        },
    )


def _databases(file: File, groups: dict[str, GroupSpec], only: str) -> Iterable[DatabaseSpec]:
    for group, entry in file.databases.items():
        for name in entry.names:
            yield database_spec(name, groups[group], entry, only)

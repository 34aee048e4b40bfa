from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from fairlead.config.database import DatabaseSpec, GroupSpec, database_spec, group_spec
from fairlead.config.document import Document, compose
from fairlead.config.environment import environment_spec, with_logins
from fairlead.config.explain import UNKNOWN_KEY, explain
from fairlead.config.file import FORMAT, File
from fairlead.config.github import github_spec
from fairlead.config.host import host_spec
from fairlead.config.installation import Installation
from fairlead.config.problems import Path, Problem, refusal
from fairlead.config.rules import Ground, broken_references, broken_rules
from fairlead.config.settings import Filling
from fairlead.config.source import source

_EMPTY = {"fairlead": FORMAT, "project": "unknown"}


def parse(text: str | bytes, name: str = "fairlead.yml") -> Document:
    """Read the YAML and its `sources`, which settings come from. Raises ConfigError; every line has a position."""
    document = compose(text, name)
    filling = Filling(document, {})
    given = {key: value for key, value in filling.data.items() if key == "sources"}
    problems = [problem for problem in filling.problems if problem.path[0] == "sources"]
    try:
        file = File.model_validate({**_EMPTY, **given})
    except ValidationError:
        file = None
    if problems or file is None:
        # Without sources no setting is known: say what else is wrong, but not that settings are missing.
        raise refusal(name, [*problems, *_read(document, filling)[1]])
    return replace(document, sources=tuple(map(source, file.sources)), settings=tuple(filling.used))


def load(document: Document, settings: Mapping[str, str]) -> Installation:
    """Resolve everything and check it as a whole. Raises ConfigError with all problems, one a line."""
    filling = Filling(document, settings)
    installation, problems = _read(document, filling)
    if problems or filling.problems:
        raise refusal(document.name, [*filling.problems, *problems])
    return installation


def _read(document: Document, filling: Filling) -> tuple[Installation, list[Problem]]:
    """The installation and what is wrong with it, beside what could not be filled."""
    data, found = filling.data, list[Problem]()
    try:
        named = whole = File.model_validate(data)
    except ValidationError as error:
        found = list(explain(error, data, document))
    if broken := {problem.path for problem in found} | filling.unset:
        # Names can still be looked up when wrong keys are taken out; other rules need parts with all their keys.
        named = _rest(data, map(_key, broken), document)
        whole = _rest(data, map(_owner, broken), document)
    ground = Ground(document, whole, _resolved(whole, document), filling.used)
    names = Ground(document, named, _resolved(named, document), filling.used)
    problems = [problem for problem in found if problem.path not in filling.unset or problem.what == UNKNOWN_KEY]
    return ground.installation, [*problems, *broken_references(names), *broken_rules(ground)]


def _rest(data: dict[str, Any], taken: Iterable[Path], document: Document) -> File:
    """The file with some paths taken out of it, and whatever cannot be without them."""
    for _ in range(8):  # at most as often as keys are nested; what is still wrong then takes everything with it
        for path in taken:
            _remove(data, path)
        try:
            return File.model_validate({**_EMPTY, **data})
        except ValidationError as error:
            taken = [_key(problem.path)[:-1] for problem in explain(error, data, document)]
    return File.model_validate(_EMPTY)


def _key(path: Path) -> Path:
    """The key that a value belongs to: items of lists are taken out with their list, so that no other item moves."""
    return tuple(part for number, part in enumerate(path) if not any(isinstance(p, int) for p in path[: number + 1]))


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
    databases = tuple(_databases(file, groups, only))
    return Installation(
        project=file.project,
        sources=tuple(map(source, file.sources)),
        hosts=hosts,
        groups=groups,
        databases=databases,
        environments={
            name: with_logins(environment_spec(name, entry, file.services, tuple(hosts)), databases)
            for name, entry in file.environments.items()
        },
        backup_metadata=file.backup_metadata or "",
        github=github_spec(file.github) if file.github else None,
    )


def _databases(file: File, groups: dict[str, GroupSpec], only: str) -> Iterable[DatabaseSpec]:
    for group, entry in file.databases.items():
        for name in entry.names:
            yield database_spec(name, groups[group], entry, only)

"""Docroots that hold other services, and what is kept beside them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fairlead.config import ServiceSpec, load, parse
from fairlead.errors import ConfigError


def loaded(environments: dict[str, Any], **services: Any) -> dict[str, ServiceSpec]:
    source = {"folder": "x"}
    names = {name for placed in environments.values() for name in placed}
    document = {
        **{"fairlead": 1, "project": "p", "hosts": {"here": {"connect": "local"}}},
        "services": {n: {"strategy": "in_place", "source": source, **services.get(n, {})} for n in sorted(names)},
        "environments": {
            name: {"services": {n: {"host": "here", **place} for n, place in placed.items()}}
            for name, placed in environments.items()
        },
    }
    return dict(load(parse(json.dumps(document)), {}).environments["a"].services)


def test_whoever_lies_in_a_docroot_is_protected_and_kept_beside_the_same() -> None:
    services = loaded({"a": {"site": {"path": "httpdocs"}, "games": {"path": "httpdocs/x/games"}}})
    assert services["site"].protected == ("x/games",)
    assert (services["site"].beside, services["games"].beside) == ("httpdocs.fairlead", "httpdocs.fairlead")


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "one docroot for two": ({"a": {"s": {"path": "d"}, "t": {"path": "d"}}}, {}, "is the folder of `s`"),
    "inside a release": (
        {"a": {"s": {"path": "d"}, "t": {"path": "d/t"}}},
        {"s": {"strategy": "release"}},
        "is inside or around the folder of `s`",
    ),
    "inside another environment's": (
        {"a": {"s": {"path": "d"}}, "b": {"t": {"path": "d/t"}}},
        {},
        "is inside or around",
    ),
    "beside is served": ({"a": {"s": {"path": "d", "beside": "d/.fl"}}}, {}, "would lie inside or around `s`"),
    "beside is another environment's": (
        {"a": {"s": {"path": "d", "beside": "x"}}, "b": {"t": {"path": "e", "beside": "x"}}},
        {},
        "is used by a too",
    ),
    "shared": ({"a": {"s": {"path": "d"}}}, {"s": {"shared": ["uploads/"]}}, "is not for `in_place`"),
    "beside a release": (
        {"a": {"s": {"path": "d", "beside": "x"}}},
        {"s": {"strategy": "release"}},
        "is only for `in_place`",
    ),
}


@pytest.mark.parametrize("row", REFUSED)
def test_what_is_refused(row: str) -> None:
    environments, services, says = REFUSED[row]
    with pytest.raises(ConfigError, match=says) as error:
        loaded(environments, **services)
    assert error.value.what.startswith("fairlead.yml:1:")

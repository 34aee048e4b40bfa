"""The examples are manual, fixture and schema test in one."""

from __future__ import annotations

import time
from importlib.resources import files
from typing import Any

import pytest
from pydantic import BaseModel

from fairlead.config import Installation, load, parse
from fairlead.config.document import Document, compose
from fairlead.config.explain import _inside, _is_model, _kinds
from fairlead.config.file import File
from fairlead.model import SecretRef
from fairlead.model.base import meanings

EXAMPLES = {
    name: (files("fairlead.config") / "examples" / f"{name}.yml").read_text("utf-8") for name in ("starter", "plesk")
}


def plesk(**settings: str) -> Installation:
    return load(parse(EXAMPLES["plesk"]), settings)


def declared(model: Any = File) -> set[tuple[str, str]]:
    """Every key of every model that the file is made of."""
    found = set[tuple[str, str]]()
    for name, field in model.model_fields.items():
        found.add((model.__name__, field.alias or name))
        for inner in _models(_kinds(field.annotation)):
            found |= declared(inner)
    return found


def _models(kinds: list[Any]) -> list[type[BaseModel]]:
    models = []
    for kind in kinds:
        models += [kind] if _is_model(kind) else _models(_inside(kind, 0))
    return models


def shown(document: Document) -> set[tuple[str, str]]:
    """Every key that the document gives, with the model it belongs to."""
    found = set[tuple[str, str]]()
    for path in document.keys:
        kinds: list[Any] = [File]
        for part in path[:-1]:
            kinds = [inner for kind in kinds for inner in _inside(kind, part)]
        for model in filter(_is_model, kinds):
            keys = {key.alias or name for name, key in model.model_fields.items()}
            found |= {(model.__name__, str(path[-1]))} if path[-1] in keys else set()
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_loads_with_nothing_set(name: str) -> None:
    load(parse(EXAMPLES[name]), {})


def test_every_key_is_shown() -> None:
    both = set().union(*(shown(compose(text, name)) for name, text in EXAMPLES.items()))
    # What a service is may be given again for one environment: such a key is shown once, where it belongs.
    both |= {("PlacedEntry", key) for model, key in both if model == "ServiceEntry"}
    assert sorted(declared() - both) == []


def test_every_key_explains_itself() -> None:
    seen = list(_all_models(File))
    assert len(seen) > 15
    silent = [
        f"{model.__name__}.{name}" for model in seen for name in model.model_fields if not meanings(model).get(name)
    ]
    assert silent == []


def _all_models(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = {model}
    for field in model.model_fields.values():
        for inner in _models(_kinds(field.annotation)):
            found |= _all_models(inner)
    return found


def test_the_specifications_installation() -> None:
    installation = plesk()
    production, staging = installation.environments["production"], installation.environments["staging"]
    assert list(production.services) == ["api", "crm", "frontend", "games", "admin", "n8n", "website"]
    assert list(staging.services) == ["api", "admin"]
    assert {name: len(group.databases) for name, group in installation.groups.items()} == {
        "plesk": 5,
        "external": 9,
        "postgres": 3,
    }
    assert [database.name for database in installation.databases_of("staging")] == ["api_stg", "admin_stg"]
    assert {database.name for database in installation.databases if database.personal} == {
        "crm",
        "consent",
        "newsletter",
        "games",
        "support",
        "hooks",
    }
    sealed = {name for name, group in installation.groups.items() if group.store.encrypt}
    assert {database.group for database in installation.databases if database.personal} == sealed
    crm = installation.database("crm")
    assert (crm.database, crm.user, crm.password) == ("mo_crm", "svc_crm", SecretRef(name="MO_CRM_DB_PASS"))
    assert production.services["website"].strategy == "verify_only"
    assert installation.groups["plesk"].limit == 5


def test_nothing_is_shared_between_its_environments() -> None:
    production, staging = plesk().environments.values()
    for key in ("path", "unit", "port", "url"):
        values = [{getattr(service, key) for service in one.services.values()} for one in (production, staging)]
        assert values[0] & values[1] <= {"", None}


def test_settings_take_the_place_of_its_defaults() -> None:
    account = plesk(PLESK_HOST="10.0.0.7", PLESK_PORT="2222", PLESK_USER="anna").hosts["plesk"].account
    assert (account.address, account.port, account.user) == ("10.0.0.7", 2222, "anna")


def test_equal_texts_are_equal_installations() -> None:
    assert plesk() == plesk()
    assert plesk().to_json() == plesk().to_json()
    assert Installation.model_validate_json(plesk().to_json()) == plesk()
    assert plesk() != plesk(PLESK_USER="anna")


def test_loading_is_fast() -> None:
    def once() -> float:
        begun = time.process_time()  # a busy machine is not our slowness
        plesk()
        return time.process_time() - begun

    assert min(once() for _ in range(9)) < 0.040

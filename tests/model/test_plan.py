"""A plan is text: both ways, in one form, with one hash; what is approved is what is carried out."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from fairlead.model import (
    Account,
    Command,
    CommandCheck,
    Difference,
    HttpCheck,
    Plan,
    Run,
    SecretRef,
    ServiceChange,
    Step,
    TreeCheck,
    Upload,
    WatchTarget,
    shell,
)

LOOK = Command(argv=("true",))


def step(name: str, phase: str = "activate", back: str = "reversible", **more: object) -> Step:
    given = {"id": name, "title": name, "host": "here", "phase": phase, "back": back, "do": Run(command=LOOK)}
    return Step.model_validate({**given, "probe": LOOK, "undo": LOOK, **more})


def plan(**more: object) -> Plan:
    http = HttpCheck(subject="api", url="http://x/", headers={"A": SecretRef(name="TOKEN"), "B": "b"})
    tree = TreeCheck(subject="api", host="here", path="p", tree="0" * 12)
    asked = CommandCheck(subject="api", host="here", command=shell('echo "$1"', "ü\n$(x)"))
    upload = Upload(artifact="a" * 64, to="there", files=1, size=2)
    given: dict[str, object] = {
        "kind": "deploy",
        "project": "p",
        "environment": "e",
        "lock_host": "here",
        "accounts": {"here": Account(name="here", kind="local", key=SecretRef(name="KEY"))},
        "services": (ServiceChange(service="api", host="here", strategy="release", after="b" * 12),),
        "steps": (step("up", "stage", do=upload), step("api.switch"), step("api.prune", "close", "no")),
        "staged": (tree,),
        "proven": {"api": (http, tree, asked)},
        "watch": (WatchTarget(service="api", checks=(http,)),),
    }
    return Plan.model_validate({**given, **more})


def test_json_both_ways() -> None:
    text = plan().to_json()
    again = Plan.model_validate_json(text)
    assert again == plan()
    assert again.to_json() == text
    assert again.hash == plan().hash
    assert Plan.model_validate(json.loads(text)).hash == plan().hash


PROGRAM = "# ü\n" + "print('a program')\n" * 3000


def of_programs(number: int) -> Plan:
    """As many databases have the same programs in their commands."""
    probe = Command(argv=("python3", "-c", PROGRAM, "probe"))
    words = {"probe": probe, "undo": Command(argv=("sh", "-c", "x", PROGRAM)), "do": Run(command=shell(PROGRAM))}
    return plan(steps=tuple(step(f"db-{one}", **words) for one in range(number)))


def test_a_long_argument_stands_once_however_many_commands_have_it() -> None:
    made = of_programs(50)
    text = made.to_json()
    assert len(text) < 2 * len(PROGRAM)
    again = Plan.model_validate_json(text)
    assert (again, again.hash, again.to_json()) == (made, made.hash, text)
    assert again.steps[49].probe.argv[2] == PROGRAM
    assert Plan.model_validate_json(made.model_dump_json()) == made, "and one in which nothing was moved is read too"


@pytest.mark.parametrize("damage", ["is gone", "is another one", "is no text", "are no mapping"])
def test_a_plan_whose_long_arguments_are_damaged_is_refused(damage: str) -> None:
    told = json.loads(of_programs(2).to_json())
    (name,) = told["texts"]
    others = {"is gone": {}, "is another one": {name: "rm -rf /"}, "is no text": {name: 5}, "are no mapping": []}
    with pytest.raises(ValidationError):
        Plan.model_validate({**told, "texts": others[damage]})


def test_the_text_is_ascii_and_sorted() -> None:
    text = plan().to_json()
    assert text.isascii()
    assert "\n" not in text
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_the_hash_does_not_depend_on_the_order_of_keys_in_a_mapping() -> None:
    one, other = Account(name="a", kind="local"), Account(name="b", kind="local")
    assert plan(accounts={"a": one, "b": other}).hash == plan(accounts={"b": other, "a": one}).hash


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_the_hash_is_the_same_in_another_process(seed: str) -> None:
    code = "import sys; from fairlead.model import Plan; print(Plan.model_validate_json(sys.stdin.read()).hash)"
    environ = {**os.environ, "PYTHONHASHSEED": seed}
    said = subprocess.run([sys.executable, "-c", code], input=plan().to_json(), text=True, env=environ, stdout=-1)
    assert said.stdout.strip() == plan().hash


CHANGES = {
    "another environment": {"environment": "f"},
    "another lock host": {"lock_host": "there"},
    "other steps": {"steps": (step("api.switch"),)},
    "the steps in another order": {"steps": tuple(reversed(plan().steps))},
    "another undo": {"steps": (*plan().steps[:1], step("api.switch", undo=shell("exit 1")), *plan().steps[2:])},
    "a remark less": {"remarks": ("data stays",)},
    "a check less": {"proven": {}},
    "files": {"services": (plan().services[0].model_copy(update={"files": Difference(added=("x",))}),)},
    "another account": {"accounts": {}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_everything_in_it_is_part_of_what_is_approved(change: str) -> None:
    assert plan(**CHANGES[change]).hash != plan().hash


def test_the_way_back_is_the_reverse_without_what_stays() -> None:
    steps = (
        step("backup", "stage", "stays"),
        step("up", "stage"),
        step("a"),
        step("b", back="by_data"),
        step("c", "close"),
    )
    made = plan(steps=steps)
    assert [one.id for one in made.way_back] == ["b", "a", "up"]
    assert made.way_back_hash != plan(steps=(*steps[:2], step("a", undo=shell("exit 1")), *steps[3:])).way_back_hash


def test_hosts_are_the_lock_host_and_those_of_steps_each_once() -> None:
    assert plan(lock_host="z", steps=(step("a"), step("b", host="other"), step("c"))).hosts == ("z", "here", "other")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', "null"], ids=repr)
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Plan.model_validate_json(text)


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="shell"):
        Plan.model_validate({**json.loads(plan().to_json()), "shell": "rm"})


def test_a_plan_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        plan().environment = "other"  # type: ignore[misc]

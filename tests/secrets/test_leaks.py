"""No secret of a whole story is anywhere but in its source: not in arguments, environments, files or outputs.

`make prove` tells more of it (`prove/secrets.py`): every act, over ssh and locally, and more planted leaks.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.acts import QUICK
from support.leaks import Story
from support.planted import PLANTED, plant
from support.rows import some_long


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with Story("ssh") as told:
        for act in QUICK:
            act(told)
        yield told


@pytest.mark.timeout(600)  # the whole story is told first, under strace
def test_no_secret_gets_out(story: Story) -> None:
    search = story.search()
    assert search.hits == []
    assert search.looked > 1_000_000


def test_the_search_has_seen_both_ends(story: Story) -> None:
    seen = {(where, program.name.rpartition("/")[2]) for where, program in story.programs()}
    assert {name for where, name in seen if where == "trace sshd"} >= {"sh", "python3", "rsync"}
    assert {name for where, name in seen if where != "trace sshd"} >= {"sh", "ssh", "rsync", "cat"}


def test_key_files_are_for_their_owner_only_and_soon_gone(story: Story) -> None:
    assert story.key_modes == {(0o700, 0o600)}
    assert list((story.folder / "t").iterdir()) == []


@pytest.mark.parametrize("name", some_long(["a key on the command line", "a plan that holds values"], every=2))
def test_a_planted_leak_is_found(story: Story, name: str) -> None:
    before = set(story.search().hits)
    plant(story, PLANTED[name])
    assert PLANTED[name].found(set(story.search().hits) - before)

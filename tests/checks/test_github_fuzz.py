"""Whatever happens to GitHub's answers on the way: no traceback, and no yes that the whole answers would not have had.

What is done to them is damage, not a lie: an answer that says something else in the right words cannot be told from a
true one, by anybody.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.checks.github import judged_alerts, judged_behind, judged_ci, judged_pull, judged_reviews
from fairlead.errors import NotReady
from fairlead.model import Finding, SecretRef
from fairlead.outside.clock import FakeClock
from fairlead.outside.github import GitHub
from fairlead.outside.github_http import GitHubHttp, _Answer
from fairlead.outside.secrets import Secrets
from support import github as stand_in
from support.github import COMMIT, OTHER, PLACE, REPOSITORY, Asked, alert, branch, pull, review, run, status

ROUNDS = int(os.environ.get("FAIRLEAD_FUZZ", "200"))
"""How many damages are tried; `make prove` tries more, and other ones each time."""

Damage = Callable[[_Answer], _Answer]


class Line(GitHubHttp):
    """A client whose questions reach the stand-in without a network, and whose n-th answer is damaged."""

    def __init__(self, server: stand_in.GitHub, damage: Damage, which: int) -> None:
        secrets = Secrets((), environ={})
        secrets._opened["GITHUB_TOKEN"] = stand_in.TOKEN
        super().__init__("http://github.example", SecretRef(name="GITHUB_TOKEN"), secrets, FakeClock(), None, 5.0)
        self.server, self.damage, self.left = server, damage, which

    async def _once(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> _Answer:
        parts = urlsplit(url)
        with_token = {**headers, "authorization": f"Bearer {stand_in.TOKEN}"}
        said = self.server.said(Asked(method, unquote(parts.path), dict(parse_qsl(parts.query)), with_token))
        answer = _Answer(said.status, {name.lower(): value for name, value in said.headers.items()}, said.body)
        self.left -= 1
        return self.damage(answer) if self.left == -1 else answer


async def verdict(server: stand_in.GitHub, gate: str, damage: Damage, which: int) -> list[Finding]:
    """What a gate finds; nothing = it was refused."""
    async with Line(server, damage, which) as line:
        github = GitHub(line, REPOSITORY)
        try:
            return await GATES[gate](github)
        except NotReady as error:
            assert error.what
            assert error.hint
            return []


async def _ci(github: GitHub) -> list[Finding]:
    return judged_ci(COMMIT, await github.check_runs(COMMIT), await github.statuses(COMMIT))


async def _dependabot(github: GitHub) -> list[Finding]:
    return judged_alerts(REPOSITORY, await github.alerts())


async def _review(github: GitHub) -> list[Finding]:
    found = judged_pull(COMMIT, REPOSITORY, "main", await github.pulls_of(COMMIT))
    return [found] if isinstance(found, Finding) else judged_reviews(found, await github.reviews(found.number))


async def _behind(github: GitHub) -> list[Finding]:
    return judged_behind(COMMIT, "main", await github.compare("main", COMMIT))


GATES = {"ci": _ci, "dependabot": _dependabot, "review": _review, "behind": _behind}


def world(**state: Any) -> stand_in.GitHub:
    made = stand_in.GitHub()
    for name, value in state.items():
        setattr(made, name, value)
    return made


WORLDS: list[tuple[str, stand_in.GitHub]] = [
    ("ci", world(runs=[run(), run("b", "failure", id=2)], statuses=[])),
    ("ci", world(runs=[run(f"j{n}", id=n) for n in range(120)] + [run("last", "failure", id=500)])),
    ("ci", world(runs=[run(), run("b", None, id=2)])),
    ("ci", world(statuses=[status(), status("other", "failure")])),
    ("ci", world(runs=[], statuses=[])),
    ("dependabot", world(alerts=[alert("high")])),
    ("dependabot", world(alerts=[alert("low")] * 120 + [alert("critical")])),
    ("review", world(reviews={12: []})),
    ("review", world(reviews={12: [review("ada", user_id=1)]})),
    ("review", world(reviews={12: [review(), review("linus", "CHANGES_REQUESTED", id=2)]})),
    ("review", world(reviews={12: [review(state="DISMISSED")]})),
    ("review", world(reviews={12: [review(author_association="NONE")]})),
    ("review", world(pulls=[pull(head=branch("pads", OTHER))])),
    ("review", world(pulls=[])),
    ("behind", world(compare={"status": "behind", "ahead_by": 0, "behind_by": 2})),
    ("behind", world(compare={"status": "diverged", "ahead_by": 3, "behind_by": 1})),
    *((gate, world()) for gate in ("ci", "dependabot", "review", "behind")),
]
"""Mostly such as are a no: those must not become a yes."""


# -- damages


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything inside a document, and to itself."""
    found = [above]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += paths(inner, (*above, key))
    return found


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=10**6),
    st.integers(max_value=-1),
    st.floats(),
    st.text(max_size=8).map(lambda text: text + "\0"),
    st.just([]),
    st.just({}),
    st.just([[]]),
    st.just({"message": "x"}),
)


@st.composite
def structural(draw: st.DrawFn) -> Damage:
    """A value is replaced, or a key or an item of a counted list gets lost."""
    pick, kind, junk = draw(st.integers(0, 10**6)), draw(st.sampled_from(["junk", "lose", "twice"])), draw(JUNK)

    def change(answer: _Answer) -> _Answer:
        try:
            document = json.loads(answer.body)
        except ValueError:
            return answer
        ways = paths(document)
        way = ways[pick % len(ways)]
        if not way and junk == []:
            return answer  # an empty list is how GitHub says that there is nothing
        if not way:
            return _Answer(answer.status, answer.headers, json.dumps(junk).encode())
        inside = document
        for part in way[:-1]:
            inside = inside[part]
        if kind == "junk":
            inside[way[-1]] = junk
        elif isinstance(inside, dict):
            del inside[way[-1]]
        elif kind == "twice":
            inside.append(copy.deepcopy(inside[way[-1]]))
        elif isinstance(document, dict) and len(way) == 2:
            del inside[way[-1]]
        return _Answer(answer.status, answer.headers, json.dumps(document).encode())

    return change


@st.composite
def bytewise(draw: st.DrawFn) -> Damage:
    """The body is cut, or one of its bytes is another."""
    at, other, cuts = draw(st.integers(0, 10**6)), draw(st.integers(1, 255)), draw(st.booleans())

    def change(answer: _Answer) -> _Answer:
        if not answer.body:
            return answer
        place = at % len(answer.body)
        if cuts:
            return _Answer(answer.status, answer.headers, answer.body[:place])
        body = bytearray(answer.body)
        body[place] ^= other
        return _Answer(answer.status, answer.headers, bytes(body))

    return change


@st.composite
def around(draw: st.DrawFn) -> Damage:
    """Another status, headers that get lost or hold something else, another body."""
    code = draw(st.sampled_from([200, 204, 206, 301, 302, 304, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 999]))
    lost = draw(st.sets(st.sampled_from(["link", "etag", "x-ratelimit-remaining", "x-ratelimit-reset"])))
    header = st.one_of(
        st.text(max_size=20), st.sampled_from(["<>; rel=next", "<//x>; rel=next", f"<{PLACE}>; rel=next"])
    )
    held = draw(st.dictionaries(st.sampled_from(["link", "retry-after", "location", "x-ratelimit-reset"]), header))
    body = draw(st.one_of(st.none(), st.binary(max_size=20), st.sampled_from([b"[]", b"{}", b"null", b"0", b'""'])))

    def change(answer: _Answer) -> _Answer:
        if body == b"[]" and code == 200:
            return answer  # an empty list is how GitHub says that there is nothing
        headers = {name: value for name, value in answer.headers.items() if name not in lost} | held
        return _Answer(code, headers, answer.body if body is None else body)

    return change


DAMAGES = st.one_of(structural(), structural(), bytewise(), around())


@settings(max_examples=ROUNDS, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(range(len(WORLDS))), DAMAGES, st.integers(0, 2))
def test_damage_never_makes_a_yes(number: int, damage: Damage, which: int) -> None:
    gate, server = WORLDS[number]
    damaged = asyncio.run(verdict(server, gate, damage, which % ANSWERS[number]))
    assert WHOLE[number] or not said_yes(damaged), damaged


def test_a_no_is_a_no_and_a_yes_a_yes() -> None:
    assert [WHOLE[number] for number in range(len(WORLDS))] == [False] * (len(WORLDS) - 4) + [True] * 4


def said_yes(findings: list[Finding]) -> bool:
    return bool(findings) and not any(one.blocks for one in findings)


def answers(server: stand_in.GitHub, gate: str) -> int:
    """How many answers a gate needs."""
    before = len(server.asked)
    asyncio.run(verdict(server, gate, lambda same: same, 0))
    return len(server.asked) - before


WHOLE = [said_yes(asyncio.run(verdict(server, gate, lambda same: same, 0))) for gate, server in WORLDS]
"""What the gates say of each world when nothing is damaged."""
ANSWERS = [answers(server, gate) for gate, server in WORLDS]
"""How many answers each of them needs: so one of them is always damaged."""

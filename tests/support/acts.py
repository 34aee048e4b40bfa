"""The acts of a story: everything that an operator does with secrets, and everything that goes wrong with them."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from fairlead.model import Account, SecretRef
from support.github import GitHub, Said, branch, instead, problem, pull, run
from support.leaks import KEPT, Story
from support.sentinels import Search, Sentinel


def good_days(story: Story) -> None:
    """Backups, gates, a plan in a file and as JSON, and a release that goes out."""
    story.tell(["db", "backup", "--json"], 0)
    assert '"ok": true' in story.tell(["ready", "--json"], 0)
    story.estate.write_version("v2")
    (story.estate.folder / "source" / KEPT[0] / "large").write_text(
        "much " * 1_000_000
    )  # too much to be sent without rsync
    story.tell(["plan", "--json"], 0)
    story.tell(["plan", "--out", "the plan.json"], 0)
    story.tell(["deploy", "--plan", "the plan.json", "--yes", "--no-watch", "--reason", "good"], 0)
    assert story.gate.passed > 10 and not story.gate.refused


def refusals(story: Story) -> None:
    """The service refuses the secret and gives it back in every spelling."""
    story.refusing = True
    said = story.tell(["health"], 1)
    assert said.count("gate-") > 12 and "[secret OWN_TOKEN]" in said
    story.tell(["health", "--json"], 1)
    story.refusing = False


def a_way_back(story: Story) -> None:
    """The service refuses during the watch: the release comes back, and everything is told about it."""
    story.gate.refused.clear()
    story.estate.write_version("v3")
    said = story.tell(["deploy", "--yes", "--reason", "refused on purpose", "--json"], 3)
    assert story.gate.refused and "has not answered rightly" in said
    story.tell(["show"], 0)
    story.tell(["show", "--json"], 0)
    story.tell(["history", "--json"], 0)
    story.tell(["report", "--out", "page.html", "--json"], 0)
    assert (story.estate.folder / "page.post-mortem.md").exists()


def other_looks(story: Story) -> None:
    """What else can be asked."""
    for words in (["status"], ["status", "--json"], ["lock", "show", "--json"], ["db", "check"], ["db", "backups"]):
        story.tell(words, 0)
    story.tell(["doctor"], None)
    story.tell(["rollback", "--yes", "--no-watch", "--reason", "we want v1"], 0)


def wrong_keys(story: Story) -> None:
    """A key that nobody admits, and a text that is no key."""
    for name, says in (("WRONG_KEY", "does not admit"), ("NO_KEY", "neither a private key")):

        def change(document: dict[str, Any], name: str = name) -> None:
            document["hosts"]["server"]["key"] = name

        config = story.config("wrong.yml", change)
        said = story.tell(["plan", "--config", config], 1, name)
        assert says in said, said
        story.tell(["ready", "--config", config, "--json"], 1, name)


def headers_that_cannot_be_sent(story: Story) -> None:
    """A line break and letters that no header can carry."""

    def change(document: dict[str, Any]) -> None:
        for name, secret in (("crm", "LINES_TOKEN"), ("frontend", "UNICODE_TOKEN")):
            document["services"][name]["health"][0]["headers"] = {"Authorization": {"secret": secret}}

    config = story.config("headers.yml", change)
    told = json.loads(story.tell(["health", "--config", config, "--json"], 1, "LINES_TOKEN", "UNICODE_TOKEN"))
    assert sum("cannot be sent" in finding["says"] for finding in told["findings"]) >= 1, told


def builds(story: Story) -> None:
    """A build sees no secret; one that looks into our sources and says what it found is not repeated."""
    seen = story.estate.folder / "what the build sees"

    def change(document: dict[str, Any]) -> None:
        document["services"]["crm"]["source"]["build"] = [
            ["sh", "-c", 'env >"$1"; [ "$2" = no ] || { env; cat "$2" "$3"; exit 3; }', "x", str(seen), "no"]
        ]

    story.tell(["plan", "--config", story.config("build.yml", change)], 0)
    assert "PATH=" in seen.read_text()

    def spill(document: dict[str, Any]) -> None:
        change(document)
        vault = story.folder / "vault"
        document["services"]["crm"]["source"]["build"][0][5:] = [str(vault / "env.deployment"), str(vault / "token")]

    config = story.config("spill.yml", spill)
    assert "exited 3" in story.tell(["plan", "--config", config], 1)
    assert "[secret " in story.tell(["plan", "--config", config, "--json"], 1)


def sources_that_fail(story: Story) -> None:
    """A program that prints secrets, on both outputs, and fails."""

    def change(document: dict[str, Any]) -> None:
        path = str(story.folder / "vault" / "spill")
        document["sources"][-1] = {"command": ["sh", "-c", 'cat "$1"; cat "$1" >&2; exit 3', "x", path]}

    config = story.config("source.yml", change)
    assert "ended with code 3" in story.tell(["health", "--config", config], 1)
    story.tell(["health", "--config", config, "--json"], 1)


def databases_with_passwords(story: Story) -> None:
    """Passwords that no engine opens yet."""

    def change(document: dict[str, Any]) -> None:
        document["databases"]["shop"] = {
            "engine": "mariadb",
            "reached_from": "server",
            "address": "127.0.0.1",
            "database": "mo_{name}",
            "user": "svc_{name}",
            "password": "MO_{NAME}_DB_PASS",
            "maintenance": {"user": "fairlead", "password": "MO_KEEPER_PASS"},
            "backup_store": {"host": "server", "path": f"{story.estate.home}/backups"},
            "names": {"shop": {}},
            "environment": "demo",
        }

    config, names = story.config("shop.yml", change), ("MO_SHOP_DB_PASS", "MO_KEEPER_PASS")
    for words in (["ready"], ["db", "check", "--json"], ["db", "backup", "--json"], ["health", "--json"]):
        story.tell([*words, "--config", config], 1, *names)
    story.tell(["plan", "--config", config, "--json"], 0, *names)


def a_github_that_repeats_its_token(story: Story) -> None:
    """GitHub refuses with the token in its sentence, and leads to another server."""
    with GitHub() as github:
        config, token = _asking(story, github)
        github.fault(".", instead(problem(403, f"{'x' * 150} {token.value} may not do this: {token.value}")))
        assert "[secret GITHUB_TOKEN]" in story.tell(["ready", "--config", config], 1, token.name)
        github.faults.clear()
        github.fault(".", instead(Said(302, b"", {"Location": f"http://127.0.0.1:9/?t={quote(token.value)}"})))
        assert "another server" in story.tell(["ready", "--config", config, "--json"], 1, token.name)


def an_issue(story: Story) -> None:
    """A deployment is told to GitHub, and no secret with it."""
    with GitHub() as github:
        config, token = _asking(story, github)
        story.estate.write_version("v4")
        words = ["deploy", "--config", config, "--yes", "--no-watch", "--reason", "told"]
        story.tell([*words, "--override", "commit", "--override", "review"], 0, token.name)
        told = json.dumps([github.issues, github.comments])
        assert "### Way back" in told
        assert not Search(story.sentinels).text("what GitHub was told", told)


def what_is_told(story: Story) -> None:
    """A gate says a secret aloud: evidence, the activation report, a job's summary and annotations; a window's issue.

    GitHub is away with a sentence that holds the token, so what is announced waits, and is sent later.
    """
    summary = story.folder / "said" / "summary.md"
    aloud = story.folder / "vault" / "aloud"
    aloud.write_text(f"printf '%s\\n' {shlex.quote(story.own.value)}; exit 1")

    def louder(document: dict[str, Any]) -> None:
        gates = document["environments"]["demo"]["gates"]
        gates["own"] = {"aloud": {"run": ["sh", str(aloud)], "timeout": "10s"}}
        gates["window"] = {"open": [{"start": "2020-01-01", "end": "2099-01-01"}]}

    with GitHub() as github:
        config, token = _asking(story, github, louder)
        story.environ |= {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
        said = [story.tell([*words, "--config", config], 1, token.name) for words in REPORTS]
        assert all("[secret OWN_TOKEN]" in one for one in said), said
        assert "::error title=aloud" in said[0]
        assert "[secret OWN" in summary.read_text()
        github.fault(".", instead(problem(403, f"{token.value} may not do this")))
        told = ["announce", "--config", config, "--reason", "told beforehand"]
        assert "not told yet" in story.tell(told, 1, token.name)
        assert "[secret GITHUB_TOKEN]" in story.tell([*told, "--json"], 1, token.name)
        github.faults.clear()
        story.tell(told, 0, token.name)
        assert "deployment window of" in json.dumps(github.issues)
        assert not Search(story.sentinels).text("what GitHub was told", json.dumps([github.issues, github.comments]))
        for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
            del story.environ[name]
    kept = [file for file in (story.folder / "operator").rglob("*") if file.is_file()]
    assert any(b"[secret OWN_TOKEN]" in file.read_bytes() for file in kept), "the evidence is kept"
    assert any(b"deployment window of" in file.read_bytes() for file in kept), "so is what was announced"


REPORTS = (["ready"], ["ready", "--json"], ["status"], ["status", "--json"])


def _asking(
    story: Story, github: GitHub, more: Callable[[dict[str, Any]], None] = lambda document: None
) -> tuple[str, Sentinel]:
    """A configuration that asks and tells this GitHub, and the token."""

    def change(document: dict[str, Any]) -> None:
        document["github"] = {"api": github.url, "repository": "acme/shop", "patience": "5s"}
        document["environments"]["demo"]["gates"] = {"ask": ["commit", "ci", "dependabot", "review", "behind"]}
        document["environments"]["demo"]["announce"] = ["github"]
        more(document)

    head = _committed(story)
    token = next(one for one in story.sentinels if one.name == "GITHUB_TOKEN")
    github.token, github.known, github.runs = token.value, {head}, [run(head_sha=head)]
    github.pulls = [pull(head=branch("pads", head))]
    return story.config("github.yml", change), token


def _committed(story: Story) -> str:
    """Put what can be put under version control there; returns the commit."""
    allowed = ["commit", "--allow-empty", "-qm", "x"]
    for words in (["init", "-q"], ["add", "fairlead.yml"], allowed, ["rev-parse", "HEAD"]):
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        argv = ["git", *who, *words]
        done = subprocess.run(argv, cwd=story.estate.folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def standard_input(story: Story) -> None:
    """Steps that are told a secret on standard input: one keeps it, one says it and fails."""
    local = Account(name="here", kind="local", home=str(story.folder / "estate" / "here"))
    account = {"name": "here", "kind": "ssh", "address": "127.0.0.1", "port": story.sshd.port, "user": story.sshd.user}
    account |= {"known_hosts": str(story.sshd.known_hosts), "key": SecretRef(name="KEY_PATH"), "state": ".fairlead-in"}
    chosen = Account.model_validate(account) if story.kind == "ssh" else local
    (story.folder / "estate" / "here").mkdir(exist_ok=True)
    words = [chosen.to_json(), str(story.folder / "operator" / "deliver")]
    said = story.tell(words, 0, "STDIN_SECRET", program=("-m", "support.deliver"))
    home = story.sshd.home if story.kind == "ssh" else story.folder / "estate" / "here"
    value = next(one.value for one in story.sentinels if one.name == "STDIN_SECRET")
    assert (home / "ground" / "keeps.sum").read_text().split()[0] == hashlib.sha256(value.encode()).hexdigest()
    assert "exit code 7: [secret STDIN_SECRET]" in said


def gates_that_find_secrets(story: Story) -> None:
    """A scanner that has found a secret, a log with somebody's address, and a gate that says a secret aloud."""
    leaked, person, own = (
        next(one for one in story.sentinels if one.name == name) for name in ("LEAKED", "PERSON", story.own.name)
    )
    vault, home = story.folder / "vault", story.estate.home / "data"
    found = {
        "RuleID": "generic",
        "File": "a.sh",
        "StartLine": 3,
        "Match": f"key={leaked.value}",
        "Secret": leaked.value,
    }
    (vault / "leaks.json").write_text(json.dumps([found]))
    (home / "planted.log").write_text(f"mail to {person.value}.org\n")
    (vault / "aloud").write_text(f"printf '%s\\n' {shlex.quote(own.value)}; exit 1")

    def change(document: dict[str, Any]) -> None:
        document["environments"]["demo"]["gates"] = {
            "security": {"reports": [{"format": "gitleaks", "run": ["cat", str(vault / "leaks.json")]}]},
            "personal_data": {"logs": [{"host": "server", "files": [str(home / "planted.log")]}]},
            "own": {"aloud": {"run": ["sh", str(vault / "aloud")]}},
        }

    config = story.config("gates.yml", change)
    for more in ((), ("--json",)):
        said = story.tell(["ready", "--config", config, *more], 1)
        assert "generic in a.sh:3" in said
        assert "1 e-mail address (line 1)" in said
        assert "[secret " in said


QUICK = (
    good_days, refusals, a_way_back, builds, wrong_keys, standard_input, a_github_that_repeats_its_token,
    gates_that_find_secrets, what_is_told,
)  # fmt: skip
"""What every commit is tried with."""
ALL = (*QUICK, an_issue, other_looks, headers_that_cannot_be_sent, sources_that_fail, databases_with_passwords)

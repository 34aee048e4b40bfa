"""`fairlead demo`: the whole story on this machine, told by the real commands on a real installation.

Not ready, because no backup exists; backup; ready; v2 goes out; a broken v3 goes out, is noticed and comes back, with
the data that it had migrated. What is said at the end is looked up in the estate itself (`proof`), not taken from what
the commands said.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import click

from fairlead.demo import proof
from fairlead.demo.config import DATABASES, DEPLOYED, SERVICES
from fairlead.demo.estate import Estate
from fairlead.demo.prober import Prober
from fairlead.errors import FairleadError

PATIENCE = 5.0
"""Seconds that an interrupted command may take to end; what it was changing is thrown away anyway."""
CHANGES = ("deployment", "deployment comes back")
"""The acts in which services are switched: downtime is measured over these."""


class DemoFailed(FairleadError):
    """The story did not go as it is told."""


class Interruption:
    """Ctrl-C or SIGTERM, noted and heeded between two commands: so no process is started and then forgotten."""

    def __init__(self) -> None:
        self.number = 0

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal; this is its handler."""
        self.number = number

    def heed(self) -> None:
        """End the demo if it was told to. Raises SystemExit."""
        if self.number:
            raise SystemExit(128 + self.number)


@dataclass(frozen=True)
class Act:
    """One command of the story, and the exit code that it must have."""

    name: str
    says: str
    words: tuple[str, ...]
    expected: int
    version: str = ""
    """Sources of this version are written before; empty = they stay."""


ACTS = (
    Act("readiness says no", "is it ready? no database has a backup, so the answer is no", ("ready",), 1),
    Act("backup", "back all databases up", ("db", "backup"), 0),
    Act("readiness says yes", "ask again", ("ready",), 0),
    Act("deployment", "deploy v2, in order, and watch it", ("deploy", "--yes"), 0, "v2"),
    Act(
        "deployment comes back",
        "deploy v3, in which {broken} fails: code and data must come back",
        ("deploy", "--yes"),
        3,
        "v3",
    ),
)


@dataclass
class Story:
    """The estate and what was measured so far."""

    estate: Estate
    broken: str
    json_wanted: bool
    interruption: Interruption = field(default_factory=Interruption)
    acts: list[dict[str, Any]] = field(default_factory=list)
    downtime_ms: dict[str, float] = field(default_factory=dict)
    papers: dict[str, str] = field(default_factory=lambda: {"post_mortem": "", "report": ""})
    trouble: list[str] = field(default_factory=list)
    """Sentences about what did not go as it is told."""

    def say(self, text: str = "") -> None:
        """Tell the person who watches; with --json, standard output is for the document alone."""
        click.echo(text, err=self.json_wanted)

    def tell(self) -> None:
        """Play all acts and write the papers; the first thing that does not end as it must is kept as trouble."""
        try:
            with Prober(self.estate.ports) as prober:
                for number, act in enumerate(ACTS, 1):
                    self.say(f"\n── {number}/{len(ACTS)} ── {act.says.format(broken=self.broken)}")
                    self.play(act, prober)
            self.write_papers()
        except DemoFailed as failure:
            self.trouble.append(failure.what)

    def play(self, act: Act, prober: Prober) -> None:
        """Run one act's command and keep its exit code, its time and the downtime it caused."""
        if act.version:
            self.estate.write_version(act.version, broken=self.broken if act.version == "v3" else "")
        since = time.monotonic()
        code = self.run(*act.words, "-e", "demo")
        until = time.monotonic()
        self.acts.append({"name": act.name, "exit": code, "seconds": round(until - since, 1)})
        if act.name in CHANGES:
            gaps = prober.longest_gap_ms(since, until)
            self.downtime_ms = {name: max(ms, self.downtime_ms.get(name, 0.0)) for name, ms in gaps.items()}
        if code != act.expected:
            raise DemoFailed(f"`fairlead {shlex.join(act.words)}` exited {code} where {act.expected} was expected")
        if act.version and not prober.saw(self.broken, act.version):
            raise DemoFailed(f"no visitor ever saw {act.version} of {self.broken}")
        self.say(f"   exit {code}, as it should; {until - since:.1f} s")

    def run(self, *words: str) -> int:
        """Run a command as a person would type it; it speaks for itself. Returns its exit code."""
        self.say(f"$ fairlead {shlex.join(words)}")
        return self.finished(words, 2 if self.json_wanted else None)[0]

    def ask(self, *words: str) -> Any:
        """Run a command with --json and return its document. Raises DemoFailed where it has none."""
        answer = self.finished((*words, "--json"), subprocess.PIPE)[1]
        try:
            return json.loads(answer)
        except ValueError:
            raise DemoFailed(f"`fairlead {shlex.join(words)} --json` did not print a JSON document") from None

    def finished(self, words: tuple[str, ...], stdout: int | None) -> tuple[int, bytes]:
        """Run `fairlead` with state and home inside the estate, to its end: exit code and what was piped."""
        operator = self.estate.folder / "operator"
        operator.mkdir(exist_ok=True)
        homes = {"HOME": operator, "XDG_STATE_HOME": operator / "state", "XDG_CACHE_HOME": operator / "cache"}
        environment = {**os.environ, **{name: str(path) for name, path in homes.items()}}
        command = [sys.executable, "-m", "fairlead", *words]
        process = subprocess.Popen(command, cwd=self.estate.folder, env=environment, stdout=stdout)
        while True:
            try:
                answer = process.communicate(timeout=0.2)[0]
            except subprocess.TimeoutExpired:
                if not self.interruption.number:
                    continue
                end(process, self.interruption.number)
            self.interruption.heed()
            return process.returncode, answer or b""

    def write_papers(self) -> None:
        """Have the report of the last deployment, and its post-mortem, written into the estate's folder."""
        words = ("report", "-e", "demo", "--out", str(self.estate.folder / "report.html"))
        self.say(f"$ fairlead {shlex.join(words)}")
        told = self.ask(*words)
        for paper in self.papers:
            path = told.get(paper)
            if not path or not Path(path).is_file():
                raise DemoFailed(f"`fairlead report` wrote no {paper.replace('_', '-')}")
            self.papers[paper] = path


def end(process: subprocess.Popen[bytes], number: int) -> None:
    """Pass a signal on (the terminal has sent a Ctrl-C itself) and wait; what does not end is killed."""
    if number != signal.SIGINT:
        process.send_signal(number)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def look(story: Story) -> tuple[dict[str, Any], int]:
    """Look at the estate: what --json prints, and how many rows were acknowledged. Trouble goes to the story."""
    rows = proof.rows(story.estate)
    document = {
        "acts": story.acts,
        "services": proof.services(story.estate),
        "databases": proof.databases(story.estate),
        "schemas": proof.schemas(story.estate),
        "rows_lost": rows.lost,
        "rows_kept": rows.kept,
        "downtime_ms": story.downtime_ms,
        **story.papers,
    }
    story.trouble += shortcomings(document)
    return document, rows.acknowledged


def shortcomings(document: dict[str, Any]) -> list[str]:
    """Everything in the document that is not as promised, one sentence each."""
    wrong = []
    for service in document["services"]:
        name, version = service["name"], "v2" if service["name"] in DEPLOYED else "v1"
        if not service["identity_proven"]:
            wrong.append(f"what {name} says it is could not be proven")
        elif service["version"] != version:
            wrong.append(f"{name} is {service['version']}, not {version}")
    if document["rows_lost"]:
        wrong.append(f"{document['rows_lost']} acknowledged rows are lost")
    wrong += [f"the data of {name} is {of}'s, not v2's" for name, of in document["schemas"].items() if of != "v2"]
    if not document["rows_kept"]:
        wrong.append("nothing that visitors wrote after v3's migrations was kept beside the data that came back")
    if document["databases"]["reachable"] != document["databases"]["total"]:
        wrong.append("not every database is reachable")
    return wrong


def summary(document: dict[str, Any], acknowledged: int) -> str:
    """What was proven, for people."""
    downtime = document["downtime_ms"]
    lines = [
        f"  {'✓' if service['identity_proven'] else '✗'} {service['name']:<9} {service['version']}, identity proven in "
        f"{service['ms']:.0f} ms; longest time without an answer {downtime.get(service['name'], 0):.0f} ms"
        for service in document["services"]
    ]
    databases = document["databases"]
    lines.append(f"  databases {databases['reachable']}/{databases['total']}")
    data = ", ".join(f"{name} {of}" for name, of in document["schemas"].items())
    lines.append(f"  data of migrated databases: {data}; v3's migrations are undone")
    kept, lost = document["rows_kept"], document["rows_lost"]
    lines.append(f"  rows lost {lost} of {acknowledged} acknowledged meanwhile; {kept} of them in what was kept beside")
    return "\n".join(lines)


def farewell(estate: Estate, document: dict[str, Any], *, keep: bool) -> str:
    """Where the papers lie and what to type next."""
    lines = [f"report       {document['report']}", f"post-mortem  {document['post_mortem']}"]
    lines.append(f"all of it took {document['seconds']:.0f} s")
    if keep:
        folder, stop = shlex.quote(str(estate.folder)), shlex.join([*estate.control, "stop-all"])
        lines.append(f"look around:  cd {folder} && fairlead health -e demo; {estate.urls['api']}")
        lines.append(f"stop it:      {stop} && rm -r {folder}")
    else:
        lines.append(
            "next:         `fairlead init` writes a fairlead.yml to start from; `fairlead demo --keep` leaves this up"
        )
    return "\n".join(lines)


@contextmanager
def estate_for_demo(interruption: Interruption) -> Iterator[Estate]:
    """A running estate in a new folder. Whatever ends the block early, Ctrl-C and SIGTERM too, stops it."""
    before = {number: signal.signal(number, interruption.note) for number in (signal.SIGINT, signal.SIGTERM)}
    estate = Estate.create(Path(tempfile.mkdtemp(prefix="fairlead-demo-")))
    try:
        estate.install_v1()
        estate.write_config()
        yield estate
        interruption.heed()
    except BaseException:
        estate.stop()
        if interruption.number:
            shutil.rmtree(estate.folder)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def clear(folder: Path) -> None:
    """Delete everything but the papers."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix not in (".html", ".md"):
            path.unlink()


@click.command()
@click.option("--keep", is_flag=True, help="Leave everything running at the end, and say how to stop it.")
@click.option("--broken", type=click.Choice(DEPLOYED), default="api", help="The service that fails in v3.")
@click.option("--json", "json_wanted", is_flag=True, help="Print one JSON document with everything measured.")
def command(keep: bool, broken: str, json_wanted: bool) -> None:
    """Show the whole story on this machine: no root, no servers, no configuration.

    Example: fairlead demo --broken crm
    """
    try:
        show(keep, broken, json_wanted)
    except FairleadError as error:
        told = [f"error: {line}" for line in error.what.splitlines()] + [f"hint: {error.hint}"] * bool(error.hint)
        click.echo("\n".join(told), err=True)
        sys.exit(error.exit_code)


def show(keep: bool, broken: str, json_wanted: bool) -> None:
    """Build the estate, tell the story, and say what stands. Raises DemoFailed where it is not as promised."""
    began, interruption = time.monotonic(), Interruption()
    with estate_for_demo(interruption) as estate:
        story = Story(estate, broken, json_wanted, interruption)
        story.say(
            f"{len(SERVICES)} services and {len(DATABASES)} databases run in {estate.folder}; visitors read and write"
        )
        story.tell()
        document, acknowledged = look(story)
        document["seconds"] = round(time.monotonic() - began, 1)
        story.say(f"\n── what stands, looked up in the estate itself\n{summary(document, acknowledged)}")
        if not keep:
            estate.stop()
    if json_wanted:
        click.echo(json.dumps(document, indent=2))
    if story.trouble:
        raise DemoFailed("\n".join(story.trouble), f"everything lies in {estate.folder}")
    if not keep:
        clear(estate.folder)
    story.say("\n" + farewell(estate, document, keep=keep))

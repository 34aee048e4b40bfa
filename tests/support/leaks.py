"""The story of an installation whose every secret is a sentinel, told under strace, and where they were found after it.

with Story(kind="ssh") as story:
    story.tell(["ready"], 1)
    assert story.search().hits == []
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Literal, Self

import yaml

from fairlead.demo.config import SERVICES
from fairlead.demo.estate import Estate
from support.gate import REFUSALS, Gate
from support.sentinels import Search, Sentinel, key_sentinel, sentinel
from support.sshd import SSHD, Sshd
from support.trace import Program, Sampler, started, strace_works, tracing

KEPT = ("crm", "frontend", "games")
"""Services of the demo that there are here."""
HEADER = "\"'$HOME \\n  %s{x}&<>+/="
"""What a header can carry between the marks; two blanks, since programs like to make them one."""
WATCH = {"duration": "3s", "interval": "250ms", "down_for": "1s", "window": "4s"}
PRODUCT = Path(__file__).parents[2] / "src"
TESTS = Path(__file__).parents[1]

Change = Callable[[dict[str, Any]], None]


class Story:
    """One installation, its operator, and everything that they leave behind."""

    def __init__(self, kind: Literal["ssh", "local"]) -> None:
        self.kind, self.traces, self.sampled = kind, 0, list[tuple[str, Program]]()
        self.key_modes: set[tuple[int, int]] = set()
        self.product = PRODUCT
        """Where the package is taken from; another folder for a mutated copy."""

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        try:
            self._build()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    # -- building

    def _build(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fl-leak-", dir="/tmp"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.chmod(0o711)
        for name in ("vault", "traces", "said", "operator", "t"):
            (self.folder / name).mkdir(mode=0o700)
        sshd_program = (*tracing(self.folder / "traces" / "sshd"), SSHD) if strace_works() else (SSHD,)
        self.sshd = self._stack.enter_context(Sshd(self.folder / "sshd", program=sshd_program))
        self._make_secrets()
        wanted = {f"X-{one.name}": one.value for one in self.tokens}
        self.gate = self._stack.enter_context(Gate(wanted, lambda: self.refusing or self._watching()))
        self.refusing = False
        ssh = self.kind == "ssh"
        user = self.sshd.user if ssh and os.getuid() == 0 else ""
        self.estate = Estate.create(self.folder / "estate", home=self.sshd.home if ssh else None, user=user)
        self._stack.callback(self.stop)
        self.config()
        self.estate.write_version("v1")
        self.estate.install_v1()
        for name in set(SERVICES) - set(KEPT):
            subprocess.run([*self.estate.control, "stop", name, str(self.estate.home)], check=True, timeout=60, cwd="/")

    def _make_secrets(self) -> None:
        keys = {name: self._key(name, admitted=True) for name in ("KEY_TEXT", "KEY_BASE64", "KEY_PATH")}
        stranger = self._key("WRONG_KEY", admitted=False)
        self.dotenv, self.file, self.printed = (sentinel(f"{n}-TOKEN", HEADER) for n in ("DOTENV", "FILE", "COMMAND"))
        self.own = sentinel("OWN-TOKEN", HEADER)
        self.tokens = (self.dotenv, self.file, self.printed, self.own)
        text, encoded, path = keys["KEY_TEXT"], _base64(keys["KEY_BASE64"]), str(self.folder / "vault" / "KEY_PATH")
        public = "".join(file.read_text() for file in (self.folder / "vault").glob("*.pub"))
        public += (self.sshd.folder / "host").read_text()  # all keys of a kind have a few bytes in common
        self.keys = (
            key_sentinel("KEY_TEXT", text, text, public),
            key_sentinel("KEY_BASE64", encoded, keys["KEY_BASE64"], public),
            key_sentinel("KEY_PATH", path, keys["KEY_PATH"], public),
            key_sentinel("WRONG_KEY", stranger, stranger, public),
        )
        self.others = tuple(
            sentinel(name, middle)
            for name, middle in {
                "NO_KEY": " -----BEGIN nothing\n",
                "UNICODE_TOKEN": "\"'$HOME ` ü€ \\",
                "LINES_TOKEN": "\"'$HOME ` \n \\",
                "STDIN_SECRET": "\"'$HOME `id` \n ü \\ $(id)",
                "MO_SHOP_DB_PASS": "\"'$HOME ` \n ü \\",
                "MO_KEEPER_PASS": "\"'$HOME ` \n ü \\",
                "GITHUB_TOKEN": HEADER,
                "LEAKED": "\"'$HOME \\",
                "PERSON": "@",
                "SPILT": "\"'$HOME ` ü \\",
            }.items()
        )
        self.sentinels: tuple[Sentinel, ...] = (*self.tokens, *self.keys, *self.others)
        self._write_sources(text)
        ssh = self.kind == "ssh"
        self.environ = {one.name: one.value for one in (*(self.keys[1:3] if ssh else ()), self.own)}

    def _key(self, name: str, *, admitted: bool) -> str:
        path = self.folder / "vault" / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
        if admitted:
            with (self.sshd.public / "authorized_keys").open("a") as file:
                file.write(path.with_suffix(".pub").read_text())
        return path.read_text()

    def _write_sources(self, key: str) -> None:
        vault = self.folder / "vault"
        (vault / "env.deployment").write_text(f"{self.dotenv.name.replace('-', '_')}={_dotenv(self.dotenv.value)}\n")
        if self.kind == "ssh":  # elsewhere no file calls it a secret
            with (vault / "env.deployment").open("a") as file:
                file.write(f'export KEY_TEXT="{key}"\n')
        (vault / "token").write_text(self.file.value + "\n")
        (vault / "print").write_text(f"COMMAND_TOKEN={_dotenv(self.printed.value)}\n")
        (vault / "spill").write_text(f"{self.others[-1].value}\n")

    def sources(self) -> list[Any]:
        """The key `sources` of fairlead.yml."""
        vault = self.folder / "vault"
        return [
            "environment",
            {"dotenv": str(vault / "env.deployment")},
            {"file": {"name": "FILE_TOKEN", "path": str(vault / "token")}},
            {"command": ["cat", str(vault / "print")]},
        ]

    def config(self, name: str = "fairlead.yml", change: Change = lambda document: None) -> str:
        """Write the configuration, changed, under a name; returns the name."""
        account, local = {"address": "127.0.0.1", "port": self.sshd.port, "user": self.sshd.user}, self.kind == "local"
        account |= {"known_hosts": str(self.sshd.known_hosts)}
        ssh = [{**account, "key": key} for key in ("KEY_TEXT", "KEY_BASE64", "KEY_PATH")]
        first, second = ({}, None) if local else (ssh[0], ssh[1])
        before = self.estate.config.read_text() if self.estate.config.exists() else ""
        self.estate.write_config(self.kind, account=first, second=second, on_second=["games"], watch=WATCH)
        document = yaml.safe_load(self.estate.config.read_text())
        self.estate.config.write_text(before)
        _shrink(document)
        document["sources"] = self.sources()
        if not local:
            document["hosts"]["keeper"] = {"connect": "ssh", "state": ".fairlead-keeper", **ssh[2]}
            document["environments"]["demo"]["lock_host"] = "keeper"
        self._add_gates(document)
        change(document)
        path = self.estate.folder / name
        path.write_text(yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=200))
        return name

    def _add_gates(self, document: dict[str, Any]) -> None:
        headers = {f"X-{one.name}": {"secret": one.name.replace("-", "_")} for one in self.tokens}
        for refusal in REFUSALS:
            health = {"path": f"/{refusal}", "json": {"status": "healthy"}, "content_type": "application/json"}
            gate = {"strategy": "verify_only", "health": [{**health, "headers": headers}]}
            document["services"][f"gate-{refusal}"] = gate
            document["environments"]["demo"]["services"][f"gate-{refusal}"] = {"url": self.gate.url}

    def _watching(self) -> bool:
        """The gates refuse from the watch of a run that says so until its way back."""
        state = self.estate.home / (".fairlead-keeper" if self.kind == "ssh" else ".fairlead") / "demo" / "runs"
        newest = max(state.glob("*.rec"), key=lambda path: path.stat().st_mtime, default=None)
        if not newest:
            return False
        record = newest.read_text()
        return "refused on purpose" in record and '"kind":"watch"' in record and '"kind":"back"' not in record

    # -- telling

    def tell(
        self, words: Sequence[str], code: int | None = None, *more: str, program: Sequence[str] = ("-m", "fairlead")
    ) -> str:
        """Run a command to its end under trace; returns both outputs. AssertionError for another exit code.

        `more`: secrets that it gets in its environment besides those of the story.
        """
        argv = [sys.executable, *program, *words]
        trace, said = self.folder / "traces" / f"{self.traces}", self.folder / "said"
        self.traces += 1
        with ExitStack() as stack:
            sampler = None if strace_works() else stack.enter_context(Sampler())
            stack.enter_context(_Keys(self.folder / "t", self.key_modes))
            # Into files: strace stays with services that the operator has started itself, and would keep a pipe open.
            out, err = (stack.enter_context((said / f"{trace.name}.{name}").open("w+")) for name in ("out", "err"))
            done = subprocess.run(
                [*(tracing(trace) if strace_works() else ()), *argv],
                cwd=self.estate.folder,
                env=self._env(more),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=280,
                check=False,
            )
        stdout, stderr = ((said / f"{trace.name}.{name}").read_text(errors="replace") for name in ("out", "err"))
        if sampler:
            self.sampled += [(" ".join(words), one) for one in sampler.programs() if _not_own(one, argv)]
        assert not list((self.folder / "t").iterdir()), "something was left in the folder for temporary files"
        assert "Traceback" not in stderr, stderr
        if code is not None:
            assert done.returncode == code, f"{words} ended with {done.returncode}\n{stdout}\n{stderr}"
        return stdout + stderr

    def _env(self, more: Sequence[str]) -> dict[str, str]:
        operator = self.folder / "operator"
        plain = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
        folders = {f"XDG_{kind.upper()}_HOME": str(operator / kind) for kind in ("state", "cache")}
        path = f"{self.product}:{TESTS}"
        plain |= {
            "HOME": str(operator),
            "TMPDIR": str(self.folder / "t"),
            "PYTHONPATH": path,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        given = self.environ | {one.name: one.value for one in self.sentinels if one.name in more}
        own = {name.replace("-", "_"): value for name, value in given.items()}
        return {**plain, **folders, **own}

    def stop(self) -> None:
        """End all processes of the estate."""
        subprocess.run([*self.estate.control, "stop-all"], stderr=subprocess.DEVNULL, timeout=60, cwd="/")

    # -- searching

    def search(self) -> Search:
        """Look for every sentinel everywhere but in its source."""
        search = Search(self.sentinels)
        search.programs(self.programs())
        search.folder("said", self.folder / "said")
        search.folder("operator's home", self.folder / "operator")
        search.folder("operator's temporary files", self.folder / "t")
        data = self.estate.home / "data"  # the services' own databases: nothing of ours writes there
        search.folder("estate", self.estate.folder, but=[data])
        search.folder("sshd", self.folder / "sshd", but=[self.sshd.key])
        search.folder("target", self.sshd.public, but=[data])
        return search

    def programs(self) -> list[tuple[str, Program]]:
        """Everything that was started on both ends, but the operator's own first start: its environment is a source."""
        return [*self.sampled, *started(self.folder / "traces")]


class _Keys:
    """Watches how key files lie in the folder for temporary files while they are there: modes of folder and file."""

    def __init__(self, folder: Path, seen: set[tuple[int, int]]) -> None:
        self.folder, self.seen, self._end = folder, seen, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(0.003):
            for file in self.folder.glob("*/key"):
                with suppress(OSError):
                    modes = (stat.S_IMODE(file.parent.stat().st_mode), stat.S_IMODE(file.stat().st_mode))
                    self.seen.add(modes)


def _shrink(document: dict[str, Any]) -> None:
    """Only some services, each with its first database."""
    services, places = document["services"], document["environments"]["demo"]["services"]
    document["services"] = {name: services[name] for name in KEPT}
    document["environments"]["demo"]["services"] = {name: places[name] for name in KEPT}
    for name in KEPT:
        places[name]["databases"] = places[name]["databases"][:1]
        needs = services[name].pop("depends_on", [])
        services[name]["depends_on"] = [each for each in needs if each in KEPT]
    used = {base for name in KEPT for base in places[name]["databases"]}
    names = document["databases"]["estate"]["names"]
    document["databases"]["estate"]["names"] = {base: names[base] for base in names if base in used}


def _dotenv(value: str) -> str:
    return '"' + "".join(f"\\{c}" if c in '"\\$' else c for c in value) + '"'


def _base64(text: str) -> str:
    import base64

    return base64.b64encode(text.encode()).decode()


def _not_own(program: Program, argv: Sequence[str]) -> bool:
    """Not the operator's own process, whose environment is a source, and not the tests'."""
    tests = any(variable.startswith(b"PYTEST_CURRENT_TEST=") for variable in program.environ)
    return not tests and program.argv[: len(argv)] != tuple(word.encode() for word in argv)


def wait_for_traces(folder: Path) -> None:
    """strace writes a little behind."""
    sizes: Mapping[str, int] = {}
    while sizes != (now := {path.name: path.stat().st_size for path in folder.iterdir()}):
        sizes = now
        time.sleep(0.2)

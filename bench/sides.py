"""Who deploys: Fairlead, and a shell script. Each has a site of its own and sees it over the same line."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml
from bench.estate import SERVICES, SETTLE, UNIT, Site

from support.operator import Operator
from support.sshd import KEY, Sshd

SCRIPT = Path(__file__).parent / "deploy.sh"


@dataclass(frozen=True)
class View:
    """What the operator's machine knows: a folder of its own, the sources, and the ports that lead to the server."""

    folder: Path
    sources: Path
    sshd: Sshd
    ssh: int
    pages: int
    process: int

    def known_hosts(self) -> Path:
        """A file with the server's key, as it is seen at this port."""
        key = self.sshd.known_hosts.read_text().split(maxsplit=1)[1]
        file = self.folder / "known_hosts"
        file.write_text(f"[127.0.0.1]:{self.ssh} {key}")
        return file


class Deployer(Protocol):
    """One side of the comparison."""

    site: Site

    def deploy(self, version: str, *, again: bool = False) -> None:
        """Make the sources live; `again`: nothing has changed since the last time."""

    def part(self) -> None:
        """End what would make the next deployment quicker."""


@dataclass
class Script:
    """`deploy.sh`, with more lines for its ssh_config."""

    site: Site
    view: View
    more: tuple[str, ...] = ()
    config: Path = field(init=False)

    def __post_init__(self) -> None:
        self.config = self.view.folder / "ssh_config"
        lines = ("HostName 127.0.0.1", f"Port {self.view.ssh}", f"User {self.view.sshd.user}", *self.more)
        lines += (f"IdentityFile {self.view.sshd.key}", "IdentitiesOnly yes", "StrictHostKeyChecking yes")
        lines += (f"UserKnownHostsFile {self.view.known_hosts()}", f"ControlPath {self.view.folder}/ctl")
        self.config.write_text("Host target\n" + "".join(f"  {line}\n" for line in lines))

    def deploy(self, version: str, *, again: bool = False) -> None:
        view, site = self.view, self.site
        urls = (f"http://127.0.0.1:{view.pages}/{site.name}", f"http://127.0.0.1:{view.process}")
        words = (self.config, view.sources, site.home, version, str(SETTLE), *urls, *(["changed"] if again else []))
        done = subprocess.run([SCRIPT, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def part(self) -> None:
        subprocess.run(["ssh", "-F", self.config, "-O", "exit", "target"], capture_output=True)


@dataclass
class Fairlead:
    """`fairlead deploy`, from a machine of its own."""

    site: Site
    view: View
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        folder = self.view.folder
        (folder / "source").symlink_to(self.view.sources)
        (folder / "fairlead.yml").write_text(yaml.safe_dump(self._config(), sort_keys=False))
        self.operator = Operator(folder, folder / "home", {**self.view.sshd.environ, **self.environ})

    def deploy(self, version: str, *, again: bool = False) -> None:
        told = self.operator.json(0, "deploy", "--yes", "--no-watch", "--reason", version)["deployment"]
        assert told is None if again else told["state"] == "done"

    def part(self) -> None:
        """Nothing of it goes on."""

    def _config(self) -> dict[str, Any]:
        unit = str(self.site.home / "bin" / "unit")
        words = ("restart", "stop", "status", "show")
        account = {"address": "127.0.0.1", "port": self.view.ssh, "user": self.view.sshd.user, "key": KEY}
        commands = {word: [unit, word] for word in words} | {"log": [unit, "status"]}
        places = {"known_hosts": str(self.view.known_hosts()), "state": f"{self.site.name}/.fairlead"}
        return {
            "fairlead": 1,
            "project": "bench",
            "hosts": {"server": {**account, **places, "commands": commands}},
            "services": {name: self._service(name) for name in SERVICES},
            "environments": {
                "bench": {
                    "lock_host": "server",
                    "unattended": "allow",
                    "services": {name: self._place(name) for name in SERVICES},
                }
            },
        }

    def _service(self, name: str) -> dict[str, Any]:
        page = "/health" if name == UNIT else "/part-0/page-0.html"
        source = {"folder": f"source/{name}", "version": "VERSION"}
        needs = {} if name == UNIT else {"depends_on": [UNIT]}
        return {"strategy": "release", "source": source, "health": [{"path": page}], "keep": 100, **needs}

    def _place(self, name: str) -> dict[str, Any]:
        place = {"host": "server", "path": str(self.site.home / name)}
        if name == UNIT:
            process = f"http://127.0.0.1:{self.view.process}"
            return {**place, "url": process, "unit": "api", "settle": f"{SETTLE}s"}
        return {**place, "url": f"http://127.0.0.1:{self.view.pages}/{self.site.name}/{name}/current"}

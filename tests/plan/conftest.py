from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from fairlead.config import Installation, load, parse
from fairlead.model import Plan
from fairlead.outside.connect import Hosts
from fairlead.outside.files import ArtifactStore
from fairlead.outside.secrets import Secrets
from fairlead.plan.deploy import plan_deploy
from fairlead.plan.prepare import Artifact, prepare
from support.databases import make

FILE = """
fairlead: 1
project: p
hosts:
  server: {connect: local, home: HOME/server}
  annex: {connect: local, home: HOME/annex}
  spare: {connect: local, home: HOME/spare}
databases:
  here:
    engine: sqlite
    reached_from: server
    environment: test
    path: data/{name}.db
    backup_store: {host: server, path: backups}
    names: {crm: {}, games: {}, unused: {}}
services:
  api:
    source: {folder: source/api, version: VERSION}
    health: [{path: /health, headers: {Authorization: {secret: API_TOKEN}}}]
    identity: {path: /version}
  web: {source: {folder: source/web, version: VERSION}, depends_on: [api]}
  games: {source: {folder: source/games, version: VERSION}, depends_on: [web]}
  site: {strategy: verify_only, health: [{path: /}]}
environments:
  test:
    lock_host: server
    services:
      api: {host: server, path: srv/api, url: "http://127.0.0.1:9", databases: [crm]}
      web: {host: server, path: srv/web}
      games: {host: annex, path: srv/games, databases: [games]}
      site: {url: "http://127.0.0.1:9"}
"""


class World:
    """An installation of three services on two accounts, and an operator who plans."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.operator, self.document = folder, folder / "operator", yaml.safe_load(FILE)
        for host in self.document["hosts"].values():
            host["home"] = host["home"].replace("HOME", str(folder / "hosts"))
            Path(host["home"]).mkdir(parents=True)
        for name in ("crm", "games", "unused"):
            make(self.home() / f"data/{name}.db")
        self.store = ArtifactStore(self.operator / "cache")
        self.opened: Hosts | None = None

    def home(self, host: str = "server") -> Path:
        return self.folder / "hosts" / host

    def folder_of(self, service: str) -> Path:
        place = self.document["environments"]["test"]["services"][service]
        return self.home(place["host"]) / place["path"]

    @property
    def installation(self) -> Installation:
        return load(parse(yaml.safe_dump(self.document, sort_keys=False)), {})

    @property
    def hosts(self) -> Hosts:
        if self.opened is None:
            accounts = {name: host.account for name, host in self.installation.hosts.items()}
            self.opened = Hosts(accounts, Secrets(environ={"API_TOKEN": "sentinel-4711"}))
        return self.opened

    async def build(self, service: str, version: str) -> Artifact:
        source = self.operator / "source" / service
        source.mkdir(parents=True, exist_ok=True)
        (source / "VERSION").write_text(f"{version}\n")
        (source / f"of {service}").write_text("")
        spec = self.installation.environments["test"].services[service]
        return await prepare(spec, self.operator, {"PATH": os.environ["PATH"]}, self.store)

    async def lay(self, service: str, version: str, *, live: bool = True) -> str:
        """Put a release on its host as a deployment leaves it."""
        artifact = await self.build(service, version)
        name, place = artifact.tree.hash[:12], self.folder_of(service)
        shutil.copytree(self.store.path(artifact.tree.hash), place / "releases" / name, symlinks=True)
        if live:
            (place / "current").unlink(missing_ok=True)
            (place / "current").symlink_to(f"releases/{name}")
            (place / ".live").write_text(f"{name}\n")
        return name

    async def plan(self, **versions: str) -> Plan:
        artifacts = {service: await self.build(service, version) for service, version in versions.items()}
        installation = self.installation
        return await plan_deploy(installation, installation.environments["test"], artifacts, self.hosts, day="20260704")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    if made.opened is not None:
        await made.opened.aclose()

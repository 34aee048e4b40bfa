"""What the demo's estate consists of, and the fairlead.yml that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

SERVICES = {
    "api": ("votes", "support", "hooks", "consent", "api_stg"),
    "crm": ("crm", "newsletter"),
    "frontend": ("analytics",),
    "games": ("games",),
    "admin": ("idp", "grafana", "admin_stg"),
    "n8n": ("n8n", "nextcloud"),
    "website": ("main", "forum", "discourse"),
}
"""Services in the order of deployment, and the databases that each of them reads and writes."""

DATABASES = (
    *("main", "votes", "support", "newsletter", "forum"),
    *("crm", "n8n", "hooks", "consent", "games", "analytics", "api_stg", "admin_stg", "nextcloud"),
    *("idp", "grafana", "discourse"),
)
DEPLOYED = tuple(name for name in SERVICES if name != "website")
MIGRATED = {"api": "votes", "crm": "crm"}
"""Services that each new version migrates a database for, and which."""
NEEDS = {"crm": ["api"], "frontend": ["crm"], "games": ["frontend"], "admin": ["games"], "n8n": ["admin"]}
CONTROL = {"run": "restart", "status": "status", "stop": "stop"}
"""Keys of `on_switch`, and the verbs of `control.py`."""


@dataclass(frozen=True)
class Config:
    """The estate's fairlead.yml as data."""

    home: Path
    python: str
    ports: Mapping[str, int]
    kind: Literal["local", "ssh"]
    on_second: tuple[str, ...]
    """Services that the second account deploys."""

    @property
    def root(self) -> str:
        """What paths begin with: nothing where the account's home is ours."""
        return "" if self.kind == "local" else f"{self.home}/"

    def document(
        self,
        account: Mapping[str, Any],
        second: Mapping[str, Any] | None,
        watch: Mapping[str, Any],
        lease: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The whole file; the arguments are those of `Estate.write_config`."""
        hosts = {"server": self.host(account)}
        if second is not None:
            hosts["annex"] = {"state": ".fairlead-annex", **self.host(second)}
        return {
            "fairlead": 1,
            "project": "demo",
            "hosts": hosts,
            "databases": {"estate": self.databases()},
            "services": {name: self.service(name) for name in SERVICES},
            "environments": {"demo": self.environment(dict(watch), dict(lease))},
        }

    def host(self, account: Mapping[str, Any]) -> dict[str, Any]:
        """One entry below `hosts`."""
        local = {"connect": "local", "home": str(self.home)}
        return {**(local if self.kind == "local" else {"connect": "ssh"}), **account}

    def databases(self) -> dict[str, Any]:
        """The one group with all 17."""
        return {
            "engine": "sqlite",
            "reached_from": "server",
            "environment": "demo",
            "path": f"{self.root}data/mo_{{name}}.db",
            "backup_store": {"host": "server", "path": f"{self.root}backups", "keep": 20, "max_age": "24h"},
            "names": {name: {} for name in DATABASES},  # nobody's: what is personal would be encrypted, which takes age
        }

    def service(self, name: str) -> dict[str, Any]:
        """What the service is, wherever it runs."""
        health = [{"path": "/health", "status": 200, "json": {"status": "healthy"}, "timeout": "5s"}]
        if name == "website":
            return {"strategy": "verify_only", "health": health}
        return {
            "strategy": "release",
            "source": {"folder": f"source/{name}", "version": "VERSION"},
            **({"depends_on": NEEDS[name]} if name in NEEDS else {}),
            "health": health,
            "identity": {"path": "/version", "json": "release"},
            **({"migrations": self.migrations(MIGRATED[name])} if name in MIGRATED else {}),
            "on_switch": {**{key: self.control(verb, name) for key, verb in CONTROL.items()}, "leaves": True},
            "keep": 5,
        }

    def migrations(self, database: str) -> dict[str, Any]:
        """How a database is brought to what a release needs; nothing of that can be undone but by its backup."""
        program = [self.python, "-I", "-S", str(self.home / "bin" / "migrate.py")]
        path = str(self.home / "data" / f"mo_{database}.db")
        return {"apply": [[*program, "apply", path]], "probe": [*program, "probe", path], "databases": [database]}

    def control(self, verb: str, name: str) -> list[str]:
        """The command on the host that restarts a service, asks for it or stops it."""
        program = str(self.home / "bin" / "control.py")
        return [self.python, "-I", "-S", program, verb, name, str(self.home / "services" / name)]

    def environment(self, watch: dict[str, Any], lease: dict[str, Any]) -> dict[str, Any]:
        """The one environment; short times, and nobody need be asked."""
        rules = {
            **{"duration": "8s", "interval": "500ms", "down_for": "3s"},
            **{"error_share": "5%", "window": "4s", "min_requests": 10},
        }
        return {
            "lock_host": "server",
            "unattended": "allow",
            "watch": {**rules, **watch},
            "lease": {"ttl": "5s", "beat": "5s", **lease},
            "services": {name: self.place(name) for name in SERVICES},
        }

    def place(self, name: str) -> dict[str, Any]:
        """Where the service runs."""
        return {
            "host": "annex" if name in self.on_second else "server",
            "path": f"{self.root}services/{name}",
            "url": f"http://127.0.0.1:{self.ports[name]}",
            "port": self.ports[name],
            "databases": list(SERVICES[name]),
            "access_log": f"{self.root}services/{name}/log/access.log",
        }

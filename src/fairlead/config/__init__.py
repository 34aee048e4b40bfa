"""fairlead.yml: text in, frozen specs out. Reads nothing itself: no file, no environment, no clock."""

from fairlead.config.database import (
    ENGINES,
    AdminAccount,
    DatabaseSpec,
    GroupSpec,
    MaintenanceAccount,
    RollbackSpec,
    StoreSpec,
)
from fairlead.config.document import Document
from fairlead.config.environment import EnvironmentSpec
from fairlead.config.github import GitHubSpec
from fairlead.config.host import PRESETS, CommandWord, HostCommands, HostSpec, LoadSpec
from fairlead.config.installation import Installation
from fairlead.config.load import load, parse
from fairlead.config.schema import schema
from fairlead.config.service import (
    STRATEGIES,
    HealthSpec,
    IdentitySpec,
    MaintenanceSpec,
    MigrationSpec,
    ServiceSpec,
    SourceSpec,
    SwitchSpec,
)
from fairlead.config.source import CommandSource, DotenvSource, EnvironmentSource, FileSource, Source

__all__ = [
    "ENGINES",
    "PRESETS",
    "STRATEGIES",
    "AdminAccount",
    "CommandSource",
    "CommandWord",
    "DatabaseSpec",
    "Document",
    "DotenvSource",
    "EnvironmentSource",
    "EnvironmentSpec",
    "FileSource",
    "GitHubSpec",
    "GroupSpec",
    "HealthSpec",
    "HostCommands",
    "HostSpec",
    "IdentitySpec",
    "Installation",
    "LoadSpec",
    "MaintenanceAccount",
    "MaintenanceSpec",
    "MigrationSpec",
    "RollbackSpec",
    "ServiceSpec",
    "Source",
    "SourceSpec",
    "StoreSpec",
    "SwitchSpec",
    "load",
    "parse",
    "schema",
]

"""Which logs must hold no personal data, and what counts as such."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from fairlead.config.quality import QualitySpec, ReportEntry, quality_spec_of, whole
from fairlead.config.types import Flag, Line, Name, RemotePath, Wrong, some, text
from fairlead.model import Model


def _region(value: str) -> str:
    if len(value) != 2 or not value.isascii() or not value.isalpha():
        raise Wrong("should be the two letters of a country", "such as AT")
    return value.upper()


Region = Annotated[Line, AfterValidator(_region)]
IpPolicy = Annotated[Literal["off", "count", "fail"], BeforeValidator(text)]


class LogEntry(Model):
    """Log files of one account."""

    host: Name
    """One of the `hosts`."""
    files: Annotated[tuple[RemotePath, ...], AfterValidator(some)]
    """Paths there, with `*` and `?`; each must fit at least one file. What they were rotated into is followed."""


class PersonalEntry(Model):
    """Personal data in logs: e-mail addresses, IBANs, Austrian social insurance numbers, phone numbers."""

    logs: tuple[LogEntry, ...] = ()
    """Where logs lie; only what is new since the last look is read."""
    ip: IpPolicy = "count"
    """IP addresses: `off`, `count` (told, but no reason to stop) or `fail`. One that ends in `.0` was shortened."""
    private_ip: Flag = False
    """Do addresses of private networks count, too?"""
    regions: tuple[Region, ...] = ("AT", "DE", "CH")
    """Countries whose phone numbers are known without their country code."""
    allow: tuple[Line, ...] = ()
    """What may stand there, such as an office's address; `*` stands for any text."""
    reports: tuple[Annotated[ReportEntry, AfterValidator(whole)], ...] = ()
    """Reports that say the same, such as `dsgvo`."""


class LogSpec(Model):
    """Log files of one account."""

    host: str
    files: tuple[str, ...]


class PersonalSpec(Model):
    """What is looked for, and where."""

    logs: tuple[LogSpec, ...]
    ip: str
    private_ip: bool
    regions: tuple[str, ...]
    allow: tuple[str, ...]
    quality: QualitySpec | None
    """None = there are no reports."""


def personal_spec(entry: PersonalEntry) -> PersonalSpec:
    """What an entry stands for."""
    return PersonalSpec(
        logs=tuple(LogSpec(**log.model_dump()) for log in entry.logs),
        quality=quality_spec_of("personal_data", entry.reports) if entry.reports else None,
        **entry.model_dump(include={"ip", "private_ip", "regions", "allow"}),
    )

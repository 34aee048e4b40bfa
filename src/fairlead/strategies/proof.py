"""What must be true of a service before it counts as live: its health, and that it runs the release it should."""

from __future__ import annotations

from fairlead.config import ServiceSpec
from fairlead.model import HttpCheck


def health_checks(service: ServiceSpec) -> tuple[HttpCheck, ...]:
    """The service's health checks as data; every strategy uses the same ones."""
    return tuple(
        HttpCheck(
            subject=service.name,
            url=service.url + health.path,
            status=health.status,
            content_type=health.content_type,
            contains=health.contains,
            fields=health.fields,
            headers=health.headers,
            timeout=health.timeout,
            slow_ms=health.slow_ms,
        )
        for health in service.health
    )


def identity_checks(service: ServiceSpec, release: str) -> tuple[HttpCheck, ...]:
    """The service itself must say that it runs `release`; none where it has no identity or no release."""
    if service.identity is None or not release:
        return ()
    return (
        HttpCheck(
            check="identity",
            subject=service.name,
            url=service.url + service.identity.path,
            fields={service.identity.field: release},
        ),
    )

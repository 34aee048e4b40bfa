"""A test that was skipped has proven nothing, so it counts as failed; FAIRLEAD_ALLOW_SKIPS=1 lets it pass.

Where files run beside each other, those that take longest begin first: none is left for one process at the end.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

LONGEST = (
    "e2e/test_plesk_example.py",
    "engines/test_mariadb.py",
    "engines/test_postgres.py",
    "engines/test_mariadb_swap.py",
    "faults/test_data_back.py",
    "demo/test_story.py",
    "secrets/test_leaks.py",
    "demo/test_estate.py",
    "strategies/test_release.py",
)
ALLOWED = os.environ.get("FAIRLEAD_ALLOW_SKIPS") == "1"


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if ALLOWED or not report.skipped or hasattr(report, "wasxfail"):
        return
    why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{why}\n\nA skipped test counts as failed here; FAIRLEAD_ALLOW_SKIPS=1 allows it."


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: next((n for n, end in enumerate(LONGEST) if str(item.path).endswith(end)), 99))

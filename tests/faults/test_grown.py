"""A live release into which somebody has written since: bytecode is nobody's business, anything else is said."""

from __future__ import annotations

import pytest

from support.box import FREE, Box, Boxes, says

GROWN = {
    "python's bytecode": ("__pycache__/main.cpython-311.pyc", ""),
    "python's bytecode deep inside": ("vendor/x/__pycache__/y.cpython-311.pyc", ""),
    "a cache": ("cache/page.html", "cache/page.html"),
    "a change by hand": ("index.html", "index.html"),
}
"""What was written, and what is said of it."""


def grown(box: Box, path: str) -> str:
    """Write into what is live; its release."""
    live = (box.home / "site/current").resolve()
    box.put(f"site/releases/{live.name}/{path}", "written since")
    return live.name


def with_folders(box: Box, version: str, *broken: str) -> None:
    """The next version, with a folder as deep as the rows need it."""
    box.write(version, {"vendor/x/y.py": "", **dict.fromkeys(broken, "")})


@pytest.fixture(params=GROWN)
def written(request: pytest.FixtureRequest) -> tuple[str, str]:
    return GROWN[request.param]


def test_a_deployment_that_fails_leads_back_to_it(boxes: Boxes, written: tuple[str, str]) -> None:
    box, (path, named) = boxes(), written
    with_folders(box, "v2")
    says(box.deploy(), 0, "")
    release = grown(box, path)
    with_folders(box, "v3", "broken")
    before, planned = box.photograph(), box.run("plan")
    says(planned, 0, f"site/releases/{release} was written to since it went live: {path}" if named else "")
    assert ("was written to" in planned.text) is bool(named)
    says(box.deploy(), 3, "switch")
    assert box.photograph() == before and box.lock() == FREE


def test_it_can_be_left_and_found_again(boxes: Boxes, written: tuple[str, str]) -> None:
    """Forward to another release, back to the one that has grown, and back from one that has grown."""
    box, (path, _) = boxes(), written
    with_folders(box, "v2")
    says(box.deploy(), 0, "")
    release = grown(box, path)
    with_folders(box, "v3")
    says(box.deploy(), 0, "")
    grown(box, path)
    says(box.run("rollback", "--yes", "--no-watch", "--reason", "v3 is worse"), 0, f"site {release}")
    assert (box.home / "site/current").resolve().name == release
    assert (box.home / "site/current" / path).read_text() == "written since"
    assert box.lock() == FREE

"""An account that is shut into a folder and has little: what hosting panels give out as a chrooted shell."""

from __future__ import annotations

import os
from typing import Any

import pytest

from support.box import FREE, Boxes, in_place, release, says
from support.sshd import SSHD

JAIL = """set -e
mount -t tmpfs -o mode=755 none /mnt; cd /mnt; mkdir usr dev proc tmp etc
for part in usr dev proc tmp; do mount --rbind "/$part" "$part"; done
for link in bin lib lib64; do [ ! -e "/usr/$link" ] || ln -s "usr/$link" "$link"; done
exec "$@"
"""
"""Inside there is no /etc, so nobody has a name; the home lies where it does outside."""
SHUT = ("unshare", "-m", "sh", "-c", JAIL, "jail", SSHD)
LACKS = ("rsync", "systemctl", "sudo", "perl", "python3", "curl", "git")


@pytest.mark.parametrize("service", [release(), in_place()], ids=["releases", "docroot"])
def test_a_chrooted_account_without_rsync_sudo_and_systemctl(boxes: Boxes, service: dict[str, Any]) -> None:
    """Ready, out, and back, with paths from the home."""
    if os.getuid():
        pytest.skip("only root can shut an account in")
    box = boxes("ChrootDirectory /mnt", sshd={"program": SHUT, "lacks": LACKS}, service=service)
    says(box.run("ready"), 0, "it has no rsync, so releases go as a tar stream")
    box.write_much()
    says(box.deploy(), 0, "is done")
    assert box.is_new() and box.lock() == FREE
    before = box.photograph()
    box.write("v3", {"broken": ""})
    if service.get("strategy"):
        box.service = in_place(on_switch={"run": ["test", "!", "-e", "site/broken"]})
        box.configure()
    says(box.deploy(), 3, "everything is as it was")
    assert box.photograph() == before and box.lock() == FREE

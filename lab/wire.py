"""A wire between two TAP devices, with delay, jitter and loss, for kernels without netem.

wire.py A B MS [JITTER_MS [LOSS_PERCENT]]. Order is kept, as on a real path.
"""

import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque
from contextlib import suppress

TUNSETIFF = 0x400454CA
TAP_WITHOUT_INFO = 0x0002 | 0x1000
FRAME = 65600
LONGEST = 20000
"""Frames on their way; more are dropped."""


def tap(name: str) -> int:
    """Open a TAP device."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), TAP_WITHOUT_INFO))
    return device


def carry(a: int, b: int, delay: float, jitter: float, loss: float) -> None:
    """For ever; seconds, and a share of frames."""
    other = {a: b, b: a}
    under_way: dict[int, deque[tuple[float, bytes]]] = {a: deque(), b: deque()}
    while True:
        due = min((frames[0][0] for frames in under_way.values() if frames), default=None)
        wait = None if due is None else max(0.0, due - time.monotonic())
        for device in select.select([a, b], [], [], wait)[0]:
            frames = under_way[other[device]]
            for frame in received(device):
                at = time.monotonic() + delay + random.uniform(0, jitter)
                if random.random() >= loss and len(frames) < LONGEST:
                    frames.append((max(at, frames[-1][0]) if frames else at, frame))
        for device, frames in under_way.items():
            send(device, frames)


def received(device: int) -> list[bytes]:
    """What has arrived."""
    frames: list[bytes] = []
    with suppress(OSError):
        while len(frames) < 64:
            frames.append(os.read(device, FRAME))
    return frames


def send(device: int, frames: deque[tuple[float, bytes]]) -> None:
    """What is due."""
    now = time.monotonic()
    while frames and frames[0][0] <= now:
        with suppress(OSError):  # the cable is pulled
            os.write(device, frames.popleft()[1])


if __name__ == "__main__":
    milliseconds, jitter, percent = (float(word) for word in (*sys.argv[3:], "0", "0")[:3])
    carry(tap(sys.argv[1]), tap(sys.argv[2]), milliseconds / 1000, jitter / 1000, percent / 100)

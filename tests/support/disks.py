"""Shell prefixes under which a backup of 400 kB or more into `t/s` finds no room; `left` lists what is there then."""

from __future__ import annotations

SMALL_DISK = 'mount -t tmpfs -o size=200k none t && mkdir -m 700 t/s && "$0" "$@"; ls -A t/s >left'
LIMITED = {
    "disk": f"unshare -rm sh -c '{SMALL_DISK}'",
    "quota": "ulimit -f 100; mkdir -m 700 t/s; : >left; exec",
}

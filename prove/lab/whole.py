"""Seven services and 17 databases: out, onward, broken and back, from nothing and from what somebody else has left."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable

from prove.lab.attempts import one_by_one, unless
from prove.lab.hosts import PLACES, SITE, Installation, Said
from prove.table import Row

VISITS = """
import sys, urllib.request
for number in range(40):
    try:
        urllib.request.urlopen(f"{sys.argv[1]}/things/{number}", timeout=5).read()
    except OSError:
        pass
"""
BY_HAND = """
cd /{site}/subdomains
for name in api crm www games admin n8n; do
  mkdir -p $name/current/up $name/current/.well-known
  echo "<title>CRM</title>by hand" >$name/current/index.html
  echo x >"$name/current/up/a b.txt"
  echo z >$name/current/.well-known/y
  chmod 640 $name/current/index.html
  chmod 2775 $name/current/up
  ln -s index.html $name/current/again
  chown -Rh deploy:psacln $name/current
done
echo '<?php echo "CRM by hand";' >crm/current/index.php
cp -r /run/by-hand/. api/current
cp api/shared/.env api/current/.env
printf '{{"release": "by hand"}}' >api/current/release.json
chown -Rh deploy:psacln api/current
chgrp psaserv games/current/index.html
chmod 644 www/current/index.html admin/current/index.html
systemctl restart api-fastapi
cd admin-stg/httpdocs
mkdir -p uploads/2026 forum
echo theirs >index.html; echo cat >uploads/2026/cat.jpg; echo SECRET=1 >.env; echo '<?php // phpBB' >forum/config.php
chown -R www-data:psacln uploads; chmod 640 .env; chmod 2775 uploads
chown deploy:psacln . index.html .env forum forum/config.php
"""
"""What somebody has put where everything is to go, and what runs."""


def rows(lab: Installation, scale: float, dice: random.Random) -> Iterable[Row]:
    """Each on hosts as they were made, but for what follows from the one before."""
    yield from one_by_one(
        lab,
        (
            ("seven services and 17 databases, from nothing", _from_nothing),
            ("the next version: a unit restarted by sudo, two migrations, n8n's import", _next),
            ("a version that fails its visitors, which is watched", _fails_visitors),
            ("a unit that dies three seconds after a restart that succeeded", _dies),
            ("a finished version taken back, with its data", _taken_back),
            ("triggers, and writers that nobody can stop: seen before anything is begun", _triggers),
            ("what somebody else has left: refused, adopted, replaced, and back", _foreign),
            ("staging: a docroot that others live in", _docroot),
        ),
    )


def _out(lab: Installation, code: int, which: str, said: Said) -> list[str]:
    found, wrong = lab.verdict()
    return [*unless((said.code, found) == (code, which), f"{found} is live", said), *wrong]


def _from_nothing(lab: Installation) -> tuple[str, list[str]]:
    lab.anew()
    told = json.loads(lab.run("db", "check", "--json").text)
    wrong = [] if (told["reachable"], told["total"]) == (17, 17) else [f"databases: {told}"]
    lab.write()
    refused = lab.deploy()
    wrong += unless(refused.code == 1 and "crm: no backup" in refused.text, "without backups", refused)
    wrong += _out(lab, 1, "old", refused)
    lab.back_up()
    said = lab.run("deploy", "--yes")
    wrong += _out(lab, 0, "new", said)
    lab.length = lab.lines()
    status = lab.run("status", "--json")
    seen = json.loads(status.text)
    wrong += (
        [] if (seen["databases_reachable"], (seen["last"] or {}).get("state")) == (17, "done") else [status.text[-400:]]
    )
    note = f"out and watched for 20 s in {said.seconds:.0f} s, {lab.length} lines of the record"
    return f"{note}; status {status.seconds:.1f} s", wrong


def _next(lab: Installation) -> tuple[str, list[str]]:
    before = lab.photograph()["unit"]["MainPID"]
    lab.on("plesk", "rm -f /var/log/stand-ins/*")
    lab.write()
    said = lab.deploy()
    wrong = _out(lab, 0, "new", said)
    after = lab.photograph()["unit"]["MainPID"]
    wrong += ["the unit's main process is the same"] if before == after else []
    calls = lab.on("plesk", "cat /var/log/stand-ins/*")
    for call in ("updatedb -y", "upgrade:db", "cache:rebuild", "state:set", "import:workflow"):
        wrong += [] if call in calls else [f"nobody called {call}"]
    return f"main process {before}, then {after}; {said.seconds:.0f} s", wrong


def _fails_visitors(lab: Installation) -> tuple[str, list[str]]:
    lab.write(errors=True)
    process = lab.start("deploy", "--yes")
    while process.poll() is None:
        lab.lab("run", "python3", "-c", VISITS, f"http://{lab.address('plesk')}:8081")
    said = lab.end(process)
    wrong = _out(lab, 3, "old", said)
    told = said.line("requests to api failed")
    wrong += [] if told else ["it was not said that visitors got errors"]
    return told.strip(), wrong


def _dies(lab: Installation) -> tuple[str, list[str]]:
    lab.write(dies=3)
    said = lab.deploy()
    told = said.line("did not last")
    wrong = [] if told else ["it was not said that the unit did not last"]
    return told.strip(), [*_out(lab, 3, "old", said), *wrong]


def _taken_back(lab: Installation) -> tuple[str, list[str]]:
    lab.write()
    out = lab.deploy()
    wrong = _out(lab, 0, "new", out)
    back = lab.run("rollback", "--yes", "--no-watch", "--reason", "as it was")
    return f"back in {back.seconds:.0f} s", [*wrong, *_out(lab, 0, "old", back)]


def _triggers(lab: Installation) -> tuple[str, list[str]]:
    trigger = "CREATE TRIGGER loud BEFORE INSERT ON entry FOR EACH ROW SET NEW.note = UPPER(NEW.note)"
    lab.on("mysql", f"mariadb mo_n8n -e '{trigger}'")
    lab.write()
    said = lab.deploy()
    lab.on("mysql", "mariadb mo_n8n -e 'DROP TRIGGER loud'")
    lab.before["databases"] = lab.databases()
    told = said.line("triggers")
    return told[:160], [*([] if "n8n: has triggers" in told else ["it was not said"]), *_out(lab, 1, "old", said)]


def _foreign(lab: Installation) -> tuple[str, list[str]]:
    lab.anew()
    lab.back_up()
    lab.write()
    hand = lab.root("plesk") / "run/by-hand"
    hand.mkdir()
    for name in ("main.py", "run"):
        (hand / name).write_bytes((lab.folder / "source/api" / name).read_bytes())
    lab.on("plesk", BY_HAND.format(site=SITE))
    lab.before = found = lab.photograph()
    wrong = [] if found["unit"]["says"] == "by hand" else [f"by hand: {found['unit']}"]
    refused = lab.deploy()
    wrong += unless(refused.code == 1 and "fairlead adopt" in refused.text, "not refused", refused)
    wrong += _out(lab, refused.code, "old", refused)
    for name in PLACES:
        adopted = lab.run("adopt", name, "--yes", "--no-watch")
        wrong += unless(adopted.code == 0, f"adopt {name}", adopted)
    seen = lab.photograph()
    wrong += [f"{name} was changed by its adoption" for name in PLACES if seen["trees"][name] != found["trees"][name]]
    said = lab.deploy()
    wrong += _out(lab, 0, "new", said)
    back = lab.run("rollback", "--yes", "--no-watch", "--reason", "as it was")
    wrong += unless(back.code == 0, "the way back", back)
    seen = lab.photograph()
    wrong += [f"{name} is not as it was found" for name in PLACES if seen["trees"][name] != found["trees"][name]]
    wrong += [f"{name} is another" for name, was in found["databases"].items() if seen["databases"][name] != was]
    wrong += [] if seen["unit"]["says"] == "by hand" else [f"the unit is {seen['unit']}"]
    return f"out {said.seconds:.0f} s, back {back.seconds:.0f} s", wrong


def _docroot(lab: Installation) -> tuple[str, list[str]]:
    docroot = f"/{SITE}/subdomains/admin-stg/httpdocs"
    found = lab.trees(docroot)[docroot]
    if "forum/config.php" not in found:
        raise RuntimeError("nothing foreign lies in the docroot")
    lab.write()
    said = lab.run("deploy", "--yes", "--no-watch", environment="staging")
    seen = lab.trees(docroot)[docroot]
    wrong = unless(said.code == 0, "staging", said)
    wrong += [
        f"{path} was changed"
        for path, was in found.items()
        if path not in (".", "index.html") and seen.get(path) != was
    ]
    page = lab.lab("run", "curl", "-s", f"http://{lab.address('plesk')}:8095/")
    wrong += [] if f"Admin v{lab.count}" in page else [f"the page is {page[:80]}"]
    lab.write()
    wrong += unless((more := lab.run("deploy", "--yes", "--no-watch", environment="staging")).code == 0, "again", more)
    history = json.loads(lab.run("history", "--json", environment="staging").text)["deployments"]
    for run in [one["id"] for one in history if one["kind"] == "deploy"]:
        back = lab.run("rollback", run, "--yes", "--no-watch", "--reason", "as it was", environment="staging")
        wrong += unless(back.code == 0, "the way back", back)
    after = lab.trees(docroot)[docroot]
    wrong += [f"{path} is not as it was" for path in found.keys() | after.keys() if after.get(path) != found.get(path)]
    return f"out {said.seconds:.0f} s", wrong

"""A docroot that must stay a folder, changed in place: a panel's `httpdocs`, or one that several services share.

Everything of ours lies beside it, on the same file system: see the head of `in_place.sh`, which does the work. Only
what Fairlead deployed and nobody has changed since is ever deleted; what is replaced is kept as the very inode, so that
the way back is exact in content, mode and owner.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Iterator

from fairlead.config import HostSpec, ServiceSpec
from fairlead.errors import NotReady
from fairlead.model import (
    IDENTITY_FILE,
    Check,
    Command,
    CommandCheck,
    Difference,
    Inventory,
    Model,
    Run,
    ServiceChange,
    Step,
    Tree,
    Upload,
    sha256,
    shell,
)
from fairlead.model.tree import Entry
from fairlead.outside.files import package_text
from fairlead.strategies import release
from fairlead.strategies.release import release_id

_MANY = 5
"""So many paths are named in a refusal."""


class Found(Model):
    """What lies in the docroot, as far as a plan has to know it, and beside it."""

    current: str = ""
    """The release that was deployed last; empty = none."""
    number: int = 0
    """The number of the change that brought it."""
    halfway: bool = False
    """A change was left in the middle."""
    kept: tuple[int, ...] = ()
    """Numbers of the changes whose replaced files are kept, newest first."""
    foreign: tuple[int, ...] = ()
    """Those of them that keep what Fairlead did not put there."""
    releases: tuple[str, ...] = ()
    """Newest first."""
    unnamed: tuple[str, ...] = ()
    """Releases that do not tell their id; here each was made, so there is none."""
    absent: bool = False
    no_folder: bool = False
    link: str = ""
    """The docroot is a symbolic link, to this."""
    devices: tuple[str, ...] = ()
    """File systems of the docroot and of the place beside it."""
    closed: str = ""
    """The folder above the place beside it, where it may not be written to."""
    added: tuple[str, ...] = ()
    """What the change that brought the live release has put where nothing was."""
    rsync: bool = True
    """The host has rsync."""
    page: bool = False
    """The page that announces a maintenance is there already."""
    shapes: tuple[tuple[int, str], ...] = ()
    """How many entries outside of what is protected have the same `TYPE MODE OWNER`."""
    have: dict[str, Entry] = {}
    """Files and links at the paths of the new release and of what was deployed; others are not looked at."""
    odd: tuple[str, ...] = ()
    """What is neither file nor folder nor link there."""
    folders: tuple[str, ...] = ()
    shut: tuple[str, ...] = ()
    """Folders that may not be written to."""
    deployed: dict[str, str] = {}
    """What Fairlead has deployed: path -> SHA-256 of a file, `l MODE TARGET` of a link."""
    unreadable: bool = False
    ground: str = ""
    """SHA-256 of all that was seen at these paths."""

    def ours(self, path: str) -> bool:
        """It is still what Fairlead deployed there."""
        entry = self.have.get(path)
        return entry is not None and self.deployed.get(path) == _told(entry)


def place_of(service: ServiceSpec) -> str:
    """Where everything of ours lies for this service."""
    return f"{service.beside}/{service.name}"


# -- look


def look(service: ServiceSpec) -> Command:
    """The command that finds out what lies there; it reads `wants(tree)`, and `read` reads its answer."""
    page = service.maintenance.page if service.maintenance else ""
    return _act("look", service, page, *service.protected, timeout=120)


def wants(tree: Tree | None) -> bytes:
    """What `look` reads on standard input: every path that the release would touch."""
    paths = [".", f"./{IDENTITY_FILE}", *(f"./{path}" for path in tree.entries)] if tree else ["."]
    return b"".join(path.encode() + b"\0" for path in paths)


def read(stdout: str) -> Found:
    """Parse the answer of `look`. Raises ValueError where it is not whole."""
    head, separator, rest = stdout.partition("\nground\n")
    deployed, links_mark, rest = rest.partition("=links\0")
    links, ground_mark, rest = rest.partition("=ground\0")
    ground, whole, _ = rest.partition("=whole\0")
    if not (separator and links_mark and ground_mark and whole):
        raise ValueError("the answer is cut off")
    words: dict[str, list[str]] = {}
    for line in head.splitlines():
        key, _, value = line.partition(" ")
        words.setdefault(key, []).append(value)
    live = words.get("live", [""])[0]
    return Found(
        current="" if live == "switching" else live,
        halfway=live == "switching",
        number=int(words.get("number", ["0"])[0] or 0),
        kept=tuple(sorted((int(name) for name in words.get("kept", []) if name.isdecimal()), reverse=True)),
        foreign=tuple(int(name) for name in words.get("foreign", []) if name.isdecimal()),
        releases=tuple(words.get("release", [])),
        absent="absent" in words,
        no_folder="file" in words,
        link=words.get("link", [""])[0],
        devices=tuple(words.get("devices", [])),
        closed=words.get("closed", [""])[0],
        added=tuple(words.get("added", [])),
        rsync="no-rsync" not in words,
        page="page" in words,
        shapes=tuple(_shape(text) for text in words.get("count", [])),
        deployed=dict((*_sums(deployed), *_links(links))),
        ground=sha256(ground),
        **_records(ground),
    )


def _shape(text: str) -> tuple[int, str]:
    count, _, rest = text.partition(" ")
    return int(count), rest


def _sums(text: str) -> Iterator[tuple[str, str]]:
    for record in text.split("\0")[:-1]:
        digest, _, path = record.partition("  ./")
        yield path, digest


def _links(text: str) -> Iterator[tuple[str, str]]:
    for record in text.split("\0")[:-1]:
        head, _, path = record.rpartition("\t./")
        yield path, head


def _records(ground: str) -> dict[str, object]:
    """What the records say: `TYPE MODE LINK<TAB>./PATH`, `d<TAB>./PATH` (x: shut), `SHA256  ./PATH`."""
    have: dict[str, Entry] = {}
    folders: list[str] = []
    shut: list[str] = []
    odd: list[str] = []
    sums: dict[str, str] = {}
    records = ground.split("\0")[:-1]
    for record in records:
        head, tab, path = record.rpartition("\t")
        path = path.removeprefix("./")
        if tab and head in ("d", "x"):
            folders.append(path)
            shut += [path] * (head == "x")
        elif tab and head[:2] in ("f ", "l "):
            kind, mode, link = head.split(" ", 2)
            have[path] = Entry(kind=kind, mode=int(mode, 8), link=link)
        elif tab:
            odd.append(path)
        elif record != "unreadable":
            digest, _, name = record.partition("  ./")
            sums[name] = digest
    for path, digest in sums.items():
        have[path] = have[path].model_copy(update={"sha256": digest})
    lacks = any(entry.kind == "f" and not entry.sha256 for entry in have.values())
    return {
        "have": have,
        "folders": tuple(folders),
        "shut": tuple(shut),
        "odd": tuple(odd),
        "unreadable": lacks or "unreadable" in records,
    }


def _told(entry: Entry) -> str:
    """As `deployed` tells it."""
    return entry.sha256 if entry.kind == "f" else f"l {entry.mode:o} {entry.link}"


# -- refusals


def refuse(service: ServiceSpec, found: Found, tree: Tree | None = None) -> None:
    """Raise NotReady with everything that stands in the way of a change."""
    problems = [*_place_problems(service, found), *(_release_problems(service, found, tree) if tree else ())]
    if problems:
        where = f"{service.name}: {service.host}:{service.path}"
        hints = dict.fromkeys(hint for _, hint in problems if hint)
        raise NotReady("\n".join(f"{where} {what}" for what, _ in problems), "\n".join(hints))


def _place_problems(service: ServiceSpec, found: Found) -> Iterator[tuple[str, str]]:
    place = place_of(service)
    if found.link:
        yield (
            f"is a symbolic link to {found.link}",
            "set `path` to the folder itself; a docroot that is a link can be `release`",
        )
    elif found.absent:
        yield (
            "is not there",
            f"make it, with the owner and mode that the web server needs: mkdir {shlex.quote(service.path)}",
        )
    elif found.no_folder:
        yield "is not a folder", "give the service another `path`"
    elif len(set(found.devices)) > 1:
        hint = f"set `beside` of {service.name} to a folder on the docroot's own file system, not served to anybody"
        yield f"is on another file system than {service.beside}", hint
    if found.closed:
        hint = f"set `beside` of {service.name} to a folder that the account may write to, on the same file system"
        yield f"needs a folder {place} beside it, but {found.closed} may not be written to", hint
    if found.halfway:
        mark = shlex.join(("sh", "-c", 'printf "%s\\n" "$@" >"$0"', f"{place}/.live", "RELEASE", "NUMBER"))
        hint = (
            f"make sure that it holds what it should, then say on {service.host} which change of {place}/kept that is"
        )
        yield "was left in the middle of a change", f"{hint}: {mark}"
    if found.page:
        yield (
            f"has {service.maintenance.page if service.maintenance else ''} already",
            "is a maintenance going on? then end it",
        )
    if found.unreadable:
        yield "holds files that cannot be read", "every file that would be replaced must be readable for the account"


def _release_problems(service: ServiceSpec, found: Found, tree: Tree) -> Iterator[tuple[str, str]]:
    paths = [*tree.entries, IDENTITY_FILE]
    folders, files = (
        set(found.folders),
        {path for path in paths if path == IDENTITY_FILE or tree.entries[path].kind != "d"},
    )
    away = "take it out of the release, or move away what lies there"
    for path in _some(path for path in paths if path not in files and found.have.get(path, _NONE).kind == "l"):
        yield f"has a symbolic link at {path}, and the release would go through it", away
    for path in _some(path for path in paths if path not in files and found.have.get(path, _NONE).kind == "f"):
        yield f"has a file at {path}, where the release has a folder", away
    for path in _some(path for path in paths if path in files and path in folders):
        yield f"has a folder at {path}, where the release has a file", away
    for path in _some(path for path in paths if path in found.odd):
        yield f"has something at {path} that is neither a file nor a link", away
    for path in _some(name for name in service.protected if _covered(name, tree)):
        yield f"protects {path}, and the release contains it", "take it out of the release, or out of `protected`"
    for path in _some(found.shut):
        yield f"has a folder {path} that may not be written to", "look at its owner and mode"


_NONE = Entry(kind="d", mode=0)


def _covered(name: str, tree: Tree) -> bool:
    """The release has it, or a file where a folder above it would be."""
    above = [str(parent) for parent in posixpath_parents(name)]
    return name in tree.entries or any(tree.entries[p].kind != "d" for p in above if p in tree.entries)


def posixpath_parents(name: str) -> Iterator[str]:
    """The folders above a relative path, innermost first."""
    while name := posixpath.dirname(name):
        yield name


def _some(paths: Iterable[str]) -> list[str]:
    return list(paths)[:_MANY]


# -- what changes


class Moves(Model):
    """Which paths a release touches; sorted. The script finds the same by itself, from the same ground."""

    added: tuple[str, ...]
    replaced: tuple[str, ...]
    gone: tuple[str, ...]
    """Deployed by Fairlead, as it was deployed, and no longer in the release."""
    left: tuple[str, ...]
    """Deployed by Fairlead, changed by hand since, and no longer in the release: stays."""

    @classmethod
    def of(cls, tree: Tree, found: Found) -> Moves:
        """Compare."""
        want = {path: entry for path, entry in tree.entries.items() if entry.kind != "d"}
        put = [path for path, entry in want.items() if _other(found.have.get(path), entry)]
        gone = [path for path in found.deployed if path not in want and path != IDENTITY_FILE and path in found.have]
        return cls(
            added=tuple(sorted(path for path in put if path not in found.have)),
            replaced=tuple(sorted(path for path in put if path in found.have)),
            gone=tuple(sorted(path for path in gone if found.ours(path))),
            left=tuple(sorted(path for path in gone if not found.ours(path))),
        )


def _other(have: Entry | None, want: Entry) -> bool:
    return have is None or have.model_copy(update={"size": 0}) != want.model_copy(update={"size": 0})


def lives(tree: Tree, found: Found) -> bool:
    """This release is live, and nobody has changed a file of it."""
    moves = Moves.of(tree, found)
    return found.current == release_id(tree) and not (moves.added or moves.replaced or moves.gone)


def change(service: ServiceSpec, tree: Tree, version: str, found: Found) -> ServiceChange:
    """What a release of `tree` means for the docroot, file by file."""
    moves = Moves.of(tree, found)
    return ServiceChange(
        service=service.name,
        host=service.host,
        strategy=service.strategy,
        before=found.current,
        after=release_id(tree),
        version=version,
        files=Difference(added=moves.added, changed=moves.replaced, deleted=moves.gone),
        folder=place_of(service),
        inventory=_inventory(service, moves, found),
    )


def _inventory(service: ServiceSpec, moves: Moves, found: Found) -> Inventory:
    replaced = [*moves.replaced, *([IDENTITY_FILE] if IDENTITY_FILE in found.have else [])]
    by_kind = {kind: sum(count for count, shape in found.shapes if shape[0] == kind) for kind in "fdl"}
    total = sum(count for count, _ in found.shapes)
    untouched = total - by_kind["d"] - sum(path in found.have for path in {*replaced, *moves.gone})
    return Inventory(
        files=by_kind["f"],
        folders=by_kind["d"],
        links=by_kind["l"],
        others=total - sum(by_kind.values()),
        untouched=max(untouched, 0),
        shapes=tuple(f"{count} {shape}" for count, shape in found.shapes),
        foreign=tuple(path for path in replaced if path not in found.deployed),
        by_hand=tuple(path for path in replaced if path in found.deployed and not found.ours(path)),
        left=moves.left,
        protected=service.protected,
    )


# -- steps


def steps(service: ServiceSpec, host: HostSpec, tree: Tree, found: Found) -> tuple[Step, ...]:
    """All steps that make `tree` live, in order; staging first, deletions last."""
    placed, new = _placed(service), release_id(tree)
    moves, number = Moves.of(tree, found), max((found.number, *found.kept)) + 1
    migrations = {
        m.phase: release.migrate(service, m, f"{placed.path}/releases/{new}") for m in (service.migrations,) if m
    }
    return (
        _room(service),
        *_staging(placed, host, tree, found),
        _keep(service, host, number, new, moves, found),
        *release.maintenance(placed, host, new, on=True),
        *(one for phase, one in migrations.items() if phase == "before"),
        _switch(service, host, number, new, moves),
        *(one for phase, one in migrations.items() if phase == "after"),
        *release.maintenance(placed, host, new, on=False),
        *_tidy(service, number, new, moves, found),
    )


def fence(service: ServiceSpec, host: HostSpec, *, on: bool) -> tuple[Step, ...]:
    """Maintenance of whichever release is live."""
    return release.fence(_placed(service), host, on=on)


def staged(service: ServiceSpec, change: ServiceChange, found: Found) -> tuple[Check, ...]:
    """Before the switch: a tree that was there already must be what its name says; a new one was proven as it came."""
    return release.tree_checks(_placed(service), change.after if change.after in found.releases else "")


def standing(service: ServiceSpec, change: ServiceChange) -> tuple[Check, ...]:
    """After the way back: the old release must be marked live. That every file is as found is said by the probe."""
    if not change.before:
        return ()
    command = shell('IFS= read -r live <"$1" && [ "$live" = "$2" ]', f"{place_of(service)}/.live", change.before)
    return (CommandCheck(subject=service.name, host=service.host, command=command),)


def back(
    service: ServiceSpec, host: HostSpec, undone: ServiceChange, found: Found
) -> tuple[ServiceChange, tuple[Step, ...], tuple[Check, ...]]:
    """What leads from a finished change back to what it found, be that a release or what lay there before the first.

    Raises NotReady where something else is live by now, or where what it replaced is no longer kept.
    """
    if found.current != undone.after:
        raise NotReady(
            f"{service.name} has {found.current or 'nothing'} in place, not {undone.after} which that deployment left",
            "`fairlead history` shows what came after it; roll that back instead",
        )
    if found.number not in found.kept:
        what = f"{service.name}: what change {found.number} replaced is no longer on {service.host}"
        raise NotReady(what, "deploy it again")
    turned = undone.back(files=Difference())
    title = f"bring back {undone.before}" if undone.before else "bring back what lay there before the first deployment"
    return turned, (_switch_back(service, host, found, undone.after, title),), ()


def _placed(service: ServiceSpec) -> ServiceSpec:
    """The service as if its folder were the place beside the docroot: where it is staged, and where its marks lie."""
    place, maintenance = place_of(service), service.maintenance
    if maintenance and maintenance.page:
        page = posixpath.relpath(f"/{service.path}/{maintenance.page}", f"/{place}")
        maintenance = maintenance.model_copy(update={"page": page})
    return service.model_copy(update={"path": place, "maintenance": maintenance})


def _act(verb: str, service: ServiceSpec, *words: object, timeout: float = 60.0) -> Command:
    script = package_text("strategies/in_place.sh")
    return shell(script, verb, service.path, place_of(service), *map(str, words), timeout=timeout)


def _room(service: ServiceSpec) -> Step:
    place = place_of(service)
    return release.step(
        service,
        "room",
        f"make {place}",
        "stage",
        do=Run(command=_act("room", service)),
        probe=_act("roomy", service),
        undo=_act("no_room", service),
        shows=(f"mkdir -p -m 0700 {place}",),
        shows_back=(f"rmdir {place}, if it is empty",),
    )


def _staging(placed: ServiceSpec, host: HostSpec, tree: Tree, found: Found) -> tuple[Step, ...]:
    """Upload and proof as for releases side by side. Nobody writes to what lies there: it is never served."""
    upload = release.upload(placed, tree, release.Found(had=("releases",), rsync=found.rsync))
    if found.current in found.releases and isinstance(upload.do, Upload):
        link = f"{placed.path}/releases/{found.current}"
        upload = upload.model_copy(update={"do": upload.do.model_copy(update={"link_from": link})})
    return upload, release.commit(placed, host, tree, release.Found(had=("releases",)))


def _keep(service: ServiceSpec, host: HostSpec, number: int, new: str, moves: Moves, found: Found) -> Step:
    _, _, status = release.switch_lines(service, host)
    kept = len(moves.replaced) + len(moves.gone) + (IDENTITY_FILE in found.have)
    where = f"{place_of(service)}/kept/{number}"
    return release.step(
        service,
        "keep",
        f"keep {kept} files as they are, lay {len(moves.added) + len(moves.replaced) + 1} ready",
        "stage",
        do=Run(command=_act("keep", service, number, new, found.ground, status, timeout=900)),
        probe=_act("kept", service, number, found.ground),
        undo=_act("drop", service, number, timeout=300),
        shows=(f"compare what lies in {service.path} with this plan", f"hard-link {kept} files into {where}/found"),
        shows_back=(f"rm -rf {where}",),
    )


def _switch(service: ServiceSpec, host: HostSpec, number: int, new: str, moves: Moves) -> Step:
    again, stop, status = release.switch_lines(service, host)
    several = len(moves.added) + len(moves.replaced) + 1
    return release.step(
        service,
        "switch",
        f"switch to {new}",
        "activate",
        do=Run(command=_act("switch", service, number, new, again, timeout=900)),
        probe=_act("switched", service, number, "before", "after", new, status, timeout=300),
        undo=_act("restore", service, number, again, stop, timeout=900),
        leaves=service.on_switch.leaves,
        warns=(
            f"{service.name}: {several} files in {service.path} are put in place one by one, by rename, pages last; "
            "for so long visitors may see a mixture",
        ),
        shows=_shown(service, moves, again),
        shows_back=_shown_back(service, number, again, ("rm what was new",)),
    )


def _command(lines: str) -> list[str]:
    """The command that a person typed, without the looks behind it."""
    return [] if lines == ":" else [lines.partition("\n")[0]]


def _shown(service: ServiceSpec, moves: Moves, again: str) -> tuple[str, ...]:
    told = (
        f"mv {len(moves.added)} new files into {service.path}, folders made as it is",
        f"mv {len(moves.replaced)} changed files over those that lie there, *.html and index.php last",
        f"mv {IDENTITY_FILE}",
    )
    return (*told, *_command(again))


def _shown_back(service: ServiceSpec, number: int, again: str, removed: Iterable[str]) -> tuple[str, ...]:
    first = f"mv what lies in {place_of(service)}/kept/{number}/found back, the very files"
    return (first, *removed, *_command(again))


def _switch_back(service: ServiceSpec, host: HostSpec, found: Found, live: str, title: str) -> Step:
    """The step of `_switch` the other way round."""
    number = found.number
    again, stop, status = release.switch_lines(service, host)
    removed = (f"rm {service.path}/{path}, if it is still what was put there" for path in found.added)
    return release.step(
        service,
        "switch",
        title,
        "activate",
        do=Run(command=_act("restore", service, number, again, stop, timeout=900)),
        probe=_act("switched", service, number, "after", "before", live, status, timeout=300),
        undo=_act("switch", service, number, live, again, timeout=900),
        leaves=service.on_switch.leaves,
        shows=_shown_back(service, number, again, removed),
        shows_back=(f"mv the files of {live} into {service.path} again", *_command(again)),
    )


def _tidy(service: ServiceSpec, number: int, new: str, moves: Moves, found: Found) -> tuple[Step, ...]:
    """After the watch: what the release no longer has, and what is older than `keep`.

    What Fairlead did not put there is kept for ever, also when it was replaced: to delete it is for its owner.
    """
    changes = [f"kept/{old}" for old in found.kept[max(service.keep - 1, 0) :] if old not in found.foreign]
    stay = {new, found.current}
    others = [name for name in found.releases if name not in stay]
    old = [*changes, *(f"releases/{name}" for name in others[max(service.keep - len(stay - {""}), 0) :])]
    if not moves.gone and not old:
        return ()
    titles = [f"delete {len(moves.gone)} files that the release no longer has"] * bool(moves.gone)
    titles += ["delete old " + ", ".join(old)] * bool(old)
    return (
        release.step(
            service,
            "tidy",
            "; ".join(titles),
            "close",
            do=Run(command=_act("tidy", service, number, *old, timeout=300)),
            probe=_act("tidied", service, number, *old, timeout=300),
            back="no",
            shows=(
                *(f"rm {service.path}/{path}" for path in moves.gone),
                *(f"rm -rf {place_of(service)}/{name}" for name in old),
            ),
        ),
    )

"""Releases side by side, one of them live through a symbolic link.

A service's folder holds `releases/ID` (ID = first 12 hex digits of the tree hash), `shared/`, the relative link
`current` and the marker `.live`: the release that the service was last restarted onto. Link and restart are one step:
taken back apart, the old code would be linked again while the broken process went on.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from fairlead.config import HostSpec, MigrationSpec, ServiceSpec
from fairlead.config.service import MaintenanceSpec
from fairlead.errors import NotReady
from fairlead.model import (
    IDENTITY_FILE,
    LISTING,
    Check,
    Command,
    Difference,
    Model,
    Patch,
    Run,
    ServiceChange,
    Step,
    Tree,
    TreeCheck,
    Upload,
    difference,
    parse_listing,
    shell,
)
from fairlead.model import turned as probe_turned
from fairlead.model.step import Phase
from fairlead.model.tree import BYTECODE
from fairlead.strategies import logins, systemd

ID_LENGTH = 12
PATCH_BYTES, PATCH_WORDS = 4 << 20, 64 << 10
"""Up to so many bytes of content, and of paths, are sent in one go, and everything else is linked where it lies."""
SHOWN = 5
"""How many files are named that somebody has written into a live release."""
_OURS = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")
"""Names of releases; any other folder beside them is somebody else's."""

_LOOK = (
    """\
command -v rsync >/dev/null || echo no-rsync
cd -- "$1" 2>/dev/null || { printf 'absent\\n\\nlisting\\n'; exit 0; }
[ -d releases ] && echo had releases
[ -e current ] || [ -L current ] || [ -e releases ] || [ -e .live ] || [ -e .maintenance ] ||
  find . -mindepth 1 -maxdepth 1 -type f -printf 'foreign\\n' -quit
if [ -L current ]; then printf 'current %s\\n' "$(readlink current)"
elif [ -e current ]; then echo 'folder current'; fi
[ -f .live ] && { read -r l <.live; printf 'live %s\\n' "$l"; }
for d in . releases; do [ ! -d "$d" ] || { [ -w "$d" ] && [ -x "$d" ]; } || printf 'shut %s\\n' "$d"; done
for r in $(ls -1t releases 2>/dev/null); do
  [ -d "releases/$r" ] || continue
  printf 'release %s\\n' "$r"
  l=; { read -r l <"releases/$r/"""
    + IDENTITY_FILE
    + """"; } 2>/dev/null
  case $l in *"$r"*) ;; *) printf 'unnamed %s\\n' "$r" ;; esac
done
n='-newer .live ! -path *[[:cntrl:]]*'; [ -f .live ] || n=-false
[ ! -d current/. ] || { set -f; find current/. -name """
    + BYTECODE
    + """ -prune -o ! -type l -printf 'owner %u:%g\\n' , -type f -perm /022 -printf 'loose\\n' , \\
  ! -type d $n -printf 'newer %P\\n'; set +f; } | LC_ALL=C sort -u
shift; for s; do
  [ -e "shared/$s" ] && printf 'shared %s\\n' "$s"
  d=shared/$s; while [ "$d" != . ]; do [ -d "$d" ] && printf 'had %s\\n' "$d"; d=$(dirname -- "$d"); done
done
printf '\\nlisting\\n'; cd current/. 2>/dev/null || exit 0
"""
    + LISTING
)
_UPLOADED = (
    """\
cd -- "$1" 2>/dev/null || { echo before; exit 0; }
if [ -d "releases/$2" ]; then echo after; exit 0; fi
[ -e "releases/.part-$2" ] || { echo before; exit 0; }
have=$(cd "releases/.part-$2" && """
    + LISTING
    + """ | sha256sum) && [ "${have%% *}" = "$3" ] && echo after || echo between
"""
)
# A folder may be closed to its own owner, and its files may be links into other releases: only folders are opened.
_DELETE = """\
gone() { [ ! -d "$1" ] || find "$1" -type d ! -perm -700 -exec chmod u+rwx {} \\; && rm -rf -- "$1"; }
empty() { for made; do [ "$made" != . ] || made=$PWD; rmdir -- "$made" 2>/dev/null; done; return 0; }
"""
_REMOVE_UPLOAD = (
    _DELETE
    + """\
cd -- "$1" 2>/dev/null || exit 0
gone "releases/.part-$2" || exit 1
"""
)
_COMMIT = (
    """\
set -e; folder=$1 id=$2 tree=$3 own=$4; shift 4
[ ! -d "$folder/releases/$id" ] || exit 0
sh -c "$own"; cd -- "$folder"
(cd "releases/.part-$id" && """
    + LISTING
    + """) >"releases/$id.tree"
have=$(sha256sum <"releases/$id.tree")
if [ "${have%% *}" != "$tree" ]; then
  rm -f "releases/$id.tree"; echo "what arrived in releases/.part-$id is not what was sent" >&2; exit 1
fi
for s; do case $s in */) mkdir -p -- "shared/$s";; *) mkdir -p -- "$(dirname -- "shared/$s")";; esac; done
sync -f releases
mv -T -- "releases/.part-$id" "releases/$id"; sync releases
"""
)
# What is sent is small then, so what a connection that broke has left of it is sent again, all of it.
_STAGED = """\
cd -- "$1" 2>/dev/null || { echo before; exit 0; }
if [ -d "releases/$2" ]; then echo after; elif [ -e "releases/.part-$2" ]; then echo between; else echo before; fi
"""
_COMMITTED = '[ -d "$1/releases/$2" ] && echo after || echo before'
_UNCOMMIT = (
    _DELETE
    + """\
cd -- "$1" 2>/dev/null || exit 0
case $(readlink current) in "releases/$2") echo "releases/$2 is live and stays" >&2; exit 1;; esac
gone "releases/$2" && rm -f -- "releases/$2.tree" || exit 1
[ -e .live ] || [ -L current ] || rm -f .ran
"""
)
_UNSTAGE = _UNCOMMIT + 'gone "releases/.part-$2" || exit 1\n'
_EMPTIED = 'shift 2; empty "$@"\n'
# Whatever needs room on the disk is made before anything is moved. Names of releases have one length, and `<>` writes
# over what is there: so a disk that filled up meanwhile does not keep the way back from being marked.
_MARKED_SWITCHING = """\
was=; { read -r was <.live; } 2>/dev/null || :
[ "$was" = switching ] || echo switching >.live.mid || { rm -f .live.mid; exit 1; }
"""
_SWITCH = (
    """\
set -e; folder=$1 id=$2 again=$3
(cd -- "$folder"
trap 'rm -f .live.mid .live.new .current.new; echo "$folder cannot be written to: is its disk full?" >&2' EXIT
trap 'exit 143' TERM
printf '%s\\n' "$id" 1<>.live.new; sync .live.new; ln -sfn -- "releases/$id" .current.new
"""
    + _MARKED_SWITCHING
    + """\
trap - EXIT TERM
[ ! -e .live.mid ] || mv -f .live.mid .live
mv -fT .current.new current; sync .)
sh -c "$again"
(cd -- "$folder"; mv -f .live.new .live; sync .)
"""
)
# The first time: what runs already runs something else, and is to run on when the release is taken away again.
_RAN_BEFORE = """\
[ -e "$1/.live" ] || [ -L "$1/current" ] || if sh -c "$4" >/dev/null 2>&1; then : >"$1/.ran"; else rm -f "$1/.ran"; fi
"""
_SWITCH_OFF = (
    """\
set -e; folder=$1 stop=$2 again=$3
(cd -- "$folder"
"""
    + _MARKED_SWITCHING
    + """\
[ ! -e .live.mid ] || mv -f .live.mid .live
rm -f .current.new current; sync .)
if [ -e "$folder/.ran" ]; then sh -c "$again"; else sh -c "$stop"; fi
(cd -- "$folder"; rm -f .live .live.new .ran; sync .)
"""
)
_SWITCHED = """\
folder=$1 new=$2 old=$3 status=$4
link=$(readlink "$folder/current" 2>/dev/null); live=$(head -n 1 "$folder/.live" 2>/dev/null)
if [ -e "$folder/current" ] && [ ! -L "$folder/current" ]; then echo cannot_tell
elif [ "$link" = "releases/$new" ] && [ "$live" = "$new" ]; then
  sh -c "$status" >/dev/null 2>&1 && echo after || echo between
elif [ "$link" = "releases/$new" ]; then echo between
elif [ -z "$old" ] && [ -z "$link" ]; then [ -z "$live" ] && echo before || echo between
elif [ -n "$old" ] && [ "$link" = "releases/$old" ]; then case $live in "$old"|'') echo before;; *) echo between;; esac
else echo cannot_tell; fi
"""
_PRUNE = (
    _DELETE + 'cd -- "$1" || exit 1; shift; for r; do gone "releases/$r" && rm -f "releases/$r.tree" || exit 1; done'
)
_PRUNED = """\
cd -- "$1" 2>/dev/null || { echo after; exit 0; }
shift; for r; do [ ! -e "releases/$r" ] || { echo before; exit 0; }; done; echo after
"""
# `<>` writes over the marker that is there, so leaving needs no room, and goes on where it cannot be marked.
_MARK = """\
set -e; folder=$1 marker=$1/.maintenance
case $3 in
off) [ ! -e "$marker" ] || echo "$2" 1<>"$marker" || :;;
*) [ -s "$marker" ] || { mkdir -p -- "$folder" && echo "$2" >"$marker"; } ||
  { rm -f -- "$marker"; echo "$folder cannot be written to: is its disk full?" >&2; exit 1; }
  echo "$2" 1<>"$marker";;
esac
case $3 in
off) sh -c "${5:-false}" >/dev/null 2>&1 || sh -c "$4"; rm -f -- "$marker";;
*) sh -c "$4"; echo "$3" 1<>"$marker";;
esac
"""
_MARKED = """\
said=off; [ ! -e "$1/.maintenance" ] || said=$(head -n 1 "$1/.maintenance")
[ "$said" != off ] || [ "$(head -n 1 "$1/.live" 2>/dev/null)" != "$4" ] || said=over
case " $2 " in *" $said "*) echo before; exit;; esac
case " $3 " in *" $said "*) echo after;; *) echo between;; esac
"""
_NO_RELEASE = 'cd -- "$1" || exit 1; '
_NOT_STAGED = 'cd -- "$1" 2>/dev/null || { echo before; exit 0; }; '


class Found(Model):
    """What lies in a service's folder now."""

    current: str = ""
    """Release that `current` points to; empty = none."""
    real_folder: bool = False
    """`current` is a folder or a file, not a link: somebody else's."""
    foreign: bool = False
    """There are files in the service's folder, and nothing of ours: somebody serves it as it is."""
    foreign_link: str = ""
    """`current` points to something that is not one of its releases."""
    live: str = ""
    releases: tuple[str, ...] = ()
    """Newest first."""
    unnamed: tuple[str, ...] = ()
    """Releases that do not tell their id, because they were found and adopted, not made."""
    owners: tuple[str, ...] = ()
    loose: bool = False
    """Some file of the live release may be written by its group or by anybody."""
    shared: tuple[str, ...] = ()
    absent: bool = False
    """There is no folder for the service yet."""
    shut: tuple[str, ...] = ()
    """Folders that may not be written to: `.` is the service's own."""
    had: tuple[str, ...] = ()
    """Which of the folders `releases`, `shared` and those in `shared` are there."""
    rsync: bool = True
    """The host has rsync."""
    tree: Tree = Tree(entries={})
    """Content of the live release."""
    newer: tuple[str, ...] = ()
    """A few files of the live release that are younger than its going live."""

    @property
    def written_to(self) -> bool:
        """The live release is no longer what its name promises."""
        return bool(self.current) and not self.tree.hash.startswith(self.current)


def look(service: ServiceSpec) -> Command:
    """The command that finds out what lies in the service's folder; `read` reads its answer."""
    return shell(_LOOK, service.path, *(name.rstrip("/") for name in service.shared))


def wants(tree: Tree | None) -> bytes:
    """What `look` reads on standard input: nothing."""
    del tree
    return b""


def read(stdout: str) -> Found:
    """Parse the answer of `look`. Raises ValueError where it is not whole."""
    head, _, listing = stdout.partition("\n\nlisting\n") if "\n\nlisting\n" in stdout else _headless(stdout)
    words: dict[str, list[str]] = {}
    for line in head.splitlines():
        key, _, value = line.partition(" ")
        words.setdefault(key, []).append(value)
    link = words.get("current", [""])[0]
    current = link.removeprefix("releases/")
    ours = link.startswith("releases/") and "/" not in current
    return Found(
        current=current if ours else "",
        foreign_link="" if ours else link,
        real_folder="folder" in words,
        foreign="foreign" in words,
        live=words.get("live", [""])[0],
        releases=tuple(words.get("release", [])),
        unnamed=tuple(words.get("unnamed", [])),
        owners=tuple(words.get("owner", [])),
        loose="loose" in words,
        shared=tuple(words.get("shared", [])),
        rsync="no-rsync" not in words,
        absent="absent" in words,
        shut=tuple(words.get("shut", [])),
        had=tuple(words.get("had", [])),
        tree=parse_listing(listing.encode()),
        newer=tuple(words.get("newer", [])[:SHOWN]),
    )


def _headless(stdout: str) -> tuple[str, str, str]:
    head, separator, listing = stdout.partition("\nlisting\n")
    if not separator:
        raise ValueError("the answer is cut off")
    return head, separator, listing


def refuse(service: ServiceSpec, found: Found, tree: Tree | None = None) -> None:
    """Raise NotReady with the first thing for which what lies there must not be changed."""
    del tree
    where = f"{service.host}:{service.path}"
    for what, hint in (*_not_ours(service, found, where), *_not_whole(service, found, where)):
        raise NotReady(f"{service.name}: {what}", hint)


def _not_ours(service: ServiceSpec, found: Found, where: str) -> Iterator[tuple[str, str]]:
    adopt = f"make it the first release: fairlead adopt {service.name} -e {service.environment}"
    if found.real_folder:
        yield f"{where}/current is a folder, not a link", adopt
    if found.foreign:
        yield f"{where} holds files that Fairlead did not put there", adopt
    if found.foreign_link:
        yield (
            f"{where}/current points to {found.foreign_link}, which is not one of its releases",
            "link it to releases/NAME, or give the service another path",
        )


def _not_whole(service: ServiceSpec, found: Found, where: str) -> Iterator[tuple[str, str]]:
    if found.live not in ("", found.current):
        mark = shlex.join(("sh", "-c", 'printf "%s\\n" "$1" >"$2"', "x", found.current, f"{service.path}/.live"))
        linked = found.current or "nothing"
        yield (
            f"{where} was left in the middle of a switch: {linked} is linked, {found.live} was running",
            f"make sure that the service runs what is linked, then say so on {service.host}: {mark}",
        )
    if found.shut:
        folders = " and ".join(posixpath.normpath(f"{service.path}/{name}") for name in found.shut)
        yield f"{service.host}:{folders} may not be written to", "look at its owner and mode there"
    missing = [name for name in service.shared if not name.endswith("/") and name not in found.shared]
    if missing:
        hint = f"put it there; a folder that may be made is written `{missing[0]}/`"
        yield f"{where}/shared lacks {', '.join(missing)}", hint


def lives(tree: Tree, found: Found) -> bool:
    """This release is live."""
    return release_id(tree) == found.current


def release_id(tree: Tree) -> str:
    """The name of a release: the first 12 hex digits of its tree hash."""
    return tree.hash[:ID_LENGTH]


def shared_links(service: ServiceSpec) -> dict[str, str]:
    """Symbolic links that every release of the service carries: path in the release -> relative target."""
    links = {}
    for name in (shared.rstrip("/") for shared in service.shared):
        up = "../" * (len(PurePosixPath(name).parts) + 1)
        links[name] = f"{up}shared/{name}"
    return links


def change(service: ServiceSpec, tree: Tree, version: str, found: Found) -> ServiceChange:
    """What a release of `tree` means for the service, file by file."""
    return ServiceChange(
        service=service.name,
        host=service.host,
        strategy=service.strategy,
        before=found.current,
        before_tree=found.tree.hash if found.written_to else "",
        after=release_id(tree),
        version=version,
        files=difference(found.tree, tree),
        folder=service.path,
    )


def steps(service: ServiceSpec, host: HostSpec, tree: Tree, found: Found) -> tuple[Step, ...]:
    """All steps that make `tree` live, in order; staging first, pruning last."""
    new = release_id(tree)
    # In the release's own folder also after the switch: on a way back `current` may never have led there.
    migrations = {m.phase: migrate(service, m, f"{service.path}/releases/{new}") for m in (service.migrations,) if m}
    waiting = service if found.current else service.model_copy(update={"maintenance": None})  # nobody is there yet
    return (
        *staging(service, host, tree, found),
        *maintenance(waiting, host, new, on=True),
        *(one for phase, one in migrations.items() if phase == "before"),
        switch(service, host, new, found.current).model_copy(update={"warns": written_to(service, found)}),
        *(one for phase, one in migrations.items() if phase == "after"),
        *maintenance(waiting, host, new, on=False),
        *_prune(service, found, new),
    )


def written_to(service: ServiceSpec, found: Found) -> tuple[str, ...]:
    """What a person has to know of a live release that somebody wrote to."""
    if not found.written_to:
        return ()
    names = f": {', '.join(found.newer)}" if found.newer else ""
    return (
        f"{service.name}: {service.path}/releases/{found.current} was written to since it went live{names}; "
        "a way back leads to what it is now. What a service writes belongs into `shared`",
    )


def tree_checks(service: ServiceSpec, *releases: str) -> tuple[TreeCheck, ...]:
    """Each of these releases must still be what its name says."""
    return tuple(
        TreeCheck(subject=service.name, host=service.host, path=f"{service.path}/releases/{name}", tree=name)
        for name in releases
        if name
    )


def staged(service: ServiceSpec, change: ServiceChange, found: Found) -> tuple[Check, ...]:
    """Before the switch: the one to go back to must be as for `standing`, and the new one what its name says.

    One that is new to the host was proven by the step that gave it its name.
    """
    there = change.after if change.after in found.releases else ""
    return (*tree_checks(service, there), *standing(service, change))


def standing(service: ServiceSpec, change: ServiceChange) -> tuple[Check, ...]:
    """After the way back: what is live must be what its name says, or what was found where it no longer was that."""
    checks = tree_checks(service, change.before)
    return tuple(check.model_copy(update={"tree": change.before_tree or check.tree}) for check in checks)


def back(
    service: ServiceSpec, host: HostSpec, undone: ServiceChange, found: Found
) -> tuple[ServiceChange, tuple[Step, ...], tuple[Check, ...]]:
    """What leads from a finished change back to the release before it, and what must hold before its first step.

    Raises NotReady where that cannot be.
    """
    if found.current != undone.after:
        raise NotReady(
            f"{undone.service} runs {found.current or 'nothing'}, not {undone.after} which that deployment left",
            "`fairlead history` shows what came after it; roll that back instead",
        )
    written = found.tree.hash if found.written_to else ""
    if not undone.before:
        off = taken_back(switch(service, host, undone.after, ""), f"{service.name}: take its first release away")
        turned = undone.back(gone=True, before_tree=written, files=Difference())
        return turned, (off.model_copy(update={"warns": written_to(service, found)}),), standing(service, turned)
    if undone.before not in found.releases:
        raise NotReady(f"{undone.service}: release {undone.before} is no longer on {undone.host}", "deploy it again")
    turned = undone.back(
        before_tree=written,
        unnamed=undone.before in found.unnamed,
        files=difference(found.tree, found.tree),
    )
    turn = switch(service, host, turned.after, turned.before)
    checks = (*standing(service, undone), *standing(service, turned))
    return turned, (turn.model_copy(update={"warns": written_to(service, found)}),), checks


def taken_back(undone: Step, title: str) -> Step:
    """A finished step the other way round, as a step of its own."""
    do = undone.do.command if isinstance(undone.do, Run) else None
    return undone.model_copy(
        update={
            "title": title,
            "phase": "activate",
            "do": Run(command=undone.undo) if undone.undo else undone.do,
            "undo": do,
            "probe": probe_turned(undone.probe),
            "shows": undone.shows_back,
            "shows_back": undone.shows,
            "warns": (),
        }
    )


def step(service: ServiceSpec, word: str, title: str, phase: Phase, **more: object) -> Step:
    """A step of a service: its id, title and place follow from the service; `more` are the fields of `Step`."""
    return Step.model_validate(
        {
            "id": f"{service.name}.{word}",
            "title": f"{service.name}: {title}",
            "host": service.host,
            "service": service.name,
            "phase": phase,
            **more,
        }
    )


def staging(service: ServiceSpec, host: HostSpec, tree: Tree, found: Found) -> tuple[Step, ...]:
    """Send the tree, and prove what arrived and give it its name: in one trip, and so one step, where it is a patch."""
    sent, named, new = upload(service, tree, found), commit(service, host, tree, found), release_id(tree)
    if not isinstance(sent.do, Upload) or not isinstance(named.do, Run) or sent.do.patch is None:
        return sent, named
    both = {
        "title": f"{service.name}: upload {new} and put it in place",
        "do": sent.do.model_copy(update={"then": named.do.command}),
        "probe": shell(_STAGED, service.path, new),
        "undo": shell(_UNSTAGE + _EMPTIED, service.path, new, *_made(service, found), timeout=300),
        "shows": (*sent.shows, *named.shows),
        "shows_back": (*named.shows_back, *sent.shows_back),
    }
    return (named.model_copy(update=both),)


def upload(service: ServiceSpec, tree: Tree, found: Found) -> Step:
    """Send the tree to a folder beside the releases; nothing live is touched."""
    new, link = release_id(tree), _may_link(service, found)
    action = Upload(
        artifact=tree.hash,
        to=f"{service.path}/releases/.part-{new}",
        link_from=f"{service.path}/releases/{found.current}" if link else "",
        files=tree.files,
        size=tree.size,
        patch=_patch(found.tree, tree) if link else None,
        by="" if found.rsync else "tar",
    )
    probe = shell(_UPLOADED, service.path, new, tree.hash, timeout=300)
    undo = shell(_REMOVE_UPLOAD + _EMPTIED, service.path, new, *_made(service, found), timeout=300)
    return step(
        service,
        "upload",
        f"upload {new}",
        "stage",
        do=action,
        probe=probe,
        undo=undo,
        shows=(str(action),),
        shows_back=(f"rm -rf {service.path}/releases/.part-{new}",),
    )


def _may_link(service: ServiceSpec, found: Found) -> bool:
    """Hard links are only safe from a release that nobody has written to and nobody else may write to."""
    untouched = bool(found.current) and not found.written_to and not found.loose
    return untouched and len(found.owners) == 1 and service.owner in ("", found.owners[0])


def _patch(old: Tree, new: Tree) -> Patch | None:
    """What leads from the linked tree to the new one, where that is little; None = let rsync find out.

    A large one is rsync's: it goes on where it was cut off, and shows that it goes on.
    """
    change = difference(old, new)
    sends = sorted((*change.added, *change.changed))
    size = sum(new.entries[path].size for path in sends)
    words = sum(len(path.encode()) + 4 for path in (*sends, *change.deleted))
    known = {path: entry for tree in (old, new) for path, entry in tree.entries.items() if entry.kind == "d"}
    closed = any(entry.mode & 0o300 != 0o300 for entry in known.values())  # nothing could be put into those
    turned = any("d" in (old.entries[path].kind, new.entries[path].kind) for path in change.changed)
    if closed or turned or size > PATCH_BYTES or words > PATCH_WORDS:
        return None
    return Patch(sends=tuple(sends), drops=change.deleted, size=size)


def _made(service: ServiceSpec, found: Found) -> list[str]:
    """Folders that the deployment will make, the innermost first: on the way back those go that are empty."""
    paths = [PurePosixPath("shared", name) for name in service.shared]
    several = {folder for path in paths for folder in (path, *path.parents) if folder != PurePosixPath()}
    files = {path for path, name in zip(paths, service.shared, strict=True) if not name.endswith("/")}
    wanted = {"releases", *(str(folder) for folder in several - files)}
    return [*sorted(wanted - set(found.had), reverse=True), *(["."] if found.absent else [])]


def commit(service: ServiceSpec, host: HostSpec, tree: Tree, found: Found) -> Step:
    """Prove what arrived, give it its owner and its name."""
    new = release_id(tree)
    part = f"{service.path}/releases/.part-{new}"
    own = line(host.commands.argv("own", owner=service.owner, path=part)) if service.owner else ":"
    return step(
        service,
        "release",
        f"put releases/{new} in place",
        "stage",
        do=Run(command=shell(_COMMIT, service.path, new, tree.hash, own, *service.shared, timeout=300)),
        probe=shell(_COMMITTED, service.path, new),
        undo=shell(_UNCOMMIT + _EMPTIED, service.path, new, *_made(service, found), timeout=300),
        shows=(
            f"compare the SHA-256 of every file, mode and link with {tree.hash[:ID_LENGTH]}",
            *([own] if service.owner else []),
            f"mv {service.path}/releases/.part-{new} {service.path}/releases/{new}",
        ),
        shows_back=(f"rm -rf {service.path}/releases/{new}",),
    )


def switch(service: ServiceSpec, host: HostSpec, new: str, old: str) -> Step:
    """Link and restart in one step; `old` = "" means that nothing is live yet."""
    again, stop, status = switch_lines(service, host)
    patience = systemd.patience(service)
    back = (_SWITCH, service.path, old, again) if old else (_SWITCH_OFF, service.path, stop, again)
    there: tuple[str, ...] = (_SWITCH, service.path, new, again)
    if not old and status != ":":  # otherwise nobody can say what runs
        there = (_RAN_BEFORE + _SWITCH, service.path, new, again, status)
    return step(
        service,
        "switch",
        f"switch to {new}",
        "activate",
        do=Run(command=shell(*there, timeout=patience)),
        probe=shell(_SWITCHED, service.path, new, old, status),
        undo=shell(*back, timeout=patience),
        leaves=service.on_switch.leaves,
        shows=_shown_switch(service.path, new, systemd.shown(again), stop),
        shows_back=_shown_switch(service.path, old, systemd.shown(again), _shown_stop(again, stop, status)),
    )


def _shown_stop(again: str, stop: str, status: str) -> str:
    return stop if ":" in (again, status) else f"{stop}; if it ran before, {systemd.shown(again)} instead"


def _shown_switch(folder: str, release: str, again: str, stop: str) -> tuple[str, ...]:
    if not release:
        return tuple(shown for shown in (f"rm {folder}/current", stop) if shown != ":")
    return tuple(shown for shown in (f"ln -sfn releases/{release} {folder}/current", again) if shown != ":")


def switch_lines(service: ServiceSpec, host: HostSpec) -> tuple[str, str, str]:
    """Shell lines that put the linked release to work, stop it, and ask whether it runs.

    The first looks whether a unit lasts, too: see `systemd.shown` for what a person is shown of it.
    """
    kind, commands = service.on_switch, host.commands
    if kind.kind == "nothing":
        return ":", ":", ":"
    if kind.kind == "run":
        return line(kind.run), line(kind.stop), line(kind.status)
    stop, status = (line(commands.argv(word, unit=service.unit)) for word in ("stop", "status"))
    return systemd.lasting(service, host, kind.kind), stop, status


def maintenance(service: ServiceSpec, host: HostSpec, new: str, *, on: bool) -> tuple[Step, ...]:
    """Enter or leave maintenance; its marker lies in the service's folder."""
    spec = service.maintenance
    if spec is None:
        return ()
    word, title = ("maintenance_on", "enter maintenance") if on else ("maintenance_off", "leave maintenance")
    # Once the release is live the maintenance for it has been entered, also when it is over: a resume asks again.
    sees = ("off", "on fenced leaving over") if on else ("on fenced entering", "off over")
    return (_marking(service, host, spec, (word, title), (sees, new), "on", on=on),)


def fence(service: ServiceSpec, host: HostSpec, *, on: bool) -> tuple[Step, ...]:
    """Maintenance of whichever release is live, for as long as its data is taken back.

    It is entered also where one is on: what a deployment has started in the middle of that must not write either.
    """
    spec = service.maintenance
    if spec is None:
        return ()
    word, title = ("fence_on", "keep it from writing") if on else ("fence_off", "let it write again")
    sees = ("off on entering leaving over", "fenced") if on else ("on fenced entering leaving", "off over")
    return (_marking(service, host, spec, (word, title), (sees, "-"), "fenced", on=on),)


def _marking(
    service: ServiceSpec,
    host: HostSpec,
    spec: MaintenanceSpec,
    names: tuple[str, str],
    probe: tuple[tuple[str, str], str],
    mark: str,
    *,
    on: bool,
) -> Step:
    """A step that enters or leaves maintenance and says in the marker that it has; `probe`: what its words mean."""
    enter, leave, left = _maintenance_lines(service, host, spec)
    patience = systemd.patience(service)
    ways = {
        True: shell(_MARK, service.path, "entering", mark, enter, timeout=patience),
        False: shell(_MARK, service.path, "leaving", "off", leave, *left, timeout=patience),
    }
    shown = {True: systemd.shown(enter), False: f"{systemd.shown(leave)}{', unless it runs' if left else ''}"}
    sees, release = probe
    return step(
        service,
        *names,
        "activate",
        do=Run(command=ways[on]),
        probe=shell(_MARKED, service.path, *sees, release),
        undo=ways[not on],
        leaves=spec.stop,
        shows=(shown[on],),
        shows_back=(shown[not on],),
    )


def _maintenance_lines(service: ServiceSpec, host: HostSpec, spec: MaintenanceSpec) -> tuple[str, str, tuple[str, ...]]:
    """Shell lines that enter maintenance and leave it; and one that says that it was left already, where one can.

    What was stopped runs again once it is switched: to start it once more would be an outage more.
    """
    if spec.page:
        page = f"{service.path}/{spec.page}"
        return line(("touch", "--", page)), line(("rm", "-f", "--", page)), ()
    if spec.stop:
        again, stop, status = switch_lines(service, host)
        return stop, again, () if status == ":" else (status,)
    return line(*spec.on), line(*spec.off), ()


def migrate(service: ServiceSpec, migration: MigrationSpec, folder: str) -> Step:
    """Migrate the databases with the commands of the release in `folder`, and with the logins that they are given."""
    pieces, secrets = logins.written(migration.logins)

    def inside(*commands: tuple[str, ...], absent: str = _NO_RELEASE) -> Command:
        run = logins.GIVEN if pieces else 'sh -c "$2"'
        command = shell(absent + run, folder, line(*commands), *pieces, timeout=migration.timeout)
        return command.model_copy(update={"stdin": secrets or None})

    warns = () if migration.undo else (f"{service.name}: what the migration changes in the data stays on the way back",)
    return step(
        service,
        "migrate",
        "migrate " + ", ".join(migration.databases),
        "activate",
        do=Run(command=inside(*migration.apply)),
        probe=inside(migration.probe, absent=_NOT_STAGED),
        undo=inside(*migration.undo) if migration.undo else None,
        back="reversible" if migration.undo else "by_data",
        loss="finish",
        warns=warns,
        shows=(f"cd {folder}", *logins.shown(migration.logins), *(shlex.join(argv) for argv in migration.apply)),
        shows_back=tuple(shlex.join(argv) for argv in migration.undo),
    )


def _prune(service: ServiceSpec, found: Found, new: str) -> tuple[Step, ...]:
    """Old releases beyond `keep`; the new one, the one to go back to and what is not ours are never among them."""
    kept = {new, found.current}
    others = [name for name in found.releases if name not in kept and _OURS.fullmatch(name)]
    gone = others[max(service.keep - len(kept - {""}), 0) :]
    if not gone:
        return ()
    return (
        step(
            service,
            "prune",
            "delete old releases " + ", ".join(gone),
            "close",
            do=Run(command=shell(_PRUNE, service.path, *gone, timeout=300)),
            probe=shell(_PRUNED, service.path, *gone),
            back="no",
            shows=tuple(f"rm -rf {service.path}/releases/{name}" for name in gone),
        ),
    )


def line(*commands: tuple[str, ...]) -> str:
    """Commands as one shell line, each only after the one before it succeeded; none = a line that does nothing."""
    return " && ".join(shlex.join(command) for command in commands if command) or ":"

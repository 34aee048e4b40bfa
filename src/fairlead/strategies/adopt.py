"""Make what somebody else put into a service's folder its first release: a folder becomes `releases/ID` and a link.

Two grounds. `current` is a real folder: it is renamed, so every file stays the very file. Or the service's folder
itself is served: then it is copied, and everything that is served goes on lying where it lies.
"""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.config import ServiceSpec
from fairlead.errors import NotReady
from fairlead.model import LISTING, Check, Command, Inventory, Model, Run, ServiceChange, Step, TreeCheck, shell
from fairlead.strategies import release
from fairlead.strategies.release import ID_LENGTH, step

_OURS = "! -name releases ! -name shared ! -name current ! -name .current.new ! -name .live ! -name .maintenance"
_LOOK = (
    """\
cd -- "$1" 2>/dev/null || { echo 'how nothing'; echo whole; exit 0; }
[ ! -d releases ] || echo had
if [ -L current ]; then echo 'how link'; echo whole; exit 0
elif [ -d current ]; then echo 'how move'; cd current
elif [ -e current ]; then echo 'how file'; echo whole; exit 0
elif [ -n "$(find . -mindepth 1 -maxdepth 1 """
    + _OURS
    + """ -printf x -quit)" ] && [ ! -e releases ] && [ ! -e shared ]; then echo 'how copy'
else echo 'how nothing'; echo whole; exit 0; fi
find . -mindepth 1 -printf '%y %m %u:%g\\n' | LC_ALL=C sort | uniq -c | while read -r count rest; do
  printf 'count %s %s\\n' "$count" "$rest"
done
printf 'tree %s\\n' "$("""
    + LISTING
    + """ | sha256sum)"
echo whole
"""
)
_PROVE = (
    """\
prove() { # FOLDER TREE
  have=$(cd -- "$1" && """
    + LISTING
    + """ | sha256sum)
  [ "${have%% *}" = "$2" ] || { echo "$1 is no longer what the plan was made for" >&2; exit 1; }
}
"""
)
_MOVE = (
    _PROVE
    + """\
set -e; id=$2 tree=$3; cd -- "$1"
[ -d "releases/$id" ] || prove current "$tree"
mkdir -p releases
ln -sfn -- "releases/$id" .current.new
[ -d "releases/$id" ] || mv -T -- current "releases/$id"
mv -fT -- .current.new current
printf '%s\\n' "$id" >.live; sync .live releases .
"""
)
_MOVED = """\
cd -- "$1" 2>/dev/null || { echo cannot_tell; exit; }
link=$(readlink current 2>/dev/null)
if [ -d "releases/$2" ]; then
  if [ "$link" = "releases/$2" ] && [ "$(cat .live 2>/dev/null)" = "$2" ]; then echo after
  elif [ "$link" = "releases/$2" ] || [ ! -e current ]; then echo between
  else echo cannot_tell; fi
elif [ -d current ] && [ ! -L current ]; then echo before
else echo cannot_tell; fi
"""
_MOVE_BACK = """\
set -e; id=$2; cd -- "$1"
rm -f .current.new
if [ -d "releases/$id" ]; then
  case $(readlink current) in "releases/$id") rm -f current;; esac
  mv -T -- "releases/$id" current
fi
rm -f .live; sync .
[ "$3" != made ] || rmdir releases 2>/dev/null || :
"""
_COPY = (
    _PROVE
    + """\
set -e; id=$2 tree=$3; cd -- "$1"
[ ! -d "releases/$id" ] || exit 0
rm -rf -- "releases/.part-$id"; mkdir -p -- "releases/.part-$id"
find . -mindepth 1 -maxdepth 1 """
    + _OURS
    + """ -print0 | xargs -0 -r cp -a -t "releases/.part-$id" --
prove "releases/.part-$id" "$tree"
sync -f releases; mv -T -- "releases/.part-$id" "releases/$id"; sync releases
"""
)
_COPIED = """\
cd -- "$1" 2>/dev/null || { echo cannot_tell; exit; }
if [ -d "releases/$2" ]; then echo after; elif [ -e "releases/.part-$2" ]; then echo between; else echo before; fi
"""
_COPY_BACK = """\
cd -- "$1" || exit 1
for made in "releases/.part-$2" "releases/$2"; do
  [ ! -d "$made" ] || { find "$made" -type d ! -perm -700 -exec chmod u+rwx {} \\; && rm -rf -- "$made"; } || exit 1
done
rmdir releases 2>/dev/null || :
"""
_LINK = """\
set -e; cd -- "$1"
ln -sfn -- "releases/$2" .current.new; mv -fT -- .current.new current
printf '%s\\n' "$2" >.live; sync .live .
"""
_LINKED = """\
cd -- "$1" 2>/dev/null || { echo cannot_tell; exit; }
if [ "$(readlink current)" = "releases/$2" ]; then
  if [ "$(cat .live 2>/dev/null)" = "$2" ]; then echo after; else echo between; fi
elif [ ! -e current ] && [ ! -L current ]; then echo before
else echo cannot_tell; fi
"""
_LINK_BACK = """\
set -e; cd -- "$1"
case $(readlink current) in "releases/$2") rm -f current;; esac
rm -f .live .current.new; sync .
"""


class Found(Model):
    """What there is to adopt."""

    how: str
    """move: `current` is a folder; copy: the service's folder is served as it is; link, file, nothing: not to adopt."""
    tree: str = ""
    """Its tree hash."""
    had: bool = False
    """There is a folder `releases` already."""
    shapes: tuple[tuple[int, str], ...] = ()
    """How many entries have the same `TYPE MODE OWNER`."""


def look(service: ServiceSpec) -> Command:
    """The command that finds out; `read` reads its answer."""
    return shell(_LOOK, service.path, timeout=300)


def read(stdout: str) -> Found:
    """Parse the answer of `look`. Raises ValueError where it is not whole."""
    lines = stdout.splitlines()
    if not lines or lines[-1] != "whole":
        raise ValueError("the answer is cut off")
    words = [line.partition(" ") for line in lines]
    first = {key: value for key, _, value in reversed(words)}
    counts = [value.partition(" ") for key, _, value in words if key == "count"]
    return Found(
        how=first.get("how", "nothing"),
        tree=first.get("tree", "").partition(" ")[0],
        had="had" in first,
        shapes=tuple((int(count), shape) for count, _, shape in counts),
    )


def refuse(service: ServiceSpec, found: Found) -> None:
    """Raise NotReady when there is nothing that could be adopted."""
    where = f"{service.name}: {service.host}:{service.path}"
    if found.how == "link":
        raise NotReady(f"{where}/current is a link already", f"there is nothing to adopt: fairlead plan {service.name}")
    if found.how == "file":
        raise NotReady(f"{where}/current is neither a folder nor a link", "move it away")
    if found.how == "nothing" or len(found.tree) != 64:
        raise NotReady(f"{where} holds nothing to adopt", f"deploy into it: fairlead deploy {service.name}")


def change(service: ServiceSpec, found: Found) -> ServiceChange:
    """What adopting means for the service: no file changes."""
    kinds = {kind: sum(count for count, shape in found.shapes if shape[0] == kind) for kind in "fdl"}
    total = sum(count for count, _ in found.shapes)
    return ServiceChange(
        service=service.name,
        host=service.host,
        strategy=service.strategy,
        after=found.tree[:ID_LENGTH],
        version="as found",
        unnamed=True,
        folder=service.path,
        inventory=Inventory(
            files=kinds["f"],
            folders=kinds["d"],
            links=kinds["l"],
            others=total - sum(kinds.values()),
            untouched=kinds["f"] + kinds["l"],
            shapes=tuple(f"{count} {shape}" for count, shape in found.shapes),
        ),
    )


def steps(service: ServiceSpec, found: Found) -> tuple[Step, ...]:
    """All steps that adopt; nothing is restarted, since no file changes."""
    return (_move(service, found),) if found.how == "move" else (_copy(service, found), _link(service, found))


def proven(service: ServiceSpec, found: Found) -> TreeCheck:
    """What was adopted is what was found."""
    name = found.tree[:ID_LENGTH]
    return TreeCheck(subject=service.name, host=service.host, path=f"{service.path}/releases/{name}", tree=found.tree)


def back(
    undone: ServiceChange, way_back: Sequence[Step], found: release.Found
) -> tuple[ServiceChange, tuple[Step, ...], tuple[Check, ...]]:
    """Take a finished adoption back: what that means, its steps, and what must hold before the first of them.

    Raises NotReady where something else is live by now.
    """
    if found.current != undone.after:
        raise NotReady(
            f"{undone.service} runs {found.current or 'nothing'}, not {undone.after} which was adopted",
            "`fairlead history` shows what came after it; roll that back first",
        )
    titles = {each.id: f"{undone.service}: take back what `{each.title}` did" for each in way_back}
    return undone.back(), tuple(release.taken_back(each, titles[each.id]) for each in way_back), ()


def staged(service: ServiceSpec, found: Found) -> tuple[Check, ...]:
    """Before the link: the copy is what was found."""
    return (proven(service, found),) if found.how == "copy" else ()


def _move(service: ServiceSpec, found: Found) -> Step:
    name, path = found.tree[:ID_LENGTH], service.path
    return step(
        service,
        "switch",
        f"make current the release {name}",
        "activate",
        do=Run(command=shell(_MOVE, path, name, found.tree, timeout=300)),
        probe=shell(_MOVED, path, name),
        undo=shell(_MOVE_BACK, path, name, "had" if found.had else "made"),
        warns=(
            f"{service.name}: between two renames, for a few milliseconds, there is no {path}/current",
            f"{service.name}: what is written into the adopted folder later makes it another tree than its name says; "
            "move uploads, caches and settings to `shared` before the next deployment",
        ),
        shows=(f"mv {path}/current {path}/releases/{name}", f"ln -s releases/{name} {path}/current"),
        shows_back=(f"rm {path}/current", f"mv {path}/releases/{name} {path}/current"),
    )


def _copy(service: ServiceSpec, found: Found) -> Step:
    name, path = found.tree[:ID_LENGTH], service.path
    return step(
        service,
        "copy",
        f"copy what lies there to releases/{name}",
        "stage",
        do=Run(command=shell(_COPY, path, name, found.tree, timeout=900)),
        probe=shell(_COPIED, path, name),
        undo=shell(_COPY_BACK, path, name, timeout=300),
        shows=(f"cp -a {path}/* {path}/releases/{name}",),
        shows_back=(f"rm -rf {path}/releases/{name}",),
    )


def _link(service: ServiceSpec, found: Found) -> Step:
    name, path = found.tree[:ID_LENGTH], service.path
    return step(
        service,
        "switch",
        f"link releases/{name}",
        "activate",
        do=Run(command=shell(_LINK, path, name)),
        probe=shell(_LINKED, path, name),
        undo=shell(_LINK_BACK, path, name),
        warns=(
            f"{service.name}: {path} itself is served; "
            f"let the web server serve {path}/current before the next deployment",
        ),
        shows=(f"ln -s releases/{name} {path}/current",),
        shows_back=(f"rm {path}/current",),
    )

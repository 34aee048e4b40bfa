# sh -c in_place.sh fairlead VERB ROOT PLACE ...: one docroot that stays a folder, and what is ours beside it.
#
#   PLACE/releases/ID             staged trees; nothing is served from here
#   PLACE/deployed                `SHA256  ./PATH` of every file that was deployed and that we may delete; NUL-ended, sorted
#   PLACE/deployed.links          the same of symbolic links: `l MODE TARGET<TAB>./PATH`
#   PLACE/.live                   the live release, and on the second line the number of the change that brought it
#   PLACE/kept/NUMBER/            one change:
#     found/                      what it replaces or deletes, as it lay there: the very inodes
#     1/ 2/ 3/ 4/                 copies that are still to be put: new files, changed files, entry pages, release.json
#     foreign                     which of `found` are not ours: such a change is never deleted
#     put added replaced gone     paths, each `./PATH` and NUL-ended; `put` is `added` and `replaced`
#     paths folders made          all that are looked at; the release's folders; those that it makes
#     before after either         hashes of what lies there before and after; records that are one or the other
#     ready                       written last
#
# Needs a POSIX shell, GNU coreutils and findutils. Names from releases hold no control characters, so these lists may be
# read as lines too; foreign names never get into them.
set -eu
unset CDPATH
verb=$1 root=$2 place=$3 home=$PWD
shift 3
case $root in /*) ;; *) root=$home/$root ;; esac
case $place in /*) ;; *) place=$home/$place ;; esac

die() { echo "$*" >&2; exit 1; }
sorted() { LC_ALL=C sort -z "$@"; }
common() { LC_ALL=C comm -z "$@"; }
digest() { sha256sum | cut -d' ' -f1; }
gone() { [ ! -d "$1" ] || { find "$1" -type d ! -perm -700 -exec chmod u+rwx {} \; && rm -rf -- "$1"; }; }
full() { rm -f -- "$1.new"; die "$1 cannot be written: is its disk full?"; }
put() { printf '%s\n' "$2" >"$1.new" && sync "$1.new" && mv -f "$1.new" "$1" || full "$1"; }
as() { cp -p -- "$1" "$2.new" && mv -f -- "$2.new" "$2" || full "$2"; } # FROM TO

# each SCRIPT: run it with the paths on standard input, as many at once as fit. A process for thousands, not for one.
each() { xargs -0 -r sh -c "$1" x; }

# What lies at the paths on standard input, seen from here, links not followed; what is not there has no record.
shape='find "$@" -maxdepth 0 ! -type d -printf "%y %m %l\t%p\0" 2>/dev/null || :;'
sum='find "$@" -maxdepth 0 -type f -print0 2>/dev/null | xargs -0 -r sha256sum -z || exit 255;'
folder='find "$@" -maxdepth 0 -type d \( -writable -executable -printf "d\t%p\0" -o -printf "x\t%p\0" \) 2>/dev/null || :;'
records() { { each "$shape $sum" || printf 'unreadable\0'; } | sorted; }
ground() { { each "$shape $folder $sum" || printf 'unreadable\0'; } | sorted; }
there() { each 'find "$@" -maxdepth 0 ! -type d -print0 2>/dev/null || :' | sorted; }
of_shapes() { cut -z -f2-; }
of_sums() { cut -z -b67-; }
parents() { xargs -0 -r dirname -z -- | sorted -u; }
ours() { { of_sums <"$1" && of_shapes <"$1.links"; } 2>/dev/null || :; }

# Folders for the paths on standard input, made as the docroot is, where the account may give them away.
as_root='chown --reference=. -- "$@" 2>/dev/null && chmod --reference=. -- "$@" || chmod 755 -- "$@"'
make() { each 'mkdir -p -- "$@" && { '"$as_root"'; }'; }

# copy FROM TO HOW...: the files on standard input, with the folders above them
copy() {
    from=$1 to=$2
    shift 2
    cat >"$at/list"
    mkdir -p "$to"
    parents <"$at/list" | (cd "$to" && xargs -0 -r mkdir -p --)
    (cd "$from" && xargs -0 -r cp "$@" --parents -t "$to" -- <"$at/list")
}

# settle FOLDER: each file in it takes its place in the docroot by rename; a process for each folder.
settle() {
    [ -d "$1" ] || return 0
    (cd "$1" && find . ! -type d -printf '%h\n' | sort -u) | while IFS= read -r inner; do
        (cd "$1/$inner" && find . -maxdepth 1 ! -type d -print0 | xargs -0 -r mv -f -t "$root/$inner" --) || exit 1
    done
}

# No folder on the way may have become a link that leads elsewhere since we looked.
no_links() {
    (cd -- "$root" && each 'find "$@" -maxdepth 0 -type l -print 2>/dev/null || :' <"$at/folders") >"$at/links"
    [ ! -s "$at/links" ] || die "a symbolic link is in the way: $(head -n 1 "$at/links")"
}

read_live() {
    live= live_number=
    if [ -f "$place/.live" ]; then { read -r live && read -r live_number || :; } <"$place/.live"; fi
}

restart() { (cd "$home" && sh -c "$1"); }

# keep_deployed NAME: what stands in the change's NAME becomes what counts as ours
keep_deployed() {
    for part in '' .links; do
        if [ -f "$at/$1$part" ]; then as "$at/$1$part" "$place/deployed$part"; else rm -f -- "$place/deployed$part"; fi
    done
}

# ---------------------------------------------------------------------------------------------------------------- looks

case $verb in

# look PAGE PROTECTED... <paths: everything that a plan has to know; writes nothing
look)
    page=$1
    shift
    command -v rsync >/dev/null || echo no-rsync
    if [ -L "$root" ]; then printf 'link %s\n' "$(readlink -- "$root")"
    elif [ ! -e "$root" ]; then echo absent
    elif [ ! -d "$root" ]; then echo file; fi
    above=$place
    while [ ! -e "$above" ]; do above=$(dirname -- "$above"); done
    [ ! -d "$root" ] || stat -c 'devices %d' -- "$root"
    stat -c 'devices %d' -- "$above"
    [ -d "$above" ] && [ -w "$above" ] && [ -x "$above" ] || printf 'closed %s\n' "$above"
    read_live
    printf 'live %s\nnumber %s\n' "$live" "$live_number"
    [ -z "$live_number" ] || [ ! -s "$place/kept/$live_number/added" ] ||
        tr '\0' '\n' <"$place/kept/$live_number/added" | sed 's|^\./|added |'
    for change in "$place"/kept/*; do
        [ ! -e "$change" ] || printf 'kept %s\n' "${change##*/}"
        [ ! -s "$change/foreign" ] || printf 'foreign %s\n' "${change##*/}"
    done
    ls -1t "$place/releases" 2>/dev/null | while IFS= read -r name; do
        [ ! -d "$place/releases/$name" ] || printf 'release %s\n' "$name"
    done
    [ -z "$page" ] || [ ! -e "$root/$page" ] || [ -e "$place/.maintenance" ] || echo page
    if [ -d "$root" ] && cd -- "$root"; then
        if [ $# -gt 0 ]; then
            for path; do set -- "$@" -o -path "./$path"; shift; done
            shift
            set -- '(' "$@" ')' -prune -o
        fi
        find . -mindepth 1 "$@" -printf '%y %m %u:%g\n' 2>/dev/null | sort | uniq -c | while read -r count rest; do
            printf 'count %s %s\n' "$count" "$rest"
        done
    fi
    printf '\nground\n'
    [ ! -f "$place/deployed" ] || cat -- "$place/deployed"
    printf '=links\0'
    [ ! -f "$place/deployed.links" ] || cat -- "$place/deployed.links"
    printf '=ground\0'
    if [ -d "$root" ] && cd -- "$root"; then
        { cat; ours "$place/deployed"; } | sorted -u | ground
    else cat >/dev/null; fi
    printf '=whole\0'
    exit
    ;;

# room: make PLACE, private
room)
    umask 077
    mkdir -p -- "$place/releases" "$place/kept"
    [ "$(stat -c %d -- "$place")" = "$(stat -c %d -- "$root")" ] || die "$place is on another file system than $root"
    exit
    ;;
roomy) if [ -d "$place/releases" ] && [ -d "$place/kept" ]; then echo after; else echo before; fi; exit ;;
no_room)
    rmdir -- "$place/releases" "$place/kept" "$place" "$(dirname -- "$place")" 2>/dev/null || :
    exit
    ;;
esac

# ----------------------------------------------------------------------------------------------- steps of one change

number=$1
shift
at=$place/kept/$number

case $verb in

# keep ID GROUND STATUS: note what lies there, hold on to what will be replaced or deleted, and lay the new files ready
keep)
    new=$place/releases/$1
    gone "$at"
    umask 077
    mkdir -- "$at"
    ours "$place/deployed" | sorted -u >"$at/old"
    (cd -- "$new" && find . ! -type d -print0) | sorted >"$at/files"
    (cd -- "$new" && find . -mindepth 1 -type d -print0) | sorted >"$at/folders"
    sorted -m -u "$at/files" "$at/old" >"$at/paths"
    cd -- "$root"
    { cat "$at/paths" "$at/folders"; printf '.\0'; } | sorted -u | ground >"$at/ground"
    [ "$(digest <"$at/ground")" = "$2" ] || die "what lies in $root is no longer what the plan was made for"
    no_links
    records <"$at/paths" >"$at/have"
    each "$shape" <"$at/paths" | sorted >"$at/have.shapes"
    each "$sum" <"$at/paths" | sorted >"$at/have.sums"
    of_shapes <"$at/have.shapes" | sorted >"$at/have.paths"
    (cd -- "$new" && each "$shape" <"$at/files") | sorted >"$at/want.shapes"
    (cd -- "$new" && each "$sum" <"$at/files") | sorted >"$at/want.sums"

    # What is to be put, what of it is there, which folders are not.
    { common -23 "$at/want.shapes" "$at/have.shapes" | of_shapes
      common -23 "$at/want.sums" "$at/have.sums" | of_sums; } | sorted -u >"$at/put"
    common -12 "$at/put" "$at/have.paths" >"$at/replaced"
    common -23 "$at/put" "$at/have.paths" >"$at/added"
    each 'find "$@" -maxdepth 0 -type d -print0 2>/dev/null || :' <"$at/folders" | sorted >"$at/have.folders"
    common -23 "$at/folders" "$at/have.folders" >"$at/made"

    # What we deployed and nobody has changed since; what of it the new release no longer has.
    touch "$at/same" "$at/same.links"
    [ ! -f "$place/deployed" ] || common -12 "$place/deployed" "$at/have.sums" >"$at/same"
    [ ! -f "$place/deployed.links" ] || common -12 "$place/deployed.links" "$at/have.shapes" >"$at/same.links"
    ours "$at/same" | sorted -u | common -23 - "$at/files" >"$at/gone"
    for part in '' .links; do
        [ ! -f "$place/deployed$part" ] || cp -- "$place/deployed$part" "$at/deployed.before$part"
    done
    [ ! -f "$place/.live" ] || cp -p -- "$place/.live" "$at/live.before"
    ! (cd "$home" && sh -c "$3") >/dev/null 2>&1 || touch "$at/ran"

    # May every folder be written to, and is it on this file system, so that a rename is one?
    sorted -u "$at/put" "$at/gone" | parents | each 'find "$@" -maxdepth 0 -print0 2>/dev/null || :' >"$at/touched"
    each 'find "$@" -maxdepth 0 \( ! -writable -o ! -executable \) -print' <"$at/touched" >"$at/closed"
    [ ! -s "$at/closed" ] || die "$root/$(head -n 1 "$at/closed") may not be written to"
    xargs -0 -r stat -c %d -- <"$at/touched" | sort -u >"$at/devices"
    [ "$(cat "$at/devices")" = "$(stat -c %d -- "$place")" ] || [ ! -s "$at/devices" ] ||
        die "a folder below $root is on another file system than $place"

    # What lies there is held by a second name of the same inode.
    mkdir -- "$at/found"
    sorted -u "$at/replaced" "$at/gone" >"$at/kept"
    ours "$at/same" | sorted -u | common -13 - "$at/kept" >"$at/foreign"
    copy "$root" "$at/found" -lP <"$at/kept" || die "not every file in $root that would be replaced can be kept as it is"
    (cd "$at/found" && find . ! -type d -printf '%i %p\0') | sorted >"$at/found.inodes"
    each 'find "$@" -maxdepth 0 -printf "%i %p\0"' <"$at/kept" | sorted >"$at/kept.inodes"
    cmp -s "$at/found.inodes" "$at/kept.inodes" || die "a file in $root changed while it was being kept"

    # The new files: assets first, what leads to them last, and who we are when all is there.
    printf './release.json\0' | common -12 - "$at/put" >"$at/class.4"
    (cd -- "$new" && find . ! -type d \( -name '*.html' -o -name '*.htm' -o -name 'index.php' \) -print0) | sorted |
        common -12 - "$at/put" >"$at/class.3"
    common -23 "$at/replaced" "$at/class.3" | common -23 - "$at/class.4" >"$at/class.2"
    common -23 "$at/added" "$at/class.3" | common -23 - "$at/class.4" >"$at/class.1"
    for class in 1 2 3 4; do copy "$new" "$at/$class" -dp <"$at/class.$class"; done

    # Who may not give files away makes copies its own, and cp says nothing.
    for class in 1 2 3 4; do (cd "$at/$class" && find . ! -type d -printf '%u:%g %p\0'); done | sorted >"$at/put.owners"
    (cd -- "$new" && each 'find "$@" -maxdepth 0 -printf "%u:%g %p\0"' <"$at/put") | sorted | cmp -s - "$at/put.owners" ||
        die "new files for $root would not have the owner that they were given: this account may not give files away"

    # What we will have deployed, before and after what is gone is deleted.
    for class in 1 2 3 4; do (cd "$at/$class" && find . ! -type d -print0 | records); done | sorted >"$at/put.records"
    digest <"$at/put.records" >"$at/after"
    digest <"$at/have" >"$at/before"
    sorted -m -u "$at/have" "$at/put.records" >"$at/either"
    for class in 1 2 3 4; do (cd "$at/$class" && find . ! -type d -print0 | each "$sum"); done | sorted >"$at/put.sums"
    for class in 1 2 3 4; do (cd "$at/$class" && find . -type l -print0 | each "$shape"); done | sorted >"$at/put.links"
    (cd "$at/found" && each "$sum" <"$at/gone") | sorted >"$at/gone.sums"
    (cd "$at/found" && each "find \"\$@\" -maxdepth 0 -type l -printf '%y %m %l\\t%p\\0'" <"$at/gone") | sorted >"$at/gone.links"
    common -12 "$at/same" "$at/want.sums" | sorted -m -u - "$at/put.sums" >"$at/deployed.final"
    common -12 "$at/same.links" "$at/want.shapes" | sorted -m -u - "$at/put.links" >"$at/deployed.final.links"
    sorted -m -u "$at/deployed.final" "$at/gone.sums" >"$at/deployed.next"
    sorted -m -u "$at/deployed.final.links" "$at/gone.links" >"$at/deployed.next.links"
    sync -f -- "$at"
    put "$at/ready" "$2"
    sync "$at" "$place/kept"
    ;;

# kept GROUND
kept)
    if [ ! -e "$at" ]; then echo before
    elif [ "$(cat "$at/ready" 2>/dev/null)" = "$1" ]; then echo after
    else echo between; fi
    ;;

# drop: unless the change is live
drop)
    read_live
    [ "$live" != switching ] && [ "$live_number" != "$number" ] || die "change $number is live and stays"
    gone "$at"
    ;;

# switch ID AGAIN: put the new files in their places
switch)
    new=$place/releases/$1
    [ -e "$at/ready" ] || die "change $number is not laid ready"
    no_links
    for class in 1 2 3 4; do        # the second time they have to be copied again
        (cd "$at/$class" && find . ! -type d -print0) | sorted | common -23 "$at/class.$class" - >"$at/again"
        copy "$new" "$at/$class" -dp <"$at/again"
    done
    put "$place/.live" switching
    cd -- "$root"
    make <"$at/made"
    for class in 1 2 3 4; do settle "$at/$class"; done
    sync .
    restart "$2"
    keep_deployed deployed.next
    put "$place/.live" "$1
$number"
    sync "$place"
    ;;

# switched WORD_BEFORE WORD_AFTER ID STATUS
switched)
    read_live
    if [ ! -e "$at/ready" ]; then       # never laid ready, or taken away again
        if [ "$live" = switching ] || [ "$live_number" = "$number" ]; then echo cannot_tell; else echo "$1"; fi
        exit
    fi
    cd -- "$root" 2>/dev/null || { echo cannot_tell; exit; }
    if [ "$(cat "$place/.live" 2>/dev/null)" = "$(cat "$at/live.before" 2>/dev/null)" ] &&
        [ "$(records <"$at/paths" | digest)" = "$(cat "$at/before")" ]; then
        echo "$1"
        exit
    fi
    if [ "$(records <"$at/put" | digest)" = "$(cat "$at/after")" ]; then
        if [ "$live $live_number" = "$3 $number" ] && (cd "$home" && sh -c "$4") >/dev/null 2>&1
        then echo "$2"; else echo between; fi
        exit
    fi
    strange=$(records <"$at/put" | common -23 - "$at/either" | tr '\0' '\n' | head -n 1)
    missing=$(there <"$at/replaced" | common -13 - "$at/replaced" | tr '\0' '\n' | head -n 1)
    if [ -n "$strange$missing" ]; then echo cannot_tell; else echo between; fi
    ;;

# restore AGAIN STOP: bring back what was found, the very inodes
restore)
    [ -e "$at/ready" ] || exit 0
    no_links
    read_live
    [ "$live" = switching ] || put "$place/.live" switching
    (cd -- "$root" && each 'find "$@" -maxdepth 0 -printf "%i %p\0" 2>/dev/null || :' <"$at/kept") | sorted |
        common -13 - "$at/found.inodes" | cut -z -d' ' -f2- | sorted >"$at/lost"
    for class in 1 2 3; do gone "$at/back.$class"; done
    common -12 "$at/lost" "$at/class.3" | copy "$at/found" "$at/back.2" -lP
    common -12 "$at/lost" "$at/class.4" | copy "$at/found" "$at/back.3" -lP
    common -23 "$at/lost" "$at/class.3" | common -23 - "$at/class.4" | copy "$at/found" "$at/back.1" -lP
    cd -- "$root"
    parents <"$at/lost" | each 'for folder; do [ -d "$folder" ] || printf "%s\0" "$folder"; done' | make
    for class in 1 2 3; do settle "$at/back.$class"; done
    # Only what is still what we put; whatever else lies there by now is somebody's.
    records <"$at/added" | common -12 - "$at/either" >"$at/still"
    each "$shape" <"$at/added" | sorted | common -12 - "$at/still" | of_shapes | xargs -0 -r rm -f --
    sorted -r "$at/made" | xargs -0 -r rmdir -- 2>/dev/null || :
    sync .
    if [ -e "$at/ran" ]; then restart "$1"; else restart "$2"; fi
    keep_deployed deployed.before
    if [ -f "$at/live.before" ]; then as "$at/live.before" "$place/.live"; else rm -f -- "$place/.live"; fi
    sync "$place"
    ;;

# tidy NAME...: delete what the release no longer has, if it is still what we deployed, and old changes and releases
tidy)
    cd -- "$root"
    each "$sum" <"$at/gone" | sorted | common -12 - "$at/gone.sums" | of_sums | xargs -0 -r rm -f --
    each "$shape" <"$at/gone" | sorted | common -12 - "$at/gone.links" | of_shapes | xargs -0 -r rm -f --
    keep_deployed deployed.final
    for name; do gone "$place/$name" && rm -f -- "$place/$name.tree"; done
    ;;

# tidied NAME...
tidied)
    cd -- "$root"
    left=$(each "$sum" <"$at/gone" | sorted | common -12 - "$at/gone.sums" | wc -c)
    links=$(each "$shape" <"$at/gone" | sorted | common -12 - "$at/gone.links" | wc -c)
    [ "$left $links" = "0 0" ] || { echo before; exit; }
    for name; do [ ! -e "$place/$name" ] || { echo before; exit; }; done
    echo after
    ;;

*) die "unknown verb $verb" ;;
esac

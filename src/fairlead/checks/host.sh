# sh -c host.sh fairlead PROGRAMS [WORD VALUE]...: says what this account can do. It only looks: sudo is asked what it would
# allow, and runs nothing. Words: `place` a folder; `release` a folder whose live release is measured; `copies` what the
# names of backups begin with, of which the newest is measured; `may` a command that only asks sudo; `unit` one that shows a
# unit; `has` a program. What is said of a value carries its number.
unset IFS; LC_ALL=C; export LC_ALL; exec </dev/null
clock() { printf 'clock %s\n' "$(date +%s.%N)"; }
need() { word=$1; shift; "$@" >/dev/null 2>&1 || printf 'lacks %s\n' "$word"; }
place() { # NUMBER FOLDER: the file system of the nearest folder that exists
  at=$2; while [ ! -e "$at" ]; do case $at in /*/*|[!/]*/*) at=${at%/*};; /*) at=/;; *) at=.;; esac; done
  can=no; [ -d "$at" ] && [ -w "$at" ] && [ -x "$at" ] && can=yes
  printf 'place %s %s %s\n' "$1" "$can" "$(stat -f -c '%T %a %b %S %d %c' -- "$at" 2>/dev/null) $(stat -c %d -- "$at" 2>/dev/null)"
}
release() { # NUMBER FOLDER: kilobytes of the live release; nothing where there is none, `?` where it takes too long
  at=$2/current/.
  [ -d "$at" ] || { id=; { read -r id <"$2/.live"; } 2>/dev/null; at=$2/releases/${id:-none}; }
  [ -d "$at" ] || return 0
  printf 'size %s %s\n' "$1" "$(size=$(timeout 4 du -sk -- "$at" 2>/dev/null) && echo "${size%%[!0-9]*}" || echo '?')"
}
copies() { # NUMBER START: kilobytes of the newest file whose name begins so; its name ends with its time
  newest=; d='[0-9][0-9]'; for file in "$2"-$d$d$d${d}T$d$d${d}Z.*; do case $file in *.json) ;; *) newest=$file;; esac; done
  [ -f "$newest" ] && printf 'size %s %s\n' "$1" "$(($(stat -c %s -- "$newest") / 1024 + 1))"
}
said() { said=$(sh -c "$1" 2>&1); code=$?; }
may() { said "$2"; printf 'may %s %s %s\n' "$1" "$code" "$(printf %s "$said" | tr '\n' ' ')"; }
unit() { # NUMBER COMMAND: what systemd has made of the unit's file; `-` = it does not say
  said "$2"; state=$(printf '%s\n' "$said" | sed -n 's/^LoadState=//p')
  printf 'unit %s %s %s\n' "$1" "${state:--}" "$(printf %s "$said" | tr '\n' ' ')"
}
needs() {
  need find      find . -maxdepth 0 -printf x
  need sort      sh -c 'printf "b\0a\0" | sort -z'
  need xargs     sh -c 'printf "x\0" | xargs -0 -r true'
  need sha256sum sha256sum -z /dev/null
  need mv        sh -c 'mv --help | grep -e --no-target-directory'
  need stat      stat -f -c %T /
  need sync      sh -c 'sync --help | grep -e --data'
  need readlink  readlink -f /
  need tar       sh -c 'tar --version | grep GNU'
  need base64    base64 /dev/null
  need setsid    sh -c 'command -v setsid || perl -e "use POSIX"'
  need lock      sh -c 'command -v flock || perl -e "use Fcntl"'
  need proc      test -r /proc/self/stat
  for program in $1; do case $program in
    python3) need python3 python3 -c 'import sys, sqlite3; sys.exit(sys.version_info < (3, 7))';;
    *) need "$program" sh -c 'command -v "$0"' "$program";;
  esac; done
}
has() { command -v -- "$2" >/dev/null || printf 'has %s no\n' "$1"; }
rules() { sudo -n -l 2>/dev/null | while IFS= read -r line; do printf 'rule %s\n' "$line"; done; }
clock
needs "$1" & shift  # every line is short enough to come whole
before=$(date +%s.%N); said=$(timeout 10 "${SHELL:-sh}" -lc : 2>/dev/null); after=$(date +%s.%N)
printf 'login %s %s %s\n' "$before" "$after" "${#said}"
printf 'load %s %s\n' "$(cut -d ' ' -f 1 /proc/loadavg)" "$(nproc)"
printf 'login_is %s\n' "$(id -u)"
command -v rsync >/dev/null || echo 'no rsync'
number=0; asks=
while [ $# -gt 1 ]; do
  [ "$1" != may ] || asks=yes
  case $1 in place|release|copies|may|unit|has) "$1" "$number" "$2";; esac
  number=$((number + 1)); shift 2
done
[ -z "$asks" ] || rules
wait; clock; echo whole

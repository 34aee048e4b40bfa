# sh -c host.sh fairlead PROGRAMS STATE [FOLDER...]: says what this account can do. It only looks.
unset IFS; LC_ALL=C; export LC_ALL; exec </dev/null
clock() { printf 'clock %s\n' "$(date +%s.%N)"; }
need() { word=$1; shift; "$@" >/dev/null 2>&1 || printf 'lacks %s\n' "$word"; }
place() { # NUMBER FOLDER: the file system of the nearest folder that exists
  at=$2; while [ ! -e "$at" ]; do case $at in /*/*|[!/]*/*) at=${at%/*};; /*) at=/;; *) at=.;; esac; done
  can=no; [ -d "$at" ] && [ -w "$at" ] && [ -x "$at" ] && can=yes
  printf 'place %s %s %s\n' "$1" "$can" "$(stat -f -c '%T %a %b %S %d %c' -- "$at" 2>/dev/null)"
}
clock
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
shift
before=$(date +%s.%N); said=$(timeout 10 "${SHELL:-sh}" -lc : 2>/dev/null); after=$(date +%s.%N)
printf 'login %s %s %s\n' "$before" "$after" "${#said}"
number=0; for folder in "$@"; do place "$number" "$folder"; number=$((number + 1)); done
clock; echo whole

# sh lifeline.sh NONCE BYTES FOLDER PROGRAM [ARGUMENT...]
#
# Runs one program so that it cannot outlive the one who asked for it. Sent as text (comments are cut off) to a local
# `sh` or through ssh; standard input is the life line:
#   - its first BYTES are the program's input, handed over whole or not at all; the program then reads end of file;
#   - after them it must stay open. When it ends, whoever asked is gone, and the program's session gets TERM, then
#     KILL after 2 seconds.
# Both outputs carry `fairlead begin NONCE` before and `fairlead rc N end NONCE` after what the program printed, so that
# a noisy login shell, a daemon that keeps an output open and a broken connection are all told from the program.
# Exit codes of the program that are ours: 126 no such FOLDER, 127 no such PROGRAM.
unset n b d p w x data; n=$1 b=$2 d=$3; shift 3
exec 3<&0 </dev/null
command -v setsid >/dev/null || setsid() { exec perl -e 'use POSIX; POSIX::setsid(); exec { $ARGV[0] } @ARGV' "$@"; }
both() { printf "$@"; printf "$@" >&2; }
members() { for f in /proc/[0-9]*/stat; do
  { read -r l <"$f"; } 2>/dev/null || continue
  i=${l%% *}; l=${l##*) }; set -- $l; [ "${4-}" = "$p" ] && [ "$1" != Z ] && printf '%s\n' "$i"
done; }
signal() { kill -s "$1" -- "-$p" || kill -s "$1" "$p"; for i in $(members); do kill -s "$1" "$i"; done; }
begin='cd -- "$1" 2>/dev/null || { echo "no folder $1" >&2; exit 126; }; shift; exec "$@"'
both 'fairlead begin %s\n' "$n"
cd 2>/dev/null
# base64 because a shell variable holds no NUL; a variable because the input must be read to its end before the life
# line is watched, and must not touch the disk. `printf` is built in: nothing of it appears in an argument list.
if [ "$b" -gt 0 ]; then
  data=$(head -c "$b" <&3 | base64)
  [ "$(printf '%s\n' "$data" | base64 -d | wc -c)" -eq "$b" ] || exit 125
  printf '%s\n' "$data" | base64 -d 2>/dev/null | setsid sh -c "$begin" fairlead "$d" "$@" 3<&- & p=$!
else setsid sh -c "$begin" fairlead "$d" "$@" </dev/null 3<&- & p=$!
fi
# The watcher. From the moment it begins to end the session it no longer hears the TERM that dismisses it below.
( while read -r x <&3; do :; done; trap '' TERM; t=0
  signal TERM
  while [ "$t" -lt 10 ] && { kill -s 0 -- "-$p" || [ -n "$(members)" ]; }; do sleep 0.2; t=$((t + 1)); done
  signal KILL ) >/dev/null 2>&1 & w=$!
exec 3<&-
wait "$p" 2>/dev/null; rc=$?
kill -s TERM "$w" 2>/dev/null; wait "$w" 2>/dev/null
both '\nfairlead rc %s end %s\n' "$rc" "$n"

# sh ssh_shell.sh WORD
#
# A shell at the far end of one session that runs one request after another: a session costs two round trips and a login
# shell's start-up, a request in an open one costs one round trip. Sent as text, comments cut off, with `look`, which is
# lifeline.sh as a function. A request is `WORD N` and N lines of shell; what follows them on standard input is the
# request's own. Both outputs say `fairlead shell WORD begins` once, and `fairlead done CODE WORD.` after each request. Whatever
# a request has left unread is passed over, since it does not begin with WORD. Read line by line: `read` takes no byte
# more than it needs, which cannot be said of every head(1).
unset w n t l c; w=$1
printf 'fairlead shell %s begins\n' "$w"; printf 'fairlead shell %s begins\n' "$w" >&2
while IFS= read -r l; do
  case $l in "$w "*) n=${l#"$w "} ;; *) continue ;; esac
  t=
  while [ "$n" -gt 0 ]; do IFS= read -r l || exit; t="$t$l
"; n=$((n - 1)); done
  (eval "$t"); c=$?
  printf '\nfairlead done %s %s.\n' "$c" "$w"; printf '\nfairlead done %s %s.\n' "$c" "$w" >&2
done

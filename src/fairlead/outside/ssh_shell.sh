# sh ssh_shell.sh WORD
#
# A shell at the far end of one session that runs one request after another: a session costs two round trips and a login
# shell's start-up, a request in an open one costs one round trip. Sent as text, comments cut off, with `look`, which is
# lifeline.sh as a function. A request is `WORD N BYTES` and N lines of shell, so many bytes in all, of which the last is
# `# WORD`; what follows them on standard input is the request's own. Both outputs say `fairlead shell WORD begins` once,
# and `fairlead done CODE WORD.` after each request. Whatever a request has left unread is passed over, since it does not
# begin with WORD. Nothing may take a byte more than it needs, which cannot be said of every head(1): `read` asks the
# kernel for each byte, so where a request is long dd(1) takes it, if it knows how to; else it has read nothing.
unset w n b t l c; w=$1
printf 'fairlead shell %s begins\n' "$w"; printf 'fairlead shell %s begins\n' "$w" >&2
while IFS= read -r l; do
  case $l in "$w "*) n=${l#"$w "} ;; *) continue ;; esac
  b=${n#* } n=${n% *} t=
  [ "$b" -lt 4096 ] || t=$(dd bs="$b" count=1 iflag=fullblock 2>/dev/null)
  case $t in *"# $w") n=0 ;; ?*) exit ;; esac
  while [ "$n" -gt 0 ]; do IFS= read -r l || exit; t="$t$l
"; n=$((n - 1)); done
  (eval "$t"); c=$?
  printf '\nfairlead done %s %s.\n' "$c" "$w"; printf '\nfairlead done %s %s.\n' "$c" "$w" >&2
done

# sh -c logs.sh fairlead list PATTERN...              the log files there, and their rotated siblings
# sh -c logs.sh fairlead read [FILE ID FROM COUNT]... bytes of them, packed. It only looks.
LC_ALL=C; export LC_ALL; exec </dev/null
packed() { base64 | tr -d '\n'; }
tell() { # WORD NUMBER FILE: identity, size, first bytes, name
  [ -f "$3" ] || return 0
  if [ -r "$3" ]; then what=$(stat -L -c '%d:%i %s' -- "$3"); else what='unreadable 0'; fi
  printf '%s %s %s %s %s\n' "$1" "$2" "$what" "$(head -c 64 -- "$3" 2>/dev/null | packed)" "$(printf %s "$3" | packed)"
}
job=$1; shift
case $job in
list)
  number=0
  for pattern in "$@"; do
    IFS=  # a blank in a pattern is a blank
    for file in $pattern; do
      case $file in *.gz|*.bz2|*.xz|*.zst) [ -f "$file" ] && printf 'packed %s\n' "$number"; continue;; esac
      tell file "$number" "$file"
      for old in "$file".* "$file"-*; do
        case $old in *.gz|*.bz2|*.xz|*.zst) ;; *) tell old "$number" "$old";; esac
      done
    done
    unset IFS
    number=$((number + 1))
  done;;
read)
  while [ $# -ge 4 ]; do
    if exec 3<"$1" && [ "$(stat -L -c %d:%i /proc/self/fd/3)" = "$2" ]; then
      printf 'part %s %s\n' "$2" "$(tail -c "+$(($3 + 1))" <&3 | head -c "$4" | gzip -1c | packed)"
    else
      printf 'moved %s -\n' "$2"
    fi
    shift 4
  done;;
esac
echo whole

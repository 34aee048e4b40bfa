# sh -c port.sh fairlead ADDRESS PORT SECONDS: open, refused, silent or `unknown WHY`; before it, the address that a
# connection to there comes from, as far as this machine knows it.
LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
export LC_ALL PATH
to=$(getent ahosts "$1" | awk 'NR == 1 { print $1 }')
from=$(ip -o route get "${to:-$1}" 2>/dev/null | sed -n 's/.* src \([^ ]*\).*/\1/p')
printf 'from %s\n' "$from"
if command -v bash >/dev/null; then
    said=$(timeout "$3" bash -c 'exec 3<>"/dev/tcp/$1/$2"' x "$1" "$2" 2>&1)
elif command -v python3 >/dev/null; then
    said=$(timeout "$3" python3 -c 'import socket, sys; socket.create_connection(sys.argv[1:3])' "$1" "$2" 2>&1)
else
    echo 'unknown neither bash nor python3 is there to ask with'
    exit
fi
code=$?
case $code,$said in
    0,*) echo open ;;
    124,* | *'No route to host'* | *'timed out'*) echo silent ;;
    *refused*) echo refused ;;
    *) printf 'unknown %s\n' "$(printf '%s' "$said" | tail -n 1)" ;;
esac

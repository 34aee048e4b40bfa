# sh -c systemd.sh fairlead CODE WORD UNIT LOOKS PAUSE WAITS SHOW LOG: `systemctl WORD UNIT` ended with CODE; does it last?
#
# SHOW prints the unit's properties, LOG its last log lines. A unit that is still starting gets WAITS looks, then it must
# be active in the same main process, and not started again, at each of LOOKS looks; PAUSE seconds lie between two.
# Ends with CODE where that is not 0, with 1 where the unit did not last, and with 0 where systemd cannot be asked: then its
# health decides. What it has to say is one line behind `fairlead: `, and behind that the unit's log.
code=$1 word=$2 unit=$3 looks=$4 pause=$5 waits=$6 show=$7 log=$8

# look: what systemd says of the unit now; 1 = it cannot be asked
look() {
    load= state= sub= type= result= pid= restarts= how= status=
    said=$(sh -c "$show" 2>&1) || return 1
    while IFS='=' read -r key value; do
        case $key in
            LoadState) load=$value ;; ActiveState) state=$value ;; SubState) sub=$value ;;
            Type) type=$value ;; Result) result=$value ;; MainPID) pid=$value ;; NRestarts) restarts=$value ;;
            ExecMainCode) how=$value ;; ExecMainStatus) status=$value ;;
        esac
    done <<SAID
$said
SAID
    [ -n "$state" ] && [ "$load" != not-found ]
}

starting() { case $state/$sub in activating/auto-restart*) false ;; activating/* | reloading/* | refreshing/*) ;; *) false ;; esac; }
well() { case $type/$state/$result in */active/* | oneshot/inactive/success) ;; *) false ;; esac; }

# What it has come to, in a few words.
standing() {
    case ${restarts:-0} in 0) again='not started again' ;; 1) again='started again once' ;; *) again="started again $restarts times" ;; esac
    case $how in 1) end=", exit status $status" ;; 2 | 3) end=", killed by signal $status" ;; *) end= ;; esac
    echo "$state ($sub), $again$end"
}

# unwell SENTENCE: say so, quote the log, and end
unwell() {
    words=$(sh -c "$log" 2>&1) || words="its log cannot be read: $words"
    printf '\nfairlead: %s: %s\n%s\n' "$1" "$(standing)" "${words:-its log is empty for this account}"
    [ "$code" = 0 ] || exit "$code"
    exit 1
}

# unseen: systemd does not say how the unit is, so its health has to decide
unseen() {
    why=$(printf '%s' "$said" | tr '\n' ' ')
    [ "$load" != not-found ] || why='no such unit'
    [ "$code" != 0 ] || printf '\nfairlead: systemd cannot be asked %sabout %s (%s); its health decides\n' "$1" "$unit" "$why"
    exit "$code"
}

look || unseen ''
if [ "$code" != 0 ]; then
    well || unwell "$unit"
    exit "$code"
fi
while starting && [ "$waits" -gt 0 ]; do
    waits=$((waits - 1))
    sleep "$pause"
    look || unseen 'any more '
done
first="$pid $restarts"
while { well || starting; } && [ "$pid $restarts" = "$first" ]; do
    [ "$looks" -gt 0 ] || { well && exit 0; break; }
    looks=$((looks - 1))
    sleep "$pause"
    look || unseen 'any more '
done
after="after a $word that succeeded"
if starting; then unwell "$unit was still not there $after"
elif well; then unwell "$unit did not last $after; another process took its place"
else unwell "$unit did not last $after"; fi

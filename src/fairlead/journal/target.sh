# Fairlead's half on the target, protocol 1: lock, record and fence of one environment on one login account.
#
#   sh fl-HASH.sh VERB DIR ARGUMENTS...          DIR = the environment's folder, such as .fairlead/production
#
# The answer is the last line that begins with `fl1 `; exit code 0 = done, 1 = refused. No such line = not known.
# Needs a POSIX shell, coreutils, Linux /proc, a local file system, and flock(1) or perl.
#
#   mutex, gate    empty, only ever locked; never renamed or deleted, since a new inode would be a new lock
#   lock           1 TOKEN held|free NONCE RUN WHO       the token never falls; RUN = the open run, - = none
#   lease          TOKEN END TTL                         another token or unreadable = over
#   fence          TOKEN closed|open                     closed = raised, but older changes are not proven ended yet
#   runs/RUN.rec   SEQ TOKEN SUM JSON                    one line an entry, only ever appended
#   plans/SHA256   what a run is made of
#   pg/ID          TOKEN PID STARTTIME BOOTID            a change that is running now; PID = its session
#   receipts       ID RC TIME                            changes that have ended, even if nobody heard it; blank lines between
#   out/ID*        what belongs to a running change: its output, its input's pipe, the mark that it is being ended
#
# Functions share all variables in sh: a name means the same thing everywhere in this file.

# A change runs with the login's own umask and locale; everything else here is private and bytewise.
login_umask=$(umask)
login_locale=${LC_ALL+=$LC_ALL}
set -u
umask 077
LC_ALL=C
export LC_ALL

verb=$1
dir=$2
shift 2
newline='
'
now=

# ---------------------------------------------------------------------------------------------------- answers, words

answers_on=1
[ "$verb" != stream ] || answers_on=2       # standard output belongs to rsync there

say() { printf 'fl1 %s\n' "$*" >&"$answers_on"; }

no() {
    say "$@"
    exit 1
}

# Numbers have no leading zero (08 would be octal) and fit the shell's arithmetic.
num() {
    case $1 in '' | *[!0-9]* | 0?*) return 1 ;; esac
    [ ${#1} -le 15 ]
}

# Words become file names and fields: no blank, no slash, no leading dot.
word() { case $1 in '' | .* | *[!A-Za-z0-9._:@+-]*) return 1 ;; esac; }

# ----------------------------------------------------------------------------------------- what a host may not have

if ! command -v flock >/dev/null; then
    command -v perl >/dev/null || no missing flock
    flock() {                               # [-s] [-w SECONDS] FD: locks the inherited descriptor, as flock(1) does
        lock_how=2 lock_wait=0
        while [ $# -gt 1 ]; do
            case $1 in -s) lock_how=1 ;; -w) lock_wait=$2 && shift ;; esac
            shift
        done
        perl -e 'open(F, "+<&=", $ARGV[0]) or exit 1; $end = time + $ARGV[2];
            until (flock(F, $ARGV[1] | 4)) { exit 1 if time >= $end; select(undef, undef, undef, .05) }' \
            "$1" "$lock_how" "$lock_wait"
    }
fi
command -v setsid >/dev/null || setsid() { exec perl -e 'use POSIX; POSIX::setsid(); exec @ARGV' "$@"; }

# ------------------------------------------------------------------------------------------------- files, under mutex

# Written whole or not at all, also through a power cut.
put() { printf '%s\n' "$2" >"$1.new" && sync "$1.new" && mv -f "$1.new" "$1" && sync .; }

# `true >>` tells a folder that takes no files from a lock that is taken; a failing `exec` would end the shell unheard.
mutex() {                                   # [-s for looking only]
    true 2>/dev/null >>mutex || no disk mutex
    exec 8<>mutex
    flock "$@" -w 10 8 || no busy mutex
}

# Unix time into $now.
clock() {
    now=$(date +%s)
    { read -r uptime rest; } </proc/uptime
    clock_base=$((now - ${uptime%%.*}))
}

# The same, carried on by the kernel's own count of seconds: costs no process, and may be a second off either way. So
# for durations and receipts, never for a lease, and for a LATE only where a second does not matter.
carry_clock() {
    { read -r uptime rest; } </proc/uptime
    now=$((clock_base + ${uptime%%.*}))
}

# From the moment of `load`, so that it never ends later than its holder was told. Not synced: lost, it only ends early.
lease() { printf '%s\n' "$1 $((now + $2)) $2" >lease; }

load() {
    lock_token=0 lock_state=free lock_nonce=- lock_run=- lock_who=-
    lease_token=0 lease_end=0 lease_ttl=0
    fence_token=0 fence_state=open
    if [ -e lock ]; then
        read -r format lock_token lock_state lock_nonce lock_run lock_who rest <lock || no corrupt lock
        [ "$format" = 1 ] || no newer "$format"
        num "$lock_token" && word "$lock_run" && word "$lock_nonce" && word "$lock_who" || no corrupt lock
        case $lock_state in held | free) ;; *) no corrupt lock ;; esac
    fi
    if [ -e fence ]; then
        read -r fence_token fence_state rest <fence && num "$fence_token" || no corrupt fence
    fi
    if [ -e lease ]; then
        read -r lease_token lease_end lease_ttl rest <lease &&
            num "$lease_token" && num "$lease_end" && num "$lease_ttl" || lease_token=0 lease_end=0 lease_ttl=0
    fi
    clock
}

mine() {                                    # TOKEN RUN: may this owner still write?
    [ "$lock_state $lock_token $lock_run" = "held $1 $2" ] || no fenced "$lock_token $lock_state $lock_run"
}

# A torn tail gets its newline and is never cut. (Not `[ -z "$(tail -c1)" ]`: that is empty for a NUL too.)
heal() { [ ! -s "$1" ] || [ "$(tail -c1 "$1"; printf x)" = "${newline}x" ] || printf '\n' >>"$1"; }

append() {                                  # RUN LINES
    record=runs/$1.rec
    created=
    [ -e "$record" ] || created=1
    heal "$record" && printf '%s' "$2" >>"$record" && sync -d "$record" || no disk record
    [ -z "$created" ] || sync runs || no disk record
}

# Lines of BYTES in all from standard input into $data, all or nothing. `read` takes byte by byte, so that the change's
# own input, which may follow, is still there; and it drops a NUL, which makes the count short.
take() {
    num "$1" || no usage
    data=
    while [ ${#data} -lt "$1" ]; do
        IFS= read -r line <&3 || no short
        data=$data$line$newline
    done
    [ ${#data} -eq "$1" ] || no short
}

# What we write is ASCII: any other byte is damage, and shown as `?` it keeps the byte counts of an answer true.
ascii() { tr -c '\n -~' '?'; }

file() {                                    # NAME: its content as part of an answer
    bytes=$(wc -c <"$1")
    say file "$1" "$bytes"
    head -c "$bytes" "$1"
    printf '\n'
}

# ---------------------------------------------------------------------------------------------- changes and sessions

# live SESSION STARTTIME NAME: the session's processes; those that are surely ours -> $pids, doubtful ones -> $odd.
# A pid is not given out again while a session of that number has members. So another start time = all gone.
live() {
    pids= odd=
    if { read -r stat <"/proc/$1/stat"; } 2>/dev/null; then
        stat=${stat##*) }
        [ "$(set -- $stat; shift 19; echo "$1")" = "$2" ] || [ "$2" = 0 ] || return 0
    fi
    for process in /proc/[0-9]*/stat; do
        { read -r stat <"$process"; } 2>/dev/null || continue
        member=${stat%% *}
        stat=${stat##*) }
        set -- "$1" "$2" "$3" $stat         # $4 = state, $7 = session, ${23} = start time
        [ "$7" = "$1" ] && [ "$4" != Z ] || continue
        if [ "$member" = "$1" ] && [ "${23}" = "$2" ]; then
            pids="$pids $member"
        else
            case $newline$(tr '\0' '\n' 2>/dev/null <"/proc/$member/environ")$newline in
            *"${newline}FAIRLEAD_CHANGE=$3$newline"*) pids="$pids $member" ;;
            *) odd="$odd $member" ;;
            esac
        fi
    done
}

# The shared lock comes first, then the comparison: whoever got in before a raise is waited for, whoever comes later
# is refused. Exactly equal and open: a token above the fence means that nobody has drained this host yet.
gate() {                                    # TOKEN LATE
    true 2>/dev/null >>gate || no disk gate
    exec 9<>gate
    flock -s -w 10 9 || no busy gate
    { read -r fence_token fence_state rest <fence; } 2>/dev/null || no corrupt fence
    [ "$fence_token $fence_state" = "$1 open" ] || no fenced "$fence_token $fence_state"
    if [ "$now" != "" ]; then
        carry_clock
        [ "$now" -ge "$2" ] || return 0     # even a second later it would be in time
    fi
    clock
    [ "$now" -le "$2" ] || no late
}

# What a change's session leader does before it becomes the change: sh -c "$begin" fl TOKEN ID UMASK LOCALE COMMAND...
begin='
    fl_token=$1 fl_id=$2 fl_umask=$3 fl_locale=$4
    shift 4
    read -r fl_boot </proc/sys/kernel/random/boot_id
    read -r fl_stat <"/proc/$$/stat"
    fl_start=${fl_stat##*) } fl_field=19
    while [ "$fl_field" -gt 0 ]; do
        fl_start=${fl_start#* } fl_field=$((fl_field - 1))
    done
    fl_start=${fl_start%% *}
    printf "%s\n" "$fl_token $$ $fl_start $fl_boot" 2>/dev/null >"pg/$fl_id" || {
        echo "it did not begin, since nothing can be written to $PWD: is its disk full?"
        exit 125
    }
    case $fl_locale in =*) LC_ALL=${fl_locale#=} ;; *) unset LC_ALL ;; esac
    umask "$fl_umask"
    cd "$HOME" && exec "$@"'

# Told to every process of the change, so that a takeover knows them again. From here on we must live until the receipt
# is written, also when nobody listens any more. (`:`, since the change would inherit an ignored signal.)
announce() {
    [ ! -e "pg/$id" ] || no twice
    trap : PIPE
    FAIRLEAD_CHANGE=${dir##*/}.$id
    export FAIRLEAD_CHANGE
}

# dash wants the `--`, busybox does not know it.
group() { kill -s "$1" -- "-$change" 2>/dev/null || kill -s "$1" "-$change" 2>/dev/null; }

# End the change that this process watches over: its group, and whoever else is in its session. Nobody there = the
# number may be a stranger's by now.
end_change() {
    true >"out/$id.end"
    for signal in TERM KILL; do
        start=0
        { read -r rest rest start rest <"pg/$id"; } 2>/dev/null
        live "$change" "$start" "$FAIRLEAD_CHANGE"
        [ -z "$pids$odd" ] || group $signal
        [ -z "$pids" ] || kill -s $signal $pids
        [ $signal = KILL ] || sleep "$grace"
    done
}

# Its input, then one byte every now and then: end of file or silence for BEAT seconds means that nobody is there.
watch_line() {
    [ "$bytes" -eq 0 ] || head -c "$bytes" <&3 >"out/$id.in"
    while byte=$(timeout "$beat" head -c1 <&3) && [ -n "$byte" ]; do :; done
    [ "$loss" = finish ] || end_change
}

# In short naps: when the wrapper was killed nobody ends this one, and what it watched over may be gone.
watch_clock() {
    while [ "$limit" -gt 0 ]; do
        nap=$((limit < 5 ? limit : 5))
        limit=$((limit - nap))
        sleep "$nap" &
        nap=$!
        trap 'kill "$nap"; exit' TERM
        wait "$nap"
        [ "$limit" -eq 0 ] || [ -e "pg/$id" ] || exit
    done
    end_change
}

# Wait for the change, write its receipt, set $rc and $how. A change that was ended, by us or by a takeover, keeps the
# gate shut until its session is empty; one that ended by itself may leave something behind, and we say so. (sh itself
# would say on stderr that it was killed.)
finish() {
    wait "$change" 2>/dev/null
    rc=$?
    start=0 how=
    { read -r rest rest start rest <"pg/$id"; } 2>/dev/null
    { read -r fence_token fence_state rest <fence; } 2>/dev/null
    if [ $rc -le 128 ] && [ "$fence_token $fence_state" = "$token open" ] && [ ! -e "out/$id.end" ]; then
        group 0 && how=left
    else
        while live "$change" "$start" "$FAIRLEAD_CHANGE" && [ -n "$pids$odd" ]; do sleep 0.1; done
        [ ! -e "out/$id.end" ] || how=ended
    fi
    [ -z "$watchers" ] || kill $watchers 2>/dev/null
    carry_clock
    gap=                                    # rather than a look at the last line, which may be torn
    [ ! -s receipts ] || gap=$newline
    printf '%s\n' "$gap$id $rc $now" >>receipts && sync -d receipts || no disk receipt
    rm -f "pg/$id" "out/$id.end" "out/$id.in"
}

# The wrapper holds the gate, from another session than the change: ending the change cannot release it. Nobody else
# inherits it (9<&-), or every daemon that a change starts would block all later takeovers.
perform() {                                 # TOKEN ID LATE LOSS LIMIT GRACE BEAT BYTES COMMAND...
    token=$1 id=$2 late=$3 loss=$4 limit=$5 grace=$6 beat=$7 bytes=$8
    shift 8
    num "$token" && word "$id" && num "$late" && num "$limit" && num "$grace" && num "$beat" && num "$bytes" || no usage
    case $loss in end | finish) ;; *) no usage ;; esac
    gate "$token" "$late"
    announce
    input=/dev/null
    if [ "$bytes" -gt 0 ]; then             # through a pipe: what may be a secret never touches the disk
        input=out/$id.in
        rm -f "$input"
        mkfifo "$input" || no disk input
    fi
    exec 5>&1
    if [ "$loss" = finish ]; then           # it must be able to write when nobody listens any more
        true 2>/dev/null >"out/$id" || no disk output
        exec 5>"out/$id"
    fi
    setsid sh -c "$begin" fl "$token" "$id" "$login_umask" "$login_locale" "$@" \
        9<&- 3<&- <"$input" >&5 2>&1 5>&- &
    change=$!
    (watch_line) 9<&- 5>&- >/dev/null 2>&1 &            # (...): around a bare function sh would keep copies of the gate
    watchers=$!
    if [ "$limit" -gt 0 ]; then
        (watch_clock) 9<&- 3<&- 5>&- >/dev/null 2>&1 &
        watchers="$watchers $!"
    fi
    finish
    if [ "$loss" = finish ]; then
        head -c 1000000 "out/$id"
        rm -f "out/$id"
    fi
    printf '\n'                             # output without a newline at its end must not swallow the answer
    say done "$rc" "$now" $how
}

# ------------------------------------------------------------------------------------------------------------- verbs

# probed SECONDS PROBE, then a verb with its arguments -> saw WORD, or that verb's answer. PROBE is a shell line that
# prints where a step stands; only `before` leads on. Last of what it prints counts; no good word = cannot_tell.
if [ "$verb" = probed ]; then
    num "$1" || no usage
    exec 3<&0 </dev/null
    seen=$(
        case $login_locale in =*) LC_ALL=${login_locale#=} ;; *) unset LC_ALL ;; esac
        umask "$login_umask"
        exec 3<&-
        exec timeout "$1" sh -c "$2" 2>/dev/null
    ) || seen=cannot_tell
    seen=$(set -f; set -- $seen; [ $# -eq 0 ] || shift $(($# - 1)); printf '%s' "${1-}")
    case $seen in
    before) ;;
    after | between) no saw "$seen" ;;
    *) no saw cannot_tell ;;
    esac
    verb=$3
    shift 3
    exec <&3
fi

case $verb in
acquire | raise | store)
    if [ ! -d "$dir/runs" ]; then           # `runs` is made last: when it is there, all are
        mkdir -p "$dir/pg" "$dir/plans" "$dir/out" "$dir/runs" && sync "$dir" "$dir/.." || no disk folder
    fi
    ;;
esac
cd "$dir" 2>/dev/null || no none

case $verb in

# acquire new|resume|anew NONCE TTL RUN WHO MINIMUM -> ok TOKEN RUN fresh|again NOW IDLE | busy | open | fenced
# new: nothing may be open. resume: RUN must be the open one. anew: the owner gives itself a higher token.
# IDLE: whole seconds since the lock was last taken or given back; 0 also where that is not known, - = it never was.
acquire)
    mode=$1 nonce=$2 ttl=$3 run=$4 who=$5 minimum=$6
    word "$nonce" && num "$ttl" && word "$run" && word "$who" && num "$minimum" || no usage
    mutex
    load
    if [ "$lock_state $lock_nonce" = "held $nonce" ] && [ "$mode" != anew ]; then    # our answer was lost
        lease "$lock_token" "$ttl" || no disk lease
        say ok "$lock_token" "$lock_run" again "$now" 0
        exit
    fi
    if [ "$mode" = anew ]; then
        [ "$lock_state $lock_nonce" = "held $nonce" ] || no fenced "$lock_token $lock_state $lock_run"
    elif [ "$lock_state" = held ] && [ "$lease_token" = "$lock_token" ] && [ "$lease_end" -gt "$now" ]; then
        # The clock went back: never longer than one ttl from here.
        [ "$lease_end" -le $((now + lease_ttl)) ] || lease "$lock_token" "$lease_ttl"
        no busy "$lock_token" "$lock_who" $((lease_end - now)) "$lock_run"
    fi
    case $mode in
    anew) run=$lock_run ;;
    new) [ "$lock_run" = - ] || no open "$lock_run" "$lock_token" ;;
    resume) [ "$lock_run" = "$run" ] || no open "$lock_run" "$lock_token" ;;
    *) no usage ;;
    esac
    token=$lock_token
    [ "$fence_token" -le "$token" ] || token=$fence_token
    [ "$minimum" -le "$token" ] || token=$minimum
    token=$((token + 1))
    idle=-
    if [ -e lock ]; then
        changed=$(stat -c %Y lock 2>/dev/null) && num "$changed" || changed=$now
        idle=$((now > changed ? now - changed : 0))
    fi
    # The fence first: a token that only the lock knew could be given out a second time.
    put fence "$token closed" && put lock "1 $token held $nonce $run $who" && lease "$token" "$ttl" || no disk lock
    say ok "$token" "$run" fresh "$now" "$idle"
    ;;

# renew TOKEN RUN TTL -> ok NOW | fenced. A lapsed lease that nobody took may be renewed.
renew)
    num "$3" || no usage
    mutex
    load
    mine "$1" "$2"
    lease "$1" "$3" || no disk lease
    say ok "$now"
    ;;

# release TOKEN RUN done|keep -> ok | fenced. keep leaves the run open for anybody.
release)
    case $3 in done) run=- ;; keep) run=$2 ;; *) no usage ;; esac
    mutex
    load
    mine "$1" "$2"
    put lock "1 $1 free - $run $lock_who" || no disk lock
    say ok
    ;;

# append TOKEN RUN TTL BYTES <lines -> ok NOW | fenced | short | disk. Renews too.
append)
    num "$3" || no usage
    exec 3<&0
    take "$4"                               # before the mutex: a slow sender keeps nobody waiting
    mutex
    load
    mine "$1" "$2"
    append "$2" "$data"
    lease "$1" "$3" || no disk lease
    say ok "$now"
    ;;

# store SHA256 BYTES <content -> ok | short | disk
store)
    word "$1" && num "$2" || no usage
    draft=plans/.$1.$$
    head -c "$2" >"$draft" || no disk plan
    sum=$(sha256sum <"$draft")
    if [ "${sum%% *}" != "$1" ]; then
        rm -f "$draft"
        no short
    fi
    sync "$draft" && mv -f "$draft" "plans/$1" && sync plans || no disk plan
    say ok
    ;;

# plan SHA256 -> file plans/SHA256 BYTES, content, ok | none
plan)
    word "$1" || no usage
    [ -f "plans/$1" ] || no none
    file "plans/$1"
    say ok
    ;;

# read [RUN] -> state ..., the last receipts, the record of RUN or of the open run, ok
read)
    mutex -s
    load
    run=${1:-$lock_run}
    word "$run" || no usage
    say state "$lock_token $lock_state $lock_nonce $lock_run $lock_who" \
        "$lease_token $lease_end $fence_token $fence_state $now"
    if [ -e receipts ]; then                # they are written under the gate, not under the mutex: one look
        data=$(tail -n 2000 receipts | ascii)
        say file receipts $((${#data} + 1))
        printf '%s\n\n' "$data"
    fi
    [ ! -e "runs/$run.rec" ] || file "runs/$run.rec" | ascii
    say ok
    ;;

# list -> sizes, first, last, and after each what wc -c, head -v -n 1 and tail -v -n 1 say of all records; ok. Three
# processes for all of them: a long history would cost several for each.
list)
    mutex -s
    set -- runs/*.rec
    if [ -e "$1" ]; then
        say sizes
        wc -c "$@"
        say first
        head -v -n 1 "$@" | ascii
        say last
        tail -v -n 1 "$@" | ascii
        printf '\n'                         # the last line may be torn
    fi
    say ok
    ;;

# forget RUN -> ok | open. Deletes the record, and plans that no record names; but none of the last day, since a plan
# is stored before its run begins.
forget)
    word "$1" || no usage
    mutex
    load
    [ "$lock_run" != "$1" ] || no open "$lock_run" "$lock_token"
    rm -f "runs/$1.rec"
    for plan in $(find plans -type f -mmin +1440); do
        cat runs/*.rec 2>/dev/null | grep -qF "${plan#plans/}" || rm -f "$plan"
    done
    sync runs plans || no disk folder
    say ok
    ;;

# raise TOKEN|@NONCE PATIENCE GRACE WAIT -> ok SIGNALS NOW | stuck pg/ID:PID ... | fenced
# Close the fence for everybody below TOKEN, end or await what they still run, open it for TOKEN. After `stuck` the
# fence stays closed, and raise may be asked again. TERM after PATIENCE seconds, KILL after GRACE more, WAIT in all;
# `waited` is whole seconds of a clock that may tick at once, so only more than n proves that n have gone by.
raise)
    token=$1 patience=$2 grace=$3 wait=$4
    mutex
    load
    case $token in
    @*)                                     # for the token of the holder, in the same trip as its `acquire`
        [ "$lock_state @$lock_nonce" = "held $token" ] || no fenced "$lock_token $lock_state"
        token=$lock_token
        ;;
    esac
    num "$token" && num "$patience" && num "$grace" && num "$wait" || no usage
    [ "$token" -ge "$fence_token" ] || no fenced "$fence_token $fence_state"
    if [ "$fence_token $fence_state" = "$token open" ]; then
        say ok 0 "$now"
        exit
    fi
    put fence "$token closed" || no disk fence
    true 2>/dev/null >>gate || no disk gate
    exec 8>&- 9<>gate
    read -r boot </proc/sys/kernel/random/boot_id
    carry_clock
    begun=$now signals=0
    while :; do
        carry_clock
        waited=$((now - begun))
        signal=
        [ "$patience" -gt 0 ] && [ "$waited" -le "$patience" ] || signal=TERM
        [ "$waited" -le $((patience + grace)) ] || signal=KILL
        left=
        for pg in pg/*; do
            { read -r pg_token session start pg_boot <"$pg"; } 2>/dev/null && num "$pg_token" && num "$session" &&
                [ "$pg_token" -lt "$token" ] && [ "$pg_boot" = "$boot" ] || continue
            live "$session" "$start" "${dir##*/}.${pg#pg/}"
            [ -z "$pids$odd" ] || left="$left $pg:$session"
            for member in ${signal:+$pids}; do
                kill -s $signal "$member" 2>/dev/null
                signals=$((signals + 1))
            done
        done
        [ -z "$left" ] && flock -w 1 9 && break
        [ "$waited" -le "$wait" ] || no stuck ${left:-gate}
        sleep 0.1
    done
    mutex
    load
    [ "$fence_token" = "$token" ] || no fenced "$fence_token $fence_state"
    rm -f pg/* out/*
    put fence "$token open" || no disk fence
    say ok "$signals" "$now"
    ;;

# run TOKEN ID LATE end|finish LIMIT GRACE BEAT BYTES COMMAND... <input, then beats
#   -> output, done RC NOW [left|ended] | fenced | late | twice
# LATE: not begun after this second of this host's clock. LIMIT: ended after so many seconds, 0 = never. When the line
# is lost the change is ended, or may finish. BYTES of standard input are the command's own input.
run)
    exec 3<&0 </dev/null
    perform "$@"
    ;;

# step RUN TTL BYTES, then as run: append and run in one trip, where the lock host is the host
step)
    exec 3<&0 </dev/null
    run=$1 ttl=$2
    take "$3"
    shift 3
    num "$1" && num "$ttl" || no usage
    mutex
    load
    mine "$1" "$run"
    append "$run" "$data"
    lease "$1" "$ttl" || no disk lease
    exec 8>&-
    perform "$@"
    ;;

# stream TOKEN ID LATE COMMAND...: as run, for rsync, which has its own line and its own timeout; answers on stderr
stream)
    token=$1 id=$2 late=$3
    shift 3
    num "$token" && word "$id" && num "$late" || no usage
    exec 3<&0
    gate "$token" "$late"
    announce
    setsid sh -c "$begin" fl "$token" "$id" "$login_umask" "$login_locale" "$@" 9<&- <&3 3<&- &
    change=$! watchers=
    exec 3<&-
    finish
    say done "$rc" "$now" $how
    exit "$rc"
    ;;

*) no usage ;;
esac

# sh -c 'eval "$1"' fairlead SCRIPT VERB STATE UFW ROOT ETC ...: what is asked of ufw and of its files on a database server.
#
# SCRIPT is this text, for the switch needs it again. UFW is the command that runs ufw, ROOT what goes before `cat` and
# `tee` to read and write its files below ETC; both are shell words, and ROOT may be empty. STATE is the account's folder.
# What belongs to one change lies in STATE/.firewall/LABEL:
#   before/ after/   ufw's files and whether it was running; after/ as the change has left them
#   armed.PID        the switch is waiting: at its end it brings `before` back, unless this is renamed first
#   applied          all rules are there; holds the SSH connection by which they came
#   confirmed        a new connection has said that it got through: nothing waits any more
#   unconfirmed      and that was taken back
#   fired, restored  the switch has gone off; it has brought `before` back
# Whoever renames armed.PID has won: a switch that goes off, or a confirmation, never both.
set -u
umask 077
LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
export LC_ALL PATH
script=$1 verb=$2 state=$3 ufw=$4 root=$5 etc=$6
shift 6
files='ufw.conf user.rules user6.rules'
kept=$state/.firewall

ufw() { sh -c "$ufw \"\$@\"" ufw --force "$@"; }
root() { sh -c "$root \"\$@\"" root "$@"; }
die() {
    printf '%s\n' "$*" >&2
    exit 1
}
there() { [ -e "$1" ]; }
running() { said=$(ufw status) && printf '%s\n' "$said" | head -n 1; }

# save FOLDER: ufw's files, and whether it runs, as they are now
save() {
    for file in $files; do root cat "$etc/$file" >"$1/$file" || return 1; done
    running >"$1/status"
}

# sum FOLDER: one word for what `save` has written there
sum() { (cd -- "$1" && sha256sum status $files) | sha256sum | cut -c 1-64; }

# now: the same word for what is there now
now() {
    look=$(mktemp -d) || return 1
    save "$look" && sum "$look"
    code=$?
    rm -rf "$look"
    return $code
}
is() { [ -f "$1/status" ] && [ "$seen" = "$(sum "$1")" ]; }

# write FOLDER: its files to where ufw has them, over what is there: owner and mode stay
write() {
    for file in $files; do
        root cat "$etc/$file" | cmp -s - "$1/$file" || root tee "$etc/$file" <"$1/$file" >/dev/null || return 1
    done
}

# restore FOLDER: ufw as it was then. Switching it on or off writes ufw.conf, so the files come once more at the end.
restore() {
    on=$(running) || return 1
    case $(cat "$1/status"),$on in
        *': active,'*': active') write "$1" && ufw reload ;;
        *': active,'*) write "$1" && ufw enable ;;
        *,*': active') ufw disable ;;
    esac && write "$1"
}

inside() { # LABEL
    case $1 in '' | *[!A-Za-z0-9_]*) die "no label" ;; esac
    cd -- "$kept/$1" 2>/dev/null || return 1
    kept=..
}

case $verb in

# look: words, texts in base64 and `whole`, for plan/firewall.py
look)
    printf 'caller %s\n' "${SSH_CONNECTION:-}"
    set -- ${SSH_CONNECTION:-}
    [ $# -lt 3 ] || printf 'interface %s\n' "$(ip -o addr show to "$3" 2>/dev/null | awk 'NR == 1 { print $2 }')"
    [ "$(id -u)" = 0 ] || case $(busctl get-property org.freedesktop.login1 /org/freedesktop/login1 \
        org.freedesktop.login1.Manager KillUserProcesses 2>/dev/null) in *true) echo kills ;; esac
    for unit in firewalld nftables; do
        case $(systemctl is-active "$unit" 2>/dev/null) in active) printf 'other %s\n' "$unit" ;; esac
    done
    case $(systemctl is-enabled ufw 2>/dev/null) in disabled | masked) echo not-at-boot ;; esac
    ss -Hlntup 2>/dev/null | awk '{ print "listen", $1, $5, $7 }'
    sed -n 's/^[[:space:]]*[Pp][Oo][Rr][Tt][[:space:]]\{1,\}\([0-9]\{1,5\}\).*/sshd \1/p' \
        /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf 2>/dev/null
    ss -Htn state established 2>/dev/null | awk '{ print "peer", $3, $4 }'
    {
        docker ps --format '{{.Ports}}' 2>/dev/null | tr ',' '\n' | sed -n 's/.*:\([0-9-]*\)->.*/\1/p'
        ps -eo args 2>/dev/null | sed -n 's/.*docker-proxy .*-host-port \([0-9]*\).*/\1/p'
    } | sort -u | sed 's/^/docker /'
    for trial in "$kept"/*/armed.*; do
        ! there "$trial" || ! kill -0 "$(cat "$trial")" 2>/dev/null || echo trial # a reboot leaves the file alone
    done
    if ! (unset -f ufw && command -v ufw) >/dev/null; then
        echo lacks
    elif ! said=$(ufw status verbose 2>&1); then
        printf 'refused %s\n' "$(printf '%s' "$said" | tr '\n' ' ')"
    else
        printf 'status %s\n' "$(printf '%s\n' "$said" | base64 | tr -d '\n')"
        for file in $files; do
            if text=$(root cat "$etc/$file" 2>&1); then
                printf 'file %s %s\n' "$file" "$(printf '%s\n' "$text" | base64 | tr -d '\n')"
            else
                printf 'shut %s\n' "$etc/$file"
            fi
        done
        printf 'file default %s\n' "$(base64 <"${etc%/*}/default/ufw" 2>/dev/null | tr -d '\n')"
        printf 'sum %s\n' "$(now 2>/dev/null)"
    fi
    echo whole
    ;;

# keep LABEL SUM: what is there now, where it is what SUM stands for
keep)
    part=$kept/.part-$1
    rm -rf "$part" && mkdir -p "$part/before" && save "$part/before" || die "ufw's files cannot be kept"
    [ "$(sum "$part/before")" = "$2" ] || {
        rm -rf "$part"
        die "ufw is no longer as it was when the plan was made"
    }
    ls -1dt "$kept"/*/ 2>/dev/null | tail -n +20 | while read -r old; do rm -rf -- "$old"; done
    sync && rm -rf "${kept:?}/$1" && mv -- "$part" "$kept/$1" && sync
    ;;
kept)
    inside "$1" && [ "$(sum before)" = "$2" ] && echo after || echo before
    ;;

# apply LABEL TRIAL LONGEST rules RULE... | back LABEL: arm the switch, then change ufw and see that it is on, or off
apply)
    inside "$1" || die "what was there before is not kept"
    trial=$2 longest=$3 how=$4
    shift 4
    seen=$(now) && is before || die "ufw is no longer as it was when the plan was made"
    rm -rf armed.* applied confirmed unconfirmed fired restored withdrawn after
    # In a session of its own, with nothing of ours open: neither the change's end nor that of the connection ends it.
    setsid sh -c 'eval "$1"' fairlead "$script" switch "$PWD" "$ufw" "$root" "$etc" "$trial" "$longest" \
        </dev/null >switch.log 2>&1 &
    for wait in 1 2 3 4 5 6 7 8 9 10; do
        ! there armed.* || break
        sleep 0.3
    done
    there armed.* || die "the switch that would bring the state before back did not start: $(cat switch.log)"
    if [ "$how" = rules ]; then
        for rule; do
            said=$(set -f && ufw $rule 2>&1) || die "ufw $rule: $said"
            case $said in *Skipping*) die "ufw $rule: $said" ;; esac
        done
        ufw enable || die "ufw could not be switched on"
    else
        restore "../$1/before" || die "ufw could not be brought back to what is kept"
    fi
    mkdir after && save after || die "ufw's files cannot be kept"
    sync
    printf '%s\n' "${SSH_CONNECTION:-}" >applied
    ;;

# The switch itself, in the change's folder: TRIAL seconds after the rules are there, LONGEST after it was armed.
switch)
    trap '' HUP
    cd -- "$state" && kept=.. && echo $$ >"armed.$$" || exit 1
    trial=$1 longest=$2
    while [ "$longest" -gt 0 ] && [ "$trial" -gt 0 ]; do
        sleep 1
        there "armed.$$" || exit 0
        longest=$((longest - 1))
        ! there applied || trial=$((trial - 1))
    done
    mv "armed.$$" fired 2>/dev/null || exit 0
    for attempt in 1 2 3 4 5; do
        if restore before && seen=$(now) && is before; then
            sync
            : >restored
            exit 0
        fi
        sleep 2
    done
    ;;

# probe LABEL. A trial that the switch has ended counts as made: that it led nowhere is for the step after it to find
# out, which then has failed; a step that is done and stands before itself would leave a resume nothing but to halt.
probe)
    inside "$1" || { echo before; exit; }
    seen=$(now) || { echo cannot_tell; exit; }
    if there armed.*; then
        there applied && is after && echo after || echo between
    elif there fired; then
        there restored && is before && echo after || echo between
    elif is before; then
        echo before
    elif { there confirmed || there unconfirmed; } && is after; then
        echo after
    elif there withdrawn; then
        echo between
    else
        echo cannot_tell
    fi
    ;;

# undo LABEL
undo)
    inside "$1" || exit 0
    mv armed.* withdrawn 2>/dev/null
    for wait in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        there fired && ! there restored && kill -0 "$(cat fired)" 2>/dev/null || break
        sleep 1
    done
    restore before && seen=$(now) && is before || die "ufw could not be brought back to what was there before"
    sync
    rm -f applied confirmed unconfirmed fired restored withdrawn
    ;;

# confirm LABEL: only from another connection than the one that made the change
confirm)
    inside "$1" && there applied || die "no trial was made"
    [ "${SSH_CONNECTION:-}" != "$(cat applied)" ] || die "this connection is older than the rules, and proves nothing"
    mv armed.* confirmed 2>/dev/null || die "no new connection came in time: the state before was brought back"
    sync
    ;;
confirmed)
    inside "$1" && there confirmed && echo after || echo before
    ;;
unconfirm)
    inside "$1" && ! there confirmed || mv confirmed unconfirmed
    ;;
*) die "no verb $verb" ;;
esac

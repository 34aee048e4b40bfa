# What can break. Everything is done from outside a host; its own firewall is left alone. Part of lab.sh.
#
#   fault HOST delay MS [JITTER_MS [LOSS_PERCENT]]   a long line, both ways
#   fault HOST rate RATE [BURST]                     a thin one, such as 20mbit
#   fault HOST loss PERCENT                          frames lost, both ways
#   fault HOST drop PORT [FROM]                      a black hole: nobody answers there
#   fault HOST partition                             the cable is pulled
#   fault HOST freeze | thaw                         the host hangs; TCP still answers
#   fault HOST reboot | poweroff                     at once; `up HOST` boots it after a poweroff
#   fault HOST killssh                               every connection's sshd ends, the listener stays
#   fault HOST full FOLDER SIZE                      a small disk there
#   fault HOST fill FOLDER                           whatever room its disk has is taken
# shellcheck shell=bash

rules() { operator nft "$@"; }

fault() {
  local host=$1 kind=$2
  shift 2
  case $kind in
    delay | rate | loss | drop | full | fill) "fault_$kind" "$host" "$@" ;;
    partition) ip -n "$OPERATOR" link set "$(cable "$host")" down ;;
    freeze) echo 1 >"$(group_folder "$host")/payload/cgroup.freeze" ;;
    thaw) thaw "$host" ;;
    reboot) fault_reboot "$host" ;;
    poweroff) fault_poweroff "$host" ;;
    killssh)
      inside "$host" sh -c 'for p in $(ps -C sshd -o pid=); do [ "$p" = "$(cat /run/sshd.pid)" ] || kill -9 "$p" 2>/dev/null || :; done'
      ;;
    *) die "no fault is called $kind" "they stand in $HERE/faults.sh" ;;
  esac
}

thaw() { echo 0 >"$(group_folder "$1")/payload/cgroup.freeze" 2>/dev/null || true; }

# Not every kernel has netem, so the delay is a program between two TAP devices.
fault_delay() {
  local host=$1 near=${PREFIX}ta-$1 far=${PREFIX}tb-$1 patch=${PREFIX}w-$1
  shift
  wire_off "$host"
  ip -n "$OPERATOR" link add "$patch" type bridge forward_delay 0
  ip -n "$OPERATOR" link set "$patch" up
  ip netns exec "$OPERATOR" setsid python3 "$HERE/wire.py" "$near" "$far" "$@" </dev/null >"$LOG/wire-$host.log" 2>&1 &
  echo $! >"$RUN/$host.wire"
  disown
  for _ in $(seq 100); do ! ip -n "$OPERATOR" link show "$far" >/dev/null 2>&1 || break; sleep 0.05; done
  ip -n "$OPERATOR" link set "$near" master "$BRIDGE" up
  ip -n "$OPERATOR" link set "$far" master "$patch" up
  ip -n "$OPERATOR" link set "$(cable "$host")" master "$patch" up
}

wire_off() {
  local host=$1 device
  [ -f "$RUN/$host.wire" ] || return 0
  ip -n "$OPERATOR" link set "$(cable "$host")" master "$BRIDGE" up
  kill "$(cat "$RUN/$host.wire")" 2>/dev/null || true
  rm -f "$RUN/$host.wire"
  for device in w ta tb; do ip -n "$OPERATOR" link del "$PREFIX$device-$host" 2>/dev/null || true; done
}

fault_rate() {
  operator tc qdisc replace dev "$(cable "$1")" root tbf rate "$2" burst "${3:-64kb}" latency 200ms
  ip netns exec "$(space "$1")" tc qdisc replace dev host0 root tbf rate "$2" burst "${3:-64kb}" latency 200ms
}

fault_loss() {
  local table=${PREFIX}_$1 hook share
  share=$(awk -v percent="$2" 'BEGIN { print int(percent * 100) }')
  rules add table netdev "$table"
  for hook in ingress egress; do
    rules "add chain netdev $table $hook { type filter hook $hook device \"$(cable "$1")\" priority 0; }"
    rules add rule netdev "$table" "$hook" numgen random mod 10000 lt "$share" counter drop
  done
}

fault_drop() {
  local table=${PREFIX}_$1
  rules add table netdev "$table"
  rules "add chain netdev $table egress { type filter hook egress device \"$(cable "$1")\" priority 0; }"
  # shellcheck disable=SC2086 # none or two words
  rules add rule netdev "$table" egress ${3:+ip saddr $3} tcp dport "$2" counter drop
}

# Back when another process 1 has begun to boot.
fault_reboot() {
  local before now
  before=$(init_of "$1")
  inside "$1" systemctl reboot --force || true # it does not live to say that it has done so
  for _ in $(seq 600); do
    now=$(init_of "$1") || true
    [ -z "$now" ] || [ "$now" = "$before" ] || return 0
    sleep 0.1
  done
  die "$1 did not reboot" "lab.sh log $1"
}

# The page cache survives: processes crash, no write is lost.
fault_poweroff() {
  kill -9 "$(init_of "$1")"
  for _ in $(seq 100); do runs "$1" || break; sleep 0.1; done
  put_away "$1"
}

# A small disk with what lay there; `umount` brings back what it covers.
fault_full() {
  inside "$1" sh -eu -c 'cp -a -- "$1" /run/lab-full; mount -t tmpfs -o "size=$2" tmpfs "$1"
    cp -a /run/lab-full/. "$1"; rm -rf /run/lab-full' x "$2" "$3"
}

fault_fill() { inside "$1" sh -c 'cat /dev/zero >"$1/.filled" 2>/dev/null' x "$2" || true; }

heal() {
  thaw "$1"
  wire_off "$1"
  ip -n "$OPERATOR" link set "$(cable "$1")" up 2>/dev/null || true
  operator tc qdisc del dev "$(cable "$1")" root 2>/dev/null || true
  ip netns exec "$(space "$1")" tc qdisc del dev host0 root 2>/dev/null || true
  rules delete table netdev "${PREFIX}_$1" 2>/dev/null || true
}

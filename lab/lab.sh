#!/usr/bin/env bash
# Real hosts to try Fairlead on: each is a Debian 12 that systemd boots, with a network namespace, an address, an sshd and a
# firewall of its own. See README.md.
#
#   lab.sh up [HOST...]     build what is missing, boot (plesk mysql pg), say how to reach them
#   lab.sh down [HOST...]   shut down, leave no process, mount, bridge or namespace behind
#   lab.sh reset HOST...    back to how it was made
#   lab.sh ssh HOST [COMMAND]        from the operator's namespace
#   lab.sh run COMMAND               a program there, such as fairlead
#   lab.sh exec HOST COMMAND         inside a host, as its root, past its sshd
#   lab.sh fault HOST KIND ... | heal HOST      what can break: see faults.sh
#   lab.sh status | log HOST | purge [all]
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB=${LAB_DIR:-/var/lib/fairlead-lab}
NET=${LAB_NET:-10.77.0}
PREFIX=${LAB_PREFIX:-lab} # of namespaces, links, control groups, machines
OPERATOR=$PREFIX-op       # the namespace of the bridge and of whoever deploys; it has no other way out
HOSTS=(plesk mysql pg)
BASE=$LAB/base   # the file system that all hosts share
ROLES=$LAB/roles # what makes a host a plesk, mysql or pg: a layer above it
UPPER=$LAB/hosts # what a host has written since
RUN=$LAB/run
LOG=$LAB/log

say() { printf 'lab: %s\n' "$*" >&2; }
die() {
  say "$1"
  [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2
  exit 1
}

for part in base network host faults; do
  # shellcheck source=/dev/null
  . "$HERE/$part.sh"
done

up() {
  local -a hosts=("${@:-${HOSTS[@]}}")
  local host pids=() began=$SECONDS
  need_tools
  install -d -m 0711 "$LAB"
  mkdir -p "$ROLES" "$UPPER" "$RUN" "$LOG"
  build_base
  make_keys
  make_passwords
  network_up
  for host in "${hosts[@]}"; do
    [ -d "$ROLES/$host" ] || { provision "$host" & pids+=($!); }
  done
  for pid in "${pids[@]}"; do wait "$pid" || die "a host could not be made" "read $LOG/role-*.log"; done
  for host in "${hosts[@]}"; do runs "$host" || boot "$host" "$ROLES/$host:$BASE" "$UPPER/$host"; done
  for host in "${hosts[@]}"; do wait_booted "$host"; done
  write_ssh_config
  write_settings
  say "up in $((SECONDS - began)) s: ${hosts[*]}"
  how_to
}

how_to() {
  cat <<TEXT
a shell on a host          $HERE/lab.sh ssh plesk            (root; deploy@plesk is the account that deploys)
fairlead, from the lab     $HERE/lab.sh run $HERE/../.venv/bin/fairlead ready -e production --config $LAB/operator/fairlead.yml
the API behind nginx       $HERE/lab.sh run curl http://$(address plesk):8081/health
break something            $HERE/lab.sh fault plesk freeze; $HERE/lab.sh heal plesk
put everything away        make lab-down
TEXT
}

down() {
  local -a hosts=("$@")
  local host began=$SECONDS
  [ $# != 0 ] || mapfile -t hosts < <(running)
  for host in "${hosts[@]}"; do stop "$host" & done
  wait
  [ $# != 0 ] || network_down
  say "down in $((SECONDS - began)) s"
}

reset() {
  local host
  for host; do
    stop "$host"
    rm -rf "${UPPER:?}/$host" "$UPPER/$host.work"
    boot "$host" "$ROLES/$host:$BASE" "$UPPER/$host"
    wait_booted "$host"
  done
}

status() {
  local host
  while read -r host; do
    printf '%-8s %-12s %s\n' "$host" "$(address "$host")" "$(inside "$host" systemctl is-system-running || true)"
  done < <(running)
}

purge() {
  down
  rm -rf "$UPPER" "$ROLES" "$RUN" "$LAB/keys" "$LAB/passwords" "$LAB/operator"
  [ "${1:-}" != all ] || rm -rf "$LAB"
}

[ "$(id -u)" = 0 ] || die "booting hosts needs root" "sudo $0 ${*:-up}"
verb=${1:-}
shift || true
case $verb in
  up | down | reset | status | purge | fault | heal) "$verb" "$@" ;;
  ssh) host=$1 && shift && operator ssh -F "$LAB/operator/ssh_config" "$host" "$@" ;;
  run) operator "$@" ;;
  exec) inside "$@" ;;
  log) cat "$LOG/$1.console" ;;
  *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" && exit 2 ;;
esac

# One bridge in the operator's namespace, and a cable from it to each host. Nothing leads out. Part of lab.sh.
# shellcheck shell=bash

BRIDGE=${PREFIX}br0

address() {
  local number=${1##*[a-z]}
  case $1 in
    plesk*) number=$((10 + ${number:-0})) ;;
    mysql*) number=$((20 + ${number:-0})) ;;
    pg*) number=$((30 + ${number:-0})) ;;
    *) die "no host is called $1" "plesk, mysql, pg; or with a number behind it" ;;
  esac
  echo "$NET.$number"
}
role() { echo "${1%%[0-9]*}"; }
space() { echo "$PREFIX-$1"; }
cable() { echo "${PREFIX}v-$1"; }
operator() { ip netns exec "$OPERATOR" "$@"; }

network_up() {
  if ! ip netns list | grep -qw "$OPERATOR"; then
    ip netns add "$OPERATOR"
    ip -n "$OPERATOR" link set lo up
  fi
  if ! ip -n "$OPERATOR" link show "$BRIDGE" >/dev/null 2>&1; then
    ip -n "$OPERATOR" link add "$BRIDGE" type bridge forward_delay 0
    ip -n "$OPERATOR" addr add "$NET.1/24" dev "$BRIDGE"
    ip -n "$OPERATOR" link set "$BRIDGE" up
  fi
}

network_down() {
  local name
  for name in $(ip netns list | awk -v mine="$PREFIX-" 'index($1, mine) == 1 { print $1 }'); do ip netns del "$name"; done
}

# A host's namespace: `host0` there is the other end of its cable.
plug_in() {
  local host=$1 space cable
  space=$(space "$host") cable=$(cable "$host")
  ip netns add "$space" 2>/dev/null || true
  ip -n "$space" link set lo up
  ! ip -n "$space" link show host0 >/dev/null 2>&1 || return 0
  ip -n "$OPERATOR" link del "$cable" 2>/dev/null || true
  # As a real card has: the others would go on asking for the one before, half a minute, after a power cut.
  ip link add "$cable" type veth peer name host0 address "02:fa:1e:ad:00:$(printf '%02x' "$(address "$1" | sed 's/.*[.]//')")" netns "$space"
  ip link set "$cable" netns "$OPERATOR"
  ip -n "$OPERATOR" link set "$cable" master "$BRIDGE" up
  ip -n "$space" addr add "$(address "$host")/24" dev host0
  ip -n "$space" link set host0 up
}

unplug() {
  ip netns del "$(space "$1")" 2>/dev/null || true
  ip -n "$OPERATOR" link del "$(cable "$1")" 2>/dev/null || true
}

write_ssh_config() {
  local host folder=$LAB/operator
  mkdir -p "$folder"
  : >"$folder/ssh_config"
  : >"$folder/known_hosts"
  for host in $(ls "$ROLES"); do
    cat >>"$folder/ssh_config" <<SSH
Host $host $(address "$host")
  HostName $(address "$host")
  User root
  IdentityFile $LAB/keys/id_ed25519
  IdentitiesOnly yes
  UserKnownHostsFile $folder/known_hosts
  StrictHostKeyChecking yes
SSH
    printf '%s,%s %s\n' "$host" "$(address "$host")" \
      "$(cut -d' ' -f1,2 "$ROLES/$host/etc/ssh/ssh_host_ed25519_key.pub")" >>"$folder/known_hosts"
  done
}

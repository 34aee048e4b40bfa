# A host's life: made once, booted, stopped. Part of lab.sh.
# shellcheck shell=bash

REBOOTED=133 # systemd-nspawn's exit code when the host wants to boot again

# What runs the host: mounts that vanish with it, a control group of its own in a pure cgroup v2 (also where this machine's
# is mixed), and nspawn without registration, which would need this machine's systemd.
INNER='
set -eu
layers=$1 upper=$2 root=$3 group=$4 space=$5 name=$6 pid=$7
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$layers,upperdir=$upper,workdir=$upper.work" "$root"
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup/$group"
echo $$ >"/sys/fs/cgroup/$group/cgroup.procs"
mkdir -p /run/systemd
mount -t tmpfs tmpfs /run/systemd
while :; do
  systemd-nspawn --quiet --boot --directory="$root" --network-namespace-path="/run/netns/$space" \
    --capability=CAP_NET_ADMIN --register=no --keep-unit --machine="$group" --hostname="$name" --resolv-conf=off \
    --timezone=off --link-journal=no &
  echo $! >"$pid"
  code=0
  wait $! || code=$?
  [ "$code" = "$8" ] || exit "$code"
  ip netns exec "$space" nft flush ruleset # as a real reboot does
done'

nspawn_of() {
  local pid
  pid=$(cat "$RUN/$1.pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null && echo "$pid"
}
runs() { nspawn_of "$1" >/dev/null; }
init_of() { # the host's process 1, as seen from here
  local pid children
  pid=$(nspawn_of "$1") && children=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null) && echo "${children%% *}"
}
running() {
  local file
  for file in "$RUN"/*.pid; do [ ! -e "$file" ] || basename "$file" .pid; done
}

inside() {
  local host=$1 init
  shift
  init=$(init_of "$host") && [ -n "$init" ] || die "$host is not up" "lab.sh up $host"
  nsenter -t "$init" -m -u -i -n -p -C -r -w -- "$@"
}

boot() { # HOST LAYERS UPPER
  local host=$1 layers=$2 upper=$3
  mkdir -p "$upper/etc" "$upper.work" "$LAB/mnt/$host"
  echo "$host" >"$upper/etc/hostname"
  plug_in "$host"
  rm -f "$RUN/$host.pid"
  setsid unshare -m --propagation private bash -c "$INNER" lab "$layers" "$upper" "$LAB/mnt/$host" "$PREFIX-$host" \
    "$(space "$host")" "$host" "$RUN/$host.pid" "$REBOOTED" </dev/null >"$LOG/$host.console" 2>&1 &
  disown
  for _ in $(seq 200); do
    [ -z "$(init_of "$host")" ] || return 0
    sleep 0.05
  done
  die "$host did not start" "lab.sh log $host"
}

wait_booted() {
  local said=
  for _ in $(seq 1200); do
    said=$(inside "$1" systemctl is-system-running 2>/dev/null) || true
    case $said in
      running) return 0 ;;
      degraded) say "$1 is up, but: $(inside "$1" systemctl --failed --plain --no-legend)" && return 0 ;;
    esac
    sleep 0.1
  done
  die "$1 did not get up: $said" "lab.sh log $1"
}

stop() { # as a power button does; after 30 s as a power cut
  local host=$1 pid init
  if pid=$(nspawn_of "$host"); then
    thaw "$host"
    kill -TERM "$pid"
    for _ in $(seq 300); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    if kill -0 "$pid" 2>/dev/null; then
      say "$host did not stop and is killed"
      init=$(init_of "$host")
      [ -z "$init" ] || kill -9 "$init"
      kill -9 "$pid"
    fi
  fi
  put_away "$host"
}

group_folder() { echo "$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/$PREFIX-$1"; }

put_away() {
  local folder
  folder=$(group_folder "$1")
  wire_off "$1"
  unplug "$1"
  for _ in $(seq 40); do
    [ -d "$folder" ] || break
    find "$folder" -depth -type d -exec rmdir {} \; 2>/dev/null || sleep 0.05
  done
  rmdir "$LAB/mnt/$1" 2>/dev/null || true
  rm -f "$RUN/$1".*
}

# Boot the bare base once and let the role's files and script make a host of it; the result is a layer for ever.
provision() {
  local host=$1 layer=$ROLES/$1 began=$SECONDS role
  role=$(role "$host")
  rm -rf "$layer.part" "$layer.part.work" "${UPPER:?}/$host" "$UPPER/$host.work"
  boot "$host" "$BASE" "$layer.part"
  wait_booted "$host"
  if [ -d "$HERE/roles/$role" ]; then tar -C "$HERE/roles/$role" --owner=0 --group=0 -c . | inside "$host" tar -x -C / --no-overwrite-dir; fi
  {
    cat "$LAB/passwords" "$HERE/roles/common.sh" "$HERE/roles/$role.sh"
  } | inside "$host" env KEY="$(cat "$LAB/keys/id_ed25519.pub")" NET="$NET" bash -eu -s >"$LOG/role-$host.log" 2>&1
  stop "$host"
  mv "$layer.part" "$layer"
  rm -rf "$layer.part.work"
  say "$host made in $((SECONDS - began)) s"
}

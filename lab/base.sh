# The file system that all hosts share, the tools of this machine, keys and passwords. Part of lab.sh.
# shellcheck shell=bash

# command, and the Debian package that has it
TOOLS=("systemd-nspawn systemd-container" "debootstrap debootstrap" "nft nftables" "ip iproute2" "ssh openssh-client"
  "rsync rsync" "zstd zstd" "python3 python3")
FIRST=systemd,systemd-sysv,dbus,iproute2,iputils-ping,procps,ca-certificates,less,openssh-server,rsync,nftables,iptables,ufw
FIRST+=,sudo,python3-minimal,curl,netcat-openbsd,zstd
THEN=(mariadb-server mariadb-client postgresql postgresql-client nginx-light php-cli php-fpm python3 python3-venv
  python3-fastapi uvicorn python3-pymysql git cron logrotate)
UNWANTED=(console-getty.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
  fstrim.timer man-db.timer e2scrub_reap.service systemd-networkd-wait-online.service)
PASSWORDS=(crm n8n hooks consent games analytics api_stg admin_stg nextcloud main votes support newsletter forum
  idp grafana discourse)

need_tools() {
  local row missing=()
  for row in "${TOOLS[@]}"; do command -v "${row% *}" >/dev/null || missing+=("${row#* }"); done
  [ ${#missing[@]} = 0 ] || DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}" >&2 ||
    die "missing: ${missing[*]}" "apt-get update && apt-get install -y ${missing[*]}"
}

# Packages come from where this machine gets its own.
mirror() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v -- -security | head -n 1; }

build_base() {
  local packed=$LAB/cache/base.tar.zst began=$SECONDS unit
  [ ! -e "$BASE/etc/.whole" ] || return 0
  rm -rf "$BASE"
  mkdir -p "$BASE" "$LAB/cache/debs"
  if [ -f "$packed" ]; then
    tar --zstd --numeric-owner --xattrs -xpf "$packed" -C "$BASE"
    touch "$BASE/etc/.whole"
    return 0
  fi
  say "building the hosts' file system, once: some minutes"
  debootstrap --variant=minbase --cache-dir="$LAB/cache/debs" --include="$FIRST" bookworm "$BASE" "$(mirror)" \
    >"$LOG/debootstrap.log" 2>&1 || die "debootstrap failed" "read $LOG/debootstrap.log"
  printf '#!/bin/sh\nexit 101\n' >"$BASE/usr/sbin/policy-rc.d" # nothing is started while it is installed
  chmod +x "$BASE/usr/sbin/policy-rc.d"
  cp /etc/resolv.conf "$BASE/etc/resolv.conf"
  apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) main' 'Created-By: Packages' | sort -u >"$BASE/etc/apt/sources.list"
  chroot "$BASE" sh -c 'export DEBIAN_FRONTEND=noninteractive; apt-get update && apt-get install -y --no-install-recommends "$@"' \
    x "${THEN[@]}" >"$LOG/packages.log" 2>&1 || die "packages could not be installed" "read $LOG/packages.log"
  rm -f "$BASE"/var/cache/apt/archives/*.deb "$BASE/etc/resolv.conf" "$BASE/usr/sbin/policy-rc.d"
  for unit in "${UNWANTED[@]}"; do ln -sf /dev/null "$BASE/etc/systemd/system/$unit"; done
  : >"$BASE/etc/machine-id"
  touch "$BASE/etc/.whole"
  tar --zstd --numeric-owner --xattrs -cpf "$packed.part" -C "$BASE" .
  mv "$packed.part" "$packed"
  say "built in $((SECONDS - began)) s"
}

make_keys() {
  [ ! -f "$LAB/keys/id_ed25519" ] || return 0
  install -d -m 0700 "$LAB/keys"
  ssh-keygen -q -t ed25519 -N '' -C lab -f "$LAB/keys/id_ed25519"
}

# Throw-away passwords, by the names that fairlead.yml has for them.
make_passwords() {
  local name
  [ ! -f "$LAB/passwords" ] || return 0
  (
    umask 077
    for name in "${PASSWORDS[@]}"; do printf 'MO_%s_DB_PASS=%s\n' "${name^^}" "$(od -An -N12 -tx1 /dev/urandom | tr -d ' ')"; done
    for name in PLESK MYSQL PG; do printf 'MO_%s_MAINTENANCE_PASS=%s\n' "$name" "$(od -An -N12 -tx1 /dev/urandom | tr -d ' ')"; done
  ) >"$LAB/passwords.part"
  chmod 600 "$LAB/passwords.part"
  mv "$LAB/passwords.part" "$LAB/passwords"
}

# What an operator has: a fairlead.yml of the whole installation, its settings and secrets, and the hosts' keys.
write_settings() {
  local folder=$LAB/operator
  cp -r "$HERE/operator/." "$folder"
  {
    cat "$LAB/passwords"
    printf 'LAB_%s=%s\n' PLESK "$(address plesk)" MYSQL "$(address mysql)" PG "$(address pg)"
    printf 'PLESK_SSH_PRIVATE_KEY=%s\n' "$LAB/keys/id_ed25519"
  } >"$folder/.env.deployment"
  chmod 600 "$folder/.env.deployment"
}

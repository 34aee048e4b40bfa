#!/usr/bin/env bash
# Set up what a target of the Makefile needs, and skip what is there already.
#   scripts/setup.sh run            a virtual environment that runs fairlead
#   scripts/setup.sh dev            ... with everything that checks and tests it
#   scripts/setup.sh dev servers    ... and the Debian packages that the tests start programs of
#   scripts/setup.sh dev servers reporters    ... and what the tools need whose reports are read
# Speaks on stderr only, so that `make demo ARGS=--json` prints nothing but its document. pip is configured by you.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
KIND=$1
# command, and the Debian package that has it
SERVERS=("sshd openssh-server" "ssh openssh-client" "ssh-keygen openssh-client" "rsync rsync" "strace strace"
  "ps procps" "busybox busybox" "git git" "curl curl" "zstd zstd" "age age" "psql postgresql-client" "postgres postgresql"
  "mariadb mariadb-client" "mariadbd mariadb-server" "nginx nginx" "openssl openssl" "setpriv util-linux" "sudo sudo")
REPORTERS=("chromium chromium" "npm npm")
# where Debian keeps sshd, nginx and PostgreSQL's server, and where an ordinary user does not look
PATH=$PATH:/usr/sbin:/sbin:$(printf '%s:' /usr/lib/postgresql/*/bin)

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $1"
  say "hint: $2"
  exit 1
}

# Run apt-get where that needs no password; 1 = this account may not.
apt() {
  local -a as=()
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || return 1
    as=(sudo -n)
  fi
  command -v apt-get >/dev/null || return 1
  "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" </dev/null >&2
}

# Install Debian packages, or say exactly what is missing and the line to type.
debian() {
  local packages="$*"
  say "set-up: Debian packages: $packages"
  # The lists of a fresh machine are empty or old; only then is it worth to fetch them.
  apt install -y --no-install-recommends "$@" || { apt update && apt install -y --no-install-recommends "$@"; } ||
    fail "missing: $packages" "sudo apt-get update && sudo apt-get install -y $packages"
}

fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# The first Python >= 3.11 that can make a virtual environment; else the first one at all; else nothing.
# PYTHON in the environment comes before all others.
find_python() {
  local name first=
  for name in ${PYTHON:-} python3.13 python3.12 python3.11 python3; do
    fits "$name" || continue
    if "$name" -c 'import ensurepip, venv' 2>/dev/null; then
      echo "$name"
      return
    fi
    first=${first:-$name}
  done
  echo "$first"
}

make_venv() {
  local python package
  python=$(find_python)
  if [ -z "$python" ]; then
    debian python3 python3-venv
    python=$(find_python)
    [ -n "$python" ] || fail "Python 3.11 or newer is missing" "PYTHON=/path/to/python3.11 make setup"
  fi
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    debian "$package"
  fi
  say "set-up: $VENV with $("$python" --version)"
  "$python" -m venv --clear "$VENV" >&2
}

# What the environment was made from: its Python, the pinned packages, the project's own metadata.
fingerprint() {
  { "$VENV/bin/python" --version && cat "$@" pyproject.toml scripts/setup.sh && pwd; } | sha256sum
}

pip() { "$VENV/bin/python" -m pip --disable-pip-version-check -q "$@" </dev/null >&2; }

packages() {
  local -a files=(requirements/build.txt "requirements/$KIND.txt")
  local stamp="$VENV/.fairlead-$KIND" now
  now=$(fingerprint "${files[@]}")
  if [ "$(cat "$stamp" 2>/dev/null)" = "$now" ] && [ -x "$VENV/bin/fairlead" ]; then
    return
  fi
  say "set-up: packages of requirements/$KIND.txt"
  pip install --require-hashes --compile -r requirements/build.txt -r "requirements/$KIND.txt"
  # Ours is built with the pinned setuptools from above: nothing is fetched without a hash.
  PIP_REQUIRE_HASHES=0 pip install --no-deps --no-build-isolation --no-index -e .
  "$VENV/bin/python" -m compileall -q src
  echo "$now" >"$stamp"
}

# Install the packages of these rows whose commands are not there.
programs() {
  local row missing=()
  for row; do
    command -v "${row%% *}" >/dev/null || missing+=("${row##* }")
  done
  [ ${#missing[@]} = 0 ] || debian $(printf '%s\n' "${missing[@]}" | sort -u)
}

began=$(date +%s)
fits "$VENV/bin/python" || make_venv
packages
for kind in "${@:2}"; do
  case $kind in
    servers) programs "${SERVERS[@]}" ;;
    reporters) programs "${REPORTERS[@]}" ;;
  esac
done
say "set-up: $(($(date +%s) - began)) s"

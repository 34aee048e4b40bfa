#!/usr/bin/env bash
# All checks, also after one has failed: one run tells everything.
set -uo pipefail
cd "$(dirname "$0")/.."
BIN=${VENV:-.venv}/bin
PATH=$BIN:$PATH
code=0

check() {
  printf -- '-- %s\n' "$*"
  "$@" || code=1
}

check ruff format --check .
check ruff check .
check mypy
check lint-imports --no-logo
check python scripts/reference.py --check
exit $code

#!/usr/bin/env bash
# Pin requirements/*.in into requirements/*.txt, with hashes, for every Python and platform, without registry addresses.
# Arguments go to uv: `make requirements ARGS=--upgrade`.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v uv >/dev/null || {
  echo "error: uv is missing" >&2
  echo "hint: python3 -m pip install --user uv" >&2
  exit 1
}
for name in build run dev; do
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
    --custom-compile-command "make requirements" "$@" "requirements/$name.in" -o "requirements/$name.txt"
done

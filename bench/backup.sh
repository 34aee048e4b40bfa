#!/usr/bin/env bash
# backup.sh LIST FOLDER PACKER [OPTION...]
#
# What a careful script on the server does: dump after dump through a packer into a file. A line of LIST is
# `mariadb OPTION_FILE DATABASE` or `postgres PORT DATABASE`.
set -euo pipefail
list=$1 folder=$2
shift 2
mkdir -p -m 700 "$folder"
while read -r engine server database; do
    case $engine in
    mariadb) mariadb-dump --defaults-extra-file="$server" --single-transaction --routines --events --triggers "$database" ;;
    postgres) pg_dump -w -h 127.0.0.1 -p "$server" -U fairlead "$database" ;;
    esac </dev/null | "$@" >"$folder/$database.sql.$1"
done <"$list"

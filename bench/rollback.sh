#!/usr/bin/env bash
# rollback.sh dump|restore LIST FOLDER
#
# What a careful script on the server does: it restores dump after dump into the live databases, and counts their rows
# as it did when it dumped them. A line of LIST is `mariadb OPTION_FILE DATABASE` or `postgres PORT DATABASE`.
set -euo pipefail
verb=$1 list=$2 folder=$3
mkdir -p -m 700 "$folder"

ask() { # ENGINE SERVER DATABASE SQL
    case $1 in
    mariadb) mariadb --defaults-extra-file="$2" -N "$3" -e "$4" ;;
    postgres) psql -XAtw -h 127.0.0.1 -p "$2" -U fairlead -d "$3" -c "$4" ;;
    esac </dev/null
}

dump() {
    case $1 in
    mariadb) mariadb-dump --defaults-extra-file="$2" --single-transaction --routines --events --triggers "$3" ;;
    postgres) pg_dump -Fc -Z0 -w -h 127.0.0.1 -p "$2" -U fairlead "$3" ;;
    esac </dev/null
}

restore() {
    case $1 in
    mariadb) mariadb --defaults-extra-file="$2" "$3" ;;
    postgres) pg_restore --clean --if-exists --exit-on-error -w -h 127.0.0.1 -p "$2" -U fairlead -d "$3" ;;
    esac
}

while read -r engine server database; do
    file=$folder/$database
    [[ $verb == restore ]] || dump "$engine" "$server" "$database" | zstd -1 -q >"$file.zst"
    [[ $verb == dump ]] || zstd -dcq "$file.zst" | restore "$engine" "$server" "$database"
    for table in people bookings; do
        echo "$table $(ask "$engine" "$server" "$database" "select count(*) from $table")"
    done >"$file.rows.$verb"
    [[ $verb == dump ]] || cmp "$file.rows.dump" "$file.rows.restore"
done <"$list"

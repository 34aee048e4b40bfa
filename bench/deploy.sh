#!/usr/bin/env bash
# deploy.sh SSH_CONFIG SOURCES SITE RELEASE SETTLE PAGES_URL PROCESS_URL [changed]
#
# What somebody who knows the tools writes: service after service, with rsync's hard links, an atomic switch, a restart
# that is looked at again, and a look at the page. With `changed`, a service is left alone where rsync sees no change.
set -euo pipefail
config=$1 sources=$2 site=$3 release=$4 settle=$5 pages=$6 process=$7 changed=${8:-}
ssh="ssh -F $config"

look() {
    for try in {1..80}; do
        ! curl -fsS --max-time 5 -o /dev/null "$1" 2>/dev/null || return 0
        sleep 0.25
    done
    echo "$1 does not answer" >&2
    return 1
}

for service in api crm frontend games admin n8n website; do
    folder=$site/$service
    if [ -n "$changed" ]; then
        differs=$(rsync -a --delete --dry-run --itemize-changes -e "$ssh" "$sources/$service/" "target:$folder/current/")
        [ -n "$differs" ] || continue
    fi
    rsync -a --delete --link-dest=../../current/ -e "$ssh" "$sources/$service/" "target:$folder/releases/$release/"
    $ssh target "cd $folder && ln -sfn releases/$release current.new && mv -fT current.new current"
    url=$pages/$service/current/part-0/page-0.html
    if [ "$service" = api ]; then
        $ssh target "$site/bin/unit restart"
        sleep "$settle"
        $ssh target "$site/bin/unit status"
        url=$process/health
    fi
    look "$url"
done

#!/bin/sh
# unit restart|stop|status|show: what systemctl is on a server, for the one process of an installation
cd "$(dirname "$0")" || exit 1
pid=$(cat pid 2>/dev/null)

alive() {
    [ -n "$pid" ] && { read -r stat <"/proc/$pid/stat"; } 2>/dev/null || return 1
    case $stat in *') Z '*) return 1 ;; esac
}

end() {
    ! alive || kill "$pid"
    while alive; do sleep 0.01; done
}

case $1 in
stop) end ;;
restart)
    end
    read -r port <port
    (cd ../api/current && exec setsid python3 -I -S app.py "$port" </dev/null >/dev/null 2>&1) &
    echo $! >pid
    ;;
status) alive ;;
show)
    state=inactive
    ! alive || state=active
    printf '%s\n' LoadState=loaded ActiveState=$state SubState=$state Type=simple Result=success MainPID="$pid" NRestarts=0
    ;;
esac

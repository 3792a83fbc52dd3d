#!/usr/bin/env bash
# room.sh WHAT FOLDER MB [INSTEAD]: one line and status 1 where less than MB megabytes are free for
# FOLDER, which need not be there yet. INSTEAD: what to do other than make room.
set -euo pipefail
what=$1 folder=$2 needed=$3 instead=${4:-}

mkdir -p "$(dirname "$folder")"
free=$(df --output=avail --block-size=1M "$(dirname "$folder")" | tail -n1)
[ "$free" -ge "$needed" ] || {
  echo "$what needs $needed MB in $(basename "$(dirname "$folder")"), and $((free)) MB are free:" \
    "make room${instead:+, or $instead}" >&2
  exit 1
}

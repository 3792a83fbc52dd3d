#!/usr/bin/env bash
# packages.sh PACKAGE...: installs those Debian or Ubuntu packages that are missing.
set -euo pipefail

if ! command -v dpkg-query apt-get >/dev/null; then
  echo "set-up: no apt here; going on as if the likes of these were installed: $*"
  exit 0
fi

missing=()
for package in "$@"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "set-up: system packages are missing and only root can install them:" \
    "sudo apt-get install ${missing[*]}" >&2
  exit 1
fi

echo "set-up: installing system packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends "${missing[@]}" >/dev/null

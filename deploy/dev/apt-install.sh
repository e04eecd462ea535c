#!/usr/bin/env bash
# Usage: apt-install.sh PURPOSE PACKAGE...
# Installs packages of the distribution. Services that come with them are not started, and are
# disabled again where systemd runs.
set -euo pipefail

purpose=$1
packages=("${@:2}")
policy=/usr/sbin/policy-rc.d

refuse() {
    echo "$purpose needs: apt-get install ${packages[*]} ($1)" >&2
    exit 1
}

become_root() {
    command -v sudo >/dev/null || refuse "not root and no sudo here; run it as root, then go on"
    if ! sudo -n true 2>/dev/null && [[ ! -t 0 ]]; then
        refuse "sudo asks for a password and nobody is there to type it; run it once, then go on"
    fi
    echo "$purpose: installing ${packages[*]} with sudo"
    exec sudo bash "$0" "$@"
}

keep_services_down() {
    if [[ -e $policy ]]; then
        return
    fi
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy" # 101: action forbidden (invoke-rc.d)
    chmod 755 "$policy"
}

enabled_units() {
    if [[ -d /run/systemd/system ]]; then
        systemctl list-unit-files --state=enabled --no-legend | cut -d ' ' -f 1 | sort
    fi
}

command -v apt-get >/dev/null || refuse "no apt-get here; use what your system has in its place"
if ((EUID != 0)); then
    become_root "$@"
fi

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -qq -o DPkg::Lock::Timeout=120)
before=$(enabled_units)
keep_services_down
"${apt[@]}" update || echo "apt-get update failed; trying with the package lists that are here" >&2
"${apt[@]}" install --yes --no-install-recommends "${packages[@]}" >/dev/null ||
    refuse "the installation failed, see above"
comm -13 <(echo "$before") <(enabled_units) | xargs --no-run-if-empty systemctl disable --quiet --now

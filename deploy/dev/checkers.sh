#!/usr/bin/env bash
# Sees to what the tests check the deployment with: systemd-analyze, Prometheus and its promtool.
# Neither systemd nor the package's Prometheus service is started.
set -euo pipefail
cd "$(dirname "$0")/../.."

packages=()
command -v systemd-analyze >/dev/null || packages+=(systemd)
{ command -v promtool && command -v prometheus; } >/dev/null || packages+=(prometheus)
if ((${#packages[@]} == 0)); then
    exit
fi

deploy/dev/apt-install.sh "The tests of deploy/" "${packages[@]}"

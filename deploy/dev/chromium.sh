#!/usr/bin/env bash
# Sees to a Chromium for the browser tests; not needed where SPARTOO_SYNC_TEST_CHROMIUM names one.
# Debian's package; where the distribution has none of its own (Ubuntu), the one Playwright brings.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [[ -n ${SPARTOO_SYNC_TEST_CHROMIUM:-} ]] || command -v chromium >/dev/null; then
    exit
fi
if grep -qs '^ID=ubuntu' /etc/os-release; then
    exec .venv/bin/playwright install --with-deps chromium
fi

deploy/dev/apt-install.sh "A browser for the tests (or set SPARTOO_SYNC_TEST_CHROMIUM)" chromium

#!/usr/bin/env bash
# Sees to a Chromium for the browser tests; not needed where SPARTOO_SYNC_TEST_CHROMIUM names one.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [[ -n ${SPARTOO_SYNC_TEST_CHROMIUM:-} ]] || command -v chromium >/dev/null; then
    exit
fi

deploy/dev/apt-install.sh "A browser for the tests (or set SPARTOO_SYNC_TEST_CHROMIUM)" chromium

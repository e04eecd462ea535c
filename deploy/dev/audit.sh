#!/usr/bin/env bash
# Asks the Python Packaging Advisory Database whether anything the lock names has a known fault.
# Needs that service, so it is not part of `make check`, which has to work and mean the same offline.
# What could not be asked about counts as a fault, not as clean.
set -euo pipefail
cd "$(dirname "$0")/../.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$(deploy/dev/python.sh)" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --disable-pip-version-check pip-audit
"$tools/bin/pip-audit" --strict --require-hashes --disable-pip -r deploy/dev/requirements.lock

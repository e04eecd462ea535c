#!/usr/bin/env bash
# Writes requirements.lock anew from pyproject.toml: pins and hashes, no index and no host.
# What is pinned already stays; delete the lock first to bring everything up to date.
set -euo pipefail
cd "$(dirname "$0")/../.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$(deploy/dev/python.sh)" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --disable-pip-version-check uv
"$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-header --no-annotate --extra embedded --extra otel --group dev \
    pyproject.toml -o deploy/dev/requirements.lock

#!/usr/bin/env bash
# Usage: install.sh DIRECTORY
# Installs the program and what it needs into a new virtual environment: every package pinned and
# its hash checked. The Dockerfile and the systemd layout both start from here.
set -euo pipefail
target=$(realpath -m -- "${1:?usage: install.sh DIRECTORY}")
cd "$(dirname "$0")/.."

if [[ -e $target ]]; then
    echo "$target exists already; install into a new directory, then point to it" >&2
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=$(deploy/dev/python.sh)

"$python" -m venv "$work/build"
pip=("$work/build/bin/python" -m pip --disable-pip-version-check --no-input --quiet)
"${pip[@]}" install --require-hashes --no-deps -r deploy/build.lock
"${pip[@]}" wheel --no-deps --no-build-isolation --wheel-dir "$work" .

"$python" -m venv --without-pip "$target"
into=("${pip[@]}" --python "$target/bin/python" install --no-deps)
"${into[@]}" --require-hashes --only-binary :all: -r deploy/runtime.lock
"${into[@]}" --no-index "$work"/*.whl
"$target/bin/spartoo-sync" --version

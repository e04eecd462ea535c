#!/usr/bin/env bash
# Writes the locks anew from pyproject.toml: pins and hashes, no index and no host.
# requirements.lock is for working on the project; ../runtime.lock and ../build.lock, with the same
# pins, are what an installation needs and what its wheel is built with; fuzz.lock is what make fuzz
# needs beside the first, apart from it because not every Python has a wheel of it; mutants.lock
# is what make mutants needs beside the first, apart because nothing else needs it.
# What is pinned already stays; delete the lock first to bring everything up to date.
set -euo pipefail
cd "$(dirname "$0")/../.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$(deploy/dev/python.sh)" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --disable-pip-version-check uv
compile=("$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes
    --no-emit-index-url --no-header --no-annotate)

lock=deploy/dev/requirements.lock
"${compile[@]}" --extra embedded --extra otel --group dev pyproject.toml -o "$lock"
"${compile[@]}" --constraint "$lock" pyproject.toml -o deploy/runtime.lock
"$tools/bin/python" -c '
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' |
    "${compile[@]}" --constraint "$lock" - -o deploy/build.lock
"${compile[@]}" --constraint "$lock" --group pyproject.toml:fuzz -o deploy/dev/fuzz.lock
"${compile[@]}" --constraint "$lock" --group pyproject.toml:mutants -o deploy/dev/mutants.lock

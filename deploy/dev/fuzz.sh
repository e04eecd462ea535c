#!/usr/bin/env bash
# fuzz.sh RUNS [TARGET…]: installs the fuzzer beside .venv, in .cache/fuzz, and lets it run.
set -euo pipefail
cd "$(dirname "$0")/../.."

lock=deploy/dev/fuzz.lock
python=.venv/bin/python
packages=.cache/fuzz/packages
state=$("$python" -VV && sha256sum "$lock")

if [[ ! -f $packages/.ready || $(<"$packages/.ready") != "$state" ]]; then
    rm -rf "$packages"
    if ! "$python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps \
        --only-binary :all: --require-hashes --target "$packages" -r "$lock"; then
        echo "The fuzzer (atheris) cannot be installed for $("$python" -V) on $(uname -m): above is why." \
            "It has wheels for CPython 3.11 to 3.14 on Linux x86_64 only. Nothing else needs it;" \
            "with another Python: make clean, then make fuzz PYTHON=python3.12" >&2
        exit 1
    fi
    echo "$state" >"$packages/.ready"
fi
PYTHONPATH=$packages exec nice -n 10 "$python" -m tests.fuzz.run "$@"

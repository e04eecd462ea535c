#!/usr/bin/env bash
# mutants.sh [PART…]: installs the mutation tester beside .venv, in .cache/mutants, and lets it run.
set -euo pipefail
cd "$(dirname "$0")/../.."

lock=deploy/dev/mutants.lock
python=.venv/bin/python
packages=.cache/mutants/packages
state=$("$python" -VV && sha256sum "$lock")

if [[ ! -f $packages/.ready || $(<"$packages/.ready") != "$state" ]]; then
    rm -rf "$packages"
    if ! "$python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps \
        --only-binary :all: --require-hashes --target "$packages" -r "$lock"; then
        echo "The mutation tester (mutmut) cannot be installed for $("$python" -V) on $(uname -m):" \
            "above is why. Nothing else needs it." >&2
        exit 1
    fi
    echo "$state" >"$packages/.ready"
fi
exec nice -n 10 "$python" deploy/dev/mutants.py "$PWD/$packages" "$@"

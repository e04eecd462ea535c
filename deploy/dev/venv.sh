#!/usr/bin/env bash
# Makes .venv with what the lock names, and this project. Does nothing when that is done already.
set -euo pipefail
cd "$(dirname "$0")/../.."

lock=deploy/dev/requirements.lock
stamp=.venv/.ready
state=$(pwd && sha256sum "$lock" pyproject.toml)

works() { # a copied or moved folder leaves scripts that point to the old one
    .venv/bin/python -c '' 2>/dev/null &&
        [[ -f .venv/bin/pip && $(head -n 1 .venv/bin/pip) == "#!$PWD/.venv/"* ]]
}

make_venv() {
    local python package
    python=$(deploy/dev/python.sh)
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        deploy/dev/apt-install.sh "A virtual environment with $python" "$package"
    fi
    echo "Making .venv with $("$python" --version), $python"
    "$python" -m venv --clear .venv
}

if works; then
    if [[ -f $stamp && $(<"$stamp") == "$state" ]]; then
        exit
    fi
else
    make_venv
fi
echo "Installing the packages of $lock into .venv"
pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input)
"${pip[@]}" --require-hashes -r "$lock"
"${pip[@]}" --no-deps --no-build-isolation -e .
echo "$state" >"$stamp"

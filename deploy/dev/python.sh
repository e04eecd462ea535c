#!/usr/bin/env bash
# Prints the Python to build with: $PYTHON, or the newest of those below that runs and is 3.11 or
# newer. One that can make virtual environments already goes before one that cannot.
set -euo pipefail

candidates=(python3.13 python3.12 python3.11 python3)
if [[ -n ${PYTHON:-} ]]; then
    candidates=("$PYTHON")
fi

for needs in 'import ensurepip, venv' 'pass'; do
    for candidate in "${candidates[@]}"; do
        if "$candidate" -c "import sys; assert sys.version_info >= (3, 11); $needs" 2>/dev/null; then
            command -v "$candidate"
            exit
        fi
    done
done

echo "Python 3.11 or newer is needed; none of these is one: ${candidates[*]} (PYTHON=… names another)" >&2
exit 1

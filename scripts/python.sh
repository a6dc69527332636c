#!/usr/bin/env bash
# Prints the path of a Python that has what a requirements file lists: of a virtual
# environment in the directory named first, which is made anew if the list has changed.
#
#   python.sh DIRECTORY REQUIREMENTS
set -euo pipefail

venv=$1 requirements=$2
if ! cmp -s "$requirements" "$venv/requirements.txt"; then
    python=$("$(dirname "${BASH_SOURCE[0]}")/debian.sh" "python3 python3-venv" python3 \
        python3 -c 'import ensurepip') || {
        echo "missing: python3 with venv, for $requirements (Debian: apt-get install python3-venv)" >&2
        exit 1
    }
    rm -rf "$venv"
    "$python" -m venv "$venv" >&2
    "$(dirname "${BASH_SOURCE[0]}")/step.sh" "installing what $requirements lists" \
        "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2
    cp "$requirements" "$venv/"
fi
echo "$venv/bin/python"

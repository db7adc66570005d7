#!/bin/sh
# venv.sh DIRECTORY: a virtual environment with a Python that is new enough.
#
# PYTHON chooses the interpreter; else the first of python3, python3.14 … python3.11 that is at least 3.11. A bare
# Debian has Python but not the part that makes environments (package python3-venv): root gets it installed, anybody
# else gets the command to give to root.
set -eu
venv=${1:?usage: venv.sh DIRECTORY}

new_enough() {
    command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

if [ -x "$venv/bin/python" ] && new_enough "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi

python=
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if new_enough "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "labkit needs Python 3.11 or later; none of these is one: ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}." >&2
    echo "Install it (Debian 12, Ubuntu 24.04: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3" >&2
    exit 1
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    # Debian names the package after the interpreter: python3.11 has python3.11-venv.
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "Installing $package, which makes virtual environments …"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
    else
        echo "$python cannot make a virtual environment: the package $package is missing." >&2
        echo "Install it, then try again:  sudo apt-get install $package" >&2
        exit 1
    fi
fi

echo "Creating $venv with $("$python" --version); the first installation takes a few minutes …"
rm -rf "$venv"
"$python" -m venv "$venv"

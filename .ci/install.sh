#!/bin/sh
# install.sh PYTHON WHAT…: into that Python's environment, in the versions that lock.txt names. With uv, which needs
# seconds where pip needs minutes; with pip where uv is not to be had, or finds no packages (it reads no pip.conf).
# Compiled, as pip does: a student's code that is graded in its cage cannot keep what it compiles, and would each time.
set -eu
python=$1
shift
export PIP_CONSTRAINT=lock.txt PIP_BUILD_CONSTRAINT=lock.txt UV_CONSTRAINT=lock.txt UV_BUILD_CONSTRAINT=lock.txt
export PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1

if "$python" -m pip install --quiet --quiet uv && "$python" -m uv pip install --quiet --compile-bytecode --python "$python" "$@"; then
    exit 0
fi
echo "uv could not install it; pip tries, which takes longer …" >&2
exec "$python" -m pip install --quiet --quiet "$@"

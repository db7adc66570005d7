#!/bin/sh
# node.sh: see to it that the tests of the page without a server find node (18 or newer) and npm.
#
# As root on Debian they are installed. Elsewhere the tests that need them are skipped, and say so.
if command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1; then
    echo "node: $(node --version)"
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Debian's nodejs and npm for the tests of labkit lite …"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null && exit 0
fi
echo "There is no node or no npm: the tests of labkit lite that need them are skipped." >&2
echo "Install them:  sudo apt-get install nodejs npm" >&2
exit 1

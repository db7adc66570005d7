#!/bin/sh
# browser.sh [PYTHON]: see to it that the browser tests find a Chromium.
#
# In this order: LABKIT_CHROMIUM, a browser that is installed, one that Playwright fetched before, Debian's package (as
# root), Playwright's own download. The last line printed says which. LABKIT_CHROMIUM=none goes without.
set -eu
python=${1:-python3}

found() {
    echo "browser: $1"
    exit 0
}

installed() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        path=$(command -v "$name" 2>/dev/null) && found "$path"
    done
    return 0
}

playwright_has_its_own() {
    "$python" - <<'EOF' 2>/dev/null
import os, sys
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    sys.exit(not os.path.exists(playwright.chromium.executable_path))
EOF
}

if [ "${LABKIT_CHROMIUM:-}" = none ]; then
    found "none, as LABKIT_CHROMIUM asks: the browser tests cannot run"
fi
if [ -n "${LABKIT_CHROMIUM:-}" ]; then
    if [ -x "$LABKIT_CHROMIUM" ]; then
        found "$LABKIT_CHROMIUM"
    fi
    echo "LABKIT_CHROMIUM is '$LABKIT_CHROMIUM', and there is no program of that name." >&2
    exit 1
fi

installed
if playwright_has_its_own; then
    found playwright
fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Debian's chromium for the browser tests …"
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; then
        installed
    fi
fi

echo "Downloading Playwright's Chromium for the browser tests …"
if "$python" -m playwright install chromium; then
    found playwright
fi

cat >&2 <<'EOF'
The browser tests need a Chromium, and none could be found, installed or downloaded. Do one of these:
  - install one:  sudo apt-get install chromium
  - say where it is:  LABKIT_CHROMIUM=/path/to/chrome make test
  - leave these tests out:  LABKIT_CHROMIUM=none make test ARGS='-m "not browser"'
EOF
exit 1

#!/bin/sh
# Puts the browser in place that the tests of the pages and of the JavaScript example drive. Does nothing when there
# is one already; CHROMIUM may name another.
set -eu

for name in ${CHROMIUM:-} chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium
else
    echo "no chromium found: install one (Debian: sudo apt-get install chromium), or set CHROMIUM to its path" >&2
    exit 1
fi

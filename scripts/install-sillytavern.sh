#!/bin/sh
# Puts SillyTavern in place, which `make soak` runs against the server. Does nothing when it is there already.
set -eu

version=1.19.0
folder=.venv/sillytavern

command -v node >/dev/null 2>&1 || {
    echo "no node found: install Node.js 20 or newer with npm (Debian: sudo apt-get install nodejs npm)" >&2
    exit 1
}
grep -qs "\"version\": \"$version\"" "$folder/node_modules/sillytavern/package.json" ||
    npm install --silent --prefix "$folder" --no-audit --no-fund --omit=dev "sillytavern@$version"

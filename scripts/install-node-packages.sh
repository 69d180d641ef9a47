#!/bin/sh
# Puts npm packages in place that tests run, each at its version: install-node-packages.sh PACKAGE@VERSION... Does nothing
# when they are there already.
set -eu

folder=.venv/node

command -v node >/dev/null 2>&1 || {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm
    else
        echo "no node found: install Node.js 20 or newer with npm (Debian: sudo apt-get install nodejs npm)" >&2
        exit 1
    fi
}
missing=
for each in "$@"; do
    grep -qs "\"version\": \"${each##*@}\"" "$folder/node_modules/${each%@*}/package.json" || missing="$missing $each"
done
# Saved in the folder's package.json: what npm does not find there it takes away with the next package.
[ -z "$missing" ] || npm install --silent --prefix "$folder" --save-exact --no-audit --no-fund $missing

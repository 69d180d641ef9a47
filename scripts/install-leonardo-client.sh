#!/bin/sh
# Puts Leonardo.ai's official JavaScript client in place, with which the tests prove their stand-in of its API. Does
# nothing when it is there already.
set -eu

version=4.21.3
folder=.venv/node
package="$folder/node_modules/@leonardo-ai/sdk/package.json"

command -v node >/dev/null 2>&1 || {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm
    else
        echo "no node found: install Node.js 18 or newer with npm (Debian: sudo apt-get install nodejs npm)" >&2
        exit 1
    fi
}
grep -qs "\"version\": \"$version\"" "$package" ||
    npm install --silent --prefix "$folder" --save-exact --no-audit --no-fund "@leonardo-ai/sdk@$version" zod@4.6.7

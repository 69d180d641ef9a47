#!/bin/sh
# Puts axe-core in place, with which the tests look for what keeps people from using the page. Does nothing when it is
# there already.
set -eu

version=4.14.1
folder=.venv/node

grep -qs "\"version\": \"$version\"" "$folder/node_modules/axe-core/package.json" ||
    npm install --silent --prefix "$folder" --no-save --no-audit --no-fund "axe-core@$version"

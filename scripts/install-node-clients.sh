#!/bin/sh
# Puts JavaScript clients of other people in place, with which the tests prove the dialects that they speak. Does nothing
# when they are there already.
set -eu

folder=.venv/node
# One package@version a line. Node 20 runs all of them.
packages="
openai@6.49.0
ai@6.0.326
@ai-sdk/openai@3.0.141
@ai-sdk/openai-compatible@2.0.92
@modelcontextprotocol/sdk@1.32.2
zod@4.6.7
@saintno/comfyui-sdk@0.3.1
@stable-canvas/comfyui-client@1.5.9
ws@8.18.3
"

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
for each in $packages; do
    grep -qs "\"version\": \"${each##*@}\"" "$folder/node_modules/${each%@*}/package.json" || missing="$missing $each"
done
# Saved in the folder's package.json: what npm does not find there it takes away with the next package.
[ -z "$missing" ] || npm install --silent --prefix "$folder" --save-exact --no-audit --no-fund $missing

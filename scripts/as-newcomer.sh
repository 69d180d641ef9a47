#!/usr/bin/env bash
# What CI does, as on a newcomer's machine: a clone of the last commit in a fresh folder, an empty HOME, no setting of
# this shell. It finds what somebody installed or set up by hand and the project's own files do not.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git clone --quiet . "$folder/clone"
mkdir "$folder/home"
if [ -d ../shared ]; then ln -s "$(realpath ../shared)" "$folder/shared"; fi

# Where the package registries are is no part of what is looked for: pip and npm keep their settings.
for file in "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf"; do
    if [ -z "${PIP_CONFIG_FILE:-}" ] && [ -f "$file" ]; then export PIP_CONFIG_FILE=$file; fi
done
if [ -f "$HOME/.npmrc" ]; then export NPM_CONFIG_USERCONFIG=$HOME/.npmrc; fi
mapfile -t own < <(compgen -e | grep -E '^(VISIONCRAFT_|PYTHON|VIRTUAL_ENV|XDG_|HF_|LEONARDO_|MAKE|MFLAGS)' || true)
unset "${own[@]}"

cd "$folder/clone"
HOME=$folder/home CI=true bash .ci/run

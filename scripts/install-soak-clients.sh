#!/bin/sh
# Puts Python clients of other people in place that are too large for every `make test`, in an environment of their own:
# their requirements are none of the server's. `make soak` calls it. Does nothing when they are there already.
set -eu

folder=.venv/soak-clients
# One package==version a line.
packages="
comfy-script[default]==0.6.1
langchain-community==0.4.2
litellm==1.110.2
openai==3.57.0
"

[ -x "$folder/bin/python" ] || .venv/bin/python -m venv "$folder"
installed=$("$folder/bin/python" -m pip freeze --disable-pip-version-check)
missing=
for each in $packages; do
    printf '%s\n' "$installed" | grep -qix "$(printf %s "$each" | sed 's/\[.*\]//')" || missing=yes
done
[ -z "$missing" ] || "$folder/bin/python" -m pip install --quiet --disable-pip-version-check $packages

#!/bin/sh
# Puts Open WebUI itself in place, with which `make soak` proves its four engines: 2.5 GB in an environment of its own,
# .venv/open-webui, as what it pins does not go with what the server needs. Does nothing when it is there already.
set -eu

version=0.12.4
folder=.venv/open-webui

[ -x "$folder/bin/python" ] || "${PYTHON:-.venv/bin/python}" -m venv "$folder"
[ -d "$folder"/lib/python*/site-packages/open_webui-"$version".dist-info ] ||
    "$folder/bin/python" -m pip install --quiet "open-webui==$version" torch==2.13.0

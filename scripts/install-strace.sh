#!/bin/sh
# Puts strace in place, with which a test watches the system calls of a save and lets them fail. Does nothing when
# there is one already.
set -eu

command -v strace >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends strace
else
    echo "no strace found: install one (Debian: sudo apt-get install strace)" >&2
    exit 1
fi

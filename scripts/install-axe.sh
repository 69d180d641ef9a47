#!/bin/sh
# Puts axe-core in place, with which the tests look for what keeps people from using the page. Does nothing when it is
# there already.
exec scripts/install-node-packages.sh axe-core@4.14.1

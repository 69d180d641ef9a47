#!/bin/sh
# Puts Leonardo.ai's official JavaScript client in place, with which the tests prove their stand-in of its API. Does
# nothing when it is there already.
exec scripts/install-node-packages.sh @leonardo-ai/sdk@4.21.3 zod@4.6.7

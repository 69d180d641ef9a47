#!/bin/sh
# Puts JavaScript clients of other people in place, with which the tests prove the dialects that they speak. Does nothing
# when they are there already. Node 20 runs all of them.
exec scripts/install-node-packages.sh \
    openai@6.49.0 \
    ai@6.0.326 \
    @ai-sdk/openai@3.0.141 \
    @ai-sdk/openai-compatible@2.0.92 \
    @modelcontextprotocol/sdk@1.32.2 \
    zod@4.6.7 \
    @saintno/comfyui-sdk@0.3.1 \
    @stable-canvas/comfyui-client@1.5.9 \
    ws@8.18.3

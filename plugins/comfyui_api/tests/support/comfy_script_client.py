"""ComfyScript, in an environment of its own: its nodes are made of what the server lists. Answers in JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import aiohttp
from comfy_script.client import Client
from comfy_script.runtime import Workflow, load

url, token, prompt = sys.argv[1:]
load(Client(url, session_factory=lambda: aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"})))

from comfy_script.runtime import nodes  # noqa: E402 - `load` has made it


async def draw() -> Any:
    """ComfyUI's default graph, as ComfyScript writes it."""
    async with Workflow(wait=True):
        model, clip, vae = nodes.CheckpointLoaderSimple("fake")
        words, without = nodes.CLIPTextEncode(prompt, clip), nodes.CLIPTextEncode("text", clip)
        latent = nodes.EmptyLatentImage(64, 64, 2)
        drawn = nodes.KSampler(model, 7, 15, 7, "euler", "normal", words, without, latent, 1)
        return nodes.SaveImage(nodes.VAEDecode(drawn, vae), "script")


async def main() -> None:
    """Draw twice over one socket, and look at the images."""
    found = []
    for _ in range(2):
        saved = await draw()
        images = await saved
        found.append([image.size for image in [await images.get(0), await images.get(1)]])
    sys.stdout.write("\n" + json.dumps(found) + "\n")


asyncio.run(main())

"""Graphs as ComfyUI's own pages and other people's programs write them."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
from visioncraft.testing import PATIENCE_S
from websockets.sync.client import ClientConnection, connect

Graph = dict[str, dict[str, Any]]


def node(class_name: str, title: str = "", **inputs: Any) -> dict[str, Any]:
    """One node, with its title as ComfyUI exports it."""
    return {"class_type": class_name, "inputs": inputs, "_meta": {"title": title or class_name}}


def text_to_image(prompt: str = "red apple", seed: Any = 7, side: int = 64, **sampler: Any) -> Graph:
    """ComfyUI's default graph: the ids are its own."""
    return {
        "3": node(
            "KSampler",
            **{
                "seed": seed,
                "steps": 15,
                "cfg": 7,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1,
                "model": ["4", 0],
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
                **sampler,
            },
        ),
        "4": node("CheckpointLoaderSimple", "Load Checkpoint", ckpt_name="fake"),
        "5": node("EmptyLatentImage", width=side, height=side, batch_size=1),
        "6": node("CLIPTextEncode", "Positive", text=prompt, clip=["4", 1]),
        "7": node("CLIPTextEncode", "Negative", text="text, watermark", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", "Save Image", filename_prefix="ComfyUI", images=["8", 0]),
    }


def image_to_image(name: str, prompt: str = "green apple", denoise: float = 0.5, **sampler: Any) -> Graph:
    """The same, beginning with an uploaded image."""
    graph = text_to_image(prompt, denoise=denoise, latent_image=["11", 0], **sampler)
    del graph["5"]
    graph["10"] = node("LoadImage", image=name, upload="image")
    graph["11"] = node("VAEEncode", pixels=["10", 0], vae=["4", 2])
    return graph


def flux(prompt: str = "red apple", seed: int = 7) -> Graph:
    """ComfyUI's example for Flux dev."""
    return {
        "5": node("EmptySD3LatentImage", width=64, height=64, batch_size=1),
        "6": node("CLIPTextEncode", text=prompt, clip=["11", 0]),
        "8": node("VAEDecode", samples=["13", 0], vae=["10", 0]),
        "9": node("SaveImage", filename_prefix="flux", images=["8", 0]),
        "10": node("VAELoader", vae_name="ae.safetensors"),
        "11": node("DualCLIPLoader", clip_name1="t5xxl_fp16.safetensors", clip_name2="clip_l.safetensors", type="flux"),
        "12": node("UNETLoader", unet_name="fake", weight_dtype="default"),
        "13": node(
            "SamplerCustomAdvanced",
            noise=["25", 0],
            guider=["22", 0],
            sampler=["16", 0],
            sigmas=["17", 0],
            latent_image=["5", 0],
        ),
        "16": node("KSamplerSelect", sampler_name="euler"),
        "17": node("BasicScheduler", model=["12", 0], scheduler="simple", steps=15, denoise=1),
        "22": node("BasicGuider", model=["12", 0], conditioning=["26", 0]),
        "25": node("RandomNoise", noise_seed=seed),
        "26": node("FluxGuidance", conditioning=["6", 0], guidance=3.5),
    }


class Listener:
    """A client's socket, and what it has heard.

    Args:
        comfy: Where the server is, and the token.
        features: Whether it says what it understands, as ComfyUI's own page does.
        client_id: What it calls itself.
    """

    def __init__(self, comfy: httpx.Client, features: bool = False, client_id: str = "") -> None:
        self.client_id = client_id or str(uuid.uuid4())
        url = str(comfy.base_url).replace("http", "ws").rstrip("/")
        headers = {"Authorization": comfy.headers["Authorization"]}
        self.socket: ClientConnection = connect(
            f"{url}/ws?clientId={self.client_id}",
            additional_headers=headers,
            open_timeout=PATIENCE_S,
            max_size=None,
            legacy=True,
        )
        self.binary: list[bytes] = []
        if features:
            self.socket.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": False}}))

    def next(self) -> dict[str, Any]:
        """The next message in words; binary ones before it are put aside."""
        while isinstance(message := self.socket.recv(), bytes):
            self.binary.append(message)
        found: dict[str, Any] = json.loads(message)
        return found

    def until(self, kind: str) -> None:
        """Listen until something of this kind is told."""
        while self.next()["type"] != kind:
            pass

    def until_over(self, prompt_id: str) -> list[dict[str, Any]]:
        """All that is told until a prompt's last word."""
        told = []
        while True:
            told.append(self.next())
            data = told[-1]["data"]
            if told[-1]["type"] == "executing" and data["node"] is None and data["prompt_id"] == prompt_id:
                return told

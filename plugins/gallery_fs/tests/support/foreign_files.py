"""Pictures as other programs write them, and a way to take them in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin
from visioncraft import ImageRecord
from visioncraft_gallery_fs.store import GalleryStore
from visioncraft_gallery_fs.transfer import import_ as importing

A1111 = (
    "masterpiece, a (red:1.2) apple, <lora:x:1>\nsecond line\nNegative prompt: blurry,\nlow quality\n"
    "Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 1234567890, Size: 64x48, "
    'Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Lora hashes: "x: 1a2b, y: 3c4d", Version: v1.10.1'
)
COMFY: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": ["11", 0],
            "steps": 20,
            "cfg": 8.0,
            "sampler_name": "dpmpp_2m",
            "scheduler": "karras",
            "denoise": 1,
            "model": ["4", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15\\dreamshaper_8.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 48, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red apple", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "watermark", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
    "11": {"class_type": "PrimitiveInt", "inputs": {"seed": 156680208700286}},
}
FLUX: dict[str, Any] = {
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["11", 0]}},
    "12": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.safetensors"}},
    "13": {
        "class_type": "SamplerCustomAdvanced",
        "inputs": {
            "noise": ["25", 0],
            "guider": ["22", 0],
            "sampler": ["16", 0],
            "sigmas": ["17", 0],
            "latent_image": ["27", 0],
        },
    },
    "16": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
    "17": {"class_type": "BasicScheduler", "inputs": {"scheduler": "simple", "steps": 4, "model": ["12", 0]}},
    "22": {"class_type": "BasicGuider", "inputs": {"model": ["12", 0], "conditioning": ["26", 0]}},
    "25": {"class_type": "RandomNoise", "inputs": {"noise_seed": 219670278747233}},
    "26": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["6", 0]}},
    "27": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 64, "height": 48}},
}
INVOKE = {
    "app_version": "5.6.0",
    "generation_mode": "txt2img",
    "positive_prompt": "landscape",
    "negative_prompt": "low quality",
    "width": 64,
    "height": 48,
    "seed": 356120443,
    "cfg_scale": 7.5,
    "steps": 50,
    "scheduler": "dpmpp_2m_sde_k",
    "model": {"key": "k", "hash": "h", "name": "Dreamshaper 8", "base": "sd-1", "type": "main"},
}
INVOKE_2 = {
    "model_weights": "stable-diffusion-1.5",
    "image": {
        "prompt": [{"prompt": "a castle [ugly] on a hill", "weight": 1.0}],
        "steps": 30,
        "cfg_scale": 7.5,
        "seed": 42,
        "sampler": "k_euler_a",
    },
}
PIXELS = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def write_png(file: Path, **texts: str) -> bytes:
    """As other programs write it, with Pillow."""
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS).save(file, pnginfo=info)
    return file.read_bytes()


def add_missing(store: GalleryStore, folder: Path) -> importing.Imported:
    tally = importing.Imported()
    for _ in importing.import_files(store, importing.picture_files(folder, tally), tally):
        pass
    return tally


def the_only_one(store: GalleryStore) -> ImageRecord:
    (record,) = store.list(5).items
    return record

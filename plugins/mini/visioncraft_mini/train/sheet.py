"""Contact sheets: fixed prompts and fixed seeds, so that two sheets can be compared."""

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image, ImageDraw, ImageFont

NINE = (
    "red apple",
    "A serene mountain landscape at sunrise",
    "A beautiful garden with colorful flowers",
    "A futuristic city with flying cars",
    "A majestic dragon soaring through clouds",
    "a cat",
    "a rocket",
    "a slice of pizza",
    "a blue car",
)
CAPTION_HEIGHT = 26


def draw(pipe: StableDiffusionPipeline, prompt: str, seed: int, side: int = 512, guidance: float = 7.5) -> Image.Image:
    """One picture as the API's defaults would draw it: 20 steps, no negative prompt."""
    generator = torch.Generator("cpu").manual_seed(seed)
    drawn = pipe(prompt, num_inference_steps=20, guidance_scale=guidance, height=side, width=side, generator=generator)
    picture: Image.Image = drawn.images[0]
    return picture


def contact_sheet(pictures: Sequence[Image.Image], captions: Sequence[str], columns: int, cell: int) -> Image.Image:
    """Pictures in rows with their captions below them."""
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * cell, rows * (cell + CAPTION_HEIGHT)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=max(11, cell // 18))
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = number % columns * cell, number // columns * (cell + CAPTION_HEIGHT)
        sheet.paste(picture.resize((cell, cell), Image.Resampling.LANCZOS), (left, top))
        pen.text((left + cell // 2, top + cell + 2), caption, fill="black", anchor="mt", font=font)
    return sheet


def save_nine(pipe: StableDiffusionPipeline, path: Path, cell: int = 256) -> None:
    """The nine pictures of the README: seeds 0 to 8, whatever they turn out to be."""
    pipe.set_progress_bar_config(disable=True)
    pictures = [draw(pipe, prompt, seed) for seed, prompt in enumerate(NINE)]
    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(pictures, NINE, 3, cell).quantize(256).save(path, optimize=True)

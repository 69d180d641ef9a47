"""Which pictures there are, and the words for them, from npm ``emojibase-data`` and ``emojilib``."""

import json
from pathlib import Path

import torch
from torch import Tensor

from visioncraft_mini.train.pictures import picture_path

# emojibase's groups of smileys, nature, food, places, activities and objects; people, flags and signs stay out.
GROUPS = (0, 3, 4, 5, 6, 7)
HELD_OUT = (
    "1f98f", "1f9a3", "1f99d", "1f9a1", "1f97e", "1f9f0", "1f6f5", "1f9ee", "1f95f", "1f964", "1f3b7", "1f50b",
    "1f69c", "1f9a9", "1f421", "1f33d", "1f45b", "1f6cb", "1f3fa", "1f4e0", "1f913", "1f955", "1f9eb", "1f3a1",
)  # fmt: skip


def held_out_codes() -> list[str]:
    """Pictures that the codec never sees: its PSNR is measured on them."""
    return list(HELD_OUT)


def everyday_codes(modules: Path) -> list[str]:
    """The code points of all things with a picture, in emojibase's order."""
    entries = json.loads((modules / "emojibase-data/en/data.json").read_text("utf-8"))
    codes = [entry["hexcode"].lower() for entry in entries if entry.get("group") in GROUPS]
    return [code for code in codes if picture_path(modules, code)]


def codec_codes(modules: Path) -> tuple[list[str], Tensor]:
    """What the codec is trained on, with the weight of each."""
    codes = [code for code in everyday_codes(modules) if code not in HELD_OUT]
    return codes, torch.ones(len(codes))

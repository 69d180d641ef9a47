"""`visioncraft models add | info | list | remove`, with the real plugins, as a person types them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from harness import House
from safetensors.numpy import save_file

LAYER = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"


def test_a_lora_comes_is_shown_and_goes(tmp_path: Path) -> None:
    house = House(tmp_path, {"plugins": {"enabled": ["local_sd", "mini", "gallery_fs"]}}, {"HF_HOME": str(tmp_path)})
    file = tmp_path / "Red Ink.safetensors"
    save_file({LAYER: np.zeros((4, 768), np.float32)}, file)

    added = house.command("models", "add", "Red Ink.safetensors")
    assert added.returncode == 0 and "red-ink: sd1 lora" in added.stdout, added.stderr
    assert "red-ink" in house.command("models").stdout
    listed = {entry["id"]: entry for entry in json.loads(house.command("models", "list", "--json").stdout)}
    assert listed["red-ink"]["kind"] == "lora" and listed["red-ink"]["size"] == file.stat().st_size
    shown = json.loads(house.command("models", "info", "red-ink", "--json").stdout)
    assert shown["sha256"] == {"red-ink.safetensors": hashlib.sha256(file.read_bytes()).hexdigest()}

    assert house.command("models", "remove", "red-ink").returncode != 0, "nobody was there to say yes"
    assert house.command("models", "remove", "red-ink", "--yes").returncode == 0
    gone = house.command("models", "info", "red-ink")
    assert gone.returncode == 1 and "No model or part 'red-ink'" in gone.stderr
    assert "unet/diffusion_pytorch_model.safetensors" in house.command("models", "info", "visioncraft-mini").stdout

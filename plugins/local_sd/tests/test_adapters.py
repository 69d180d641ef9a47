"""Files of the LoRA kind: each way of changing a layer is drawn as its formula says, or refused by its name."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from visioncraft import InvalidRequest, LoRA, decode_png
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.loras.deltas import down_and_up
from visioncraft_local_sd.loras.layers import diffusers_name, layers_by_name
from visioncraft_local_sd.weights.recognise import recognise
from visioncraft_local_sd.weights.safety import CheckpointRefused

Tensors = dict[str, torch.Tensor]
RANK, ALPHA = 4, 3.0
UNET = "down_blocks.0.attentions.0.transformer_blocks.0"
LAYERS: Mapping[str, str] = {
    f"unet/{UNET}.attn2.to_k": f"lora_unet_{UNET.replace('.', '_')}_attn2_to_k",
    f"unet/{UNET}.ff.net.0.proj": f"lora_unet_{UNET.replace('.', '_')}_ff_net_0_proj",
    "unet/down_blocks.0.resnets.0.conv1": "lora_unet_down_blocks_0_resnets_0_conv1",
    "text_encoder/encoder.layers.0.self_attn.q_proj": "lora_te_text_model_encoder_layers_0_self_attn_q_proj",
}
"""Weights of the tiny model that are changed, and kohya-ss' names of their layers."""


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape) * 0.4


def lora(weight: torch.Tensor) -> tuple[Tensors, torch.Tensor]:
    down, up = random(RANK, *weight.shape[1:]), random(len(weight), RANK, *[1] * (weight.ndim - 2))
    tensors = {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(ALPHA)}
    return tensors, (up.flatten(1) @ down.flatten(1) * ALPHA / RANK).reshape(weight.shape)


def locon(weight: torch.Tensor) -> tuple[Tensors, torch.Tensor]:
    if weight.ndim == 2:
        return lora(weight)
    down, middle, up = random(RANK, weight.shape[1], 1, 1), random(RANK, RANK, 3, 3), random(len(weight), RANK, 1, 1)
    tensors = {"lora_down.weight": down, "lora_mid.weight": middle, "lora_up.weight": up, "alpha": torch.tensor(ALPHA)}
    convolved = torch.stack([(each[:, :, :, None] * middle).sum(dim=0) for each in up])
    change = torch.einsum("oqkl,qi->oikl", convolved, down[..., 0, 0])
    return tensors, change * ALPHA / RANK


def loha(weight: torch.Tensor) -> tuple[Tensors, torch.Tensor]:
    rows, columns = len(weight), weight[0].numel()
    shapes = {"hada_w1_a": (rows, RANK), "hada_w1_b": (RANK, columns)}
    shapes |= {"hada_w2_a": (rows, RANK), "hada_w2_b": (RANK, columns)}
    tensors = {name: random(*shape) for name, shape in shapes.items()}
    first, second = (tensors[f"hada_w{n}_a"] @ tensors[f"hada_w{n}_b"] for n in (1, 2))
    return tensors | {"alpha": torch.tensor(ALPHA)}, (first * second * ALPHA / RANK).reshape(weight.shape)


def lokr(weight: torch.Tensor) -> tuple[Tensors, torch.Tensor]:
    rows, columns = len(weight) // 2, weight[0].numel() // 4
    first, low, high = random(2, 4), random(rows, RANK), random(RANK, columns)
    second = low @ high
    if weight.ndim == 4:
        columns = weight.shape[1] // 4
        second = (low @ (high := random(RANK, columns * 9))).reshape(rows, columns, 3, 3)
        tensors = {"lokr_w1": first, "lokr_w2": second}
        change = torch.stack([torch.kron(first, second[..., y, x]) for y in range(3) for x in range(3)], dim=-1)
        return tensors, change.reshape(weight.shape)
    tensors = {"lokr_w1": first, "lokr_w2_a": low, "lokr_w2_b": high, "alpha": torch.tensor(ALPHA)}
    return tensors, torch.kron(first, second) * ALPHA / RANK


def difference(weight: torch.Tensor) -> tuple[Tensors, torch.Tensor]:
    change = random(*weight.shape)
    return {"diff": change}, change


def dora(weight: torch.Tensor, by_output: bool) -> tuple[Tensors, torch.Tensor]:
    tensors, change = lora(weight)
    new = weight + change
    vectors = new.flatten(1) if by_output else new.transpose(0, 1).flatten(1)
    shape = (-1, *[1] * (weight.ndim - 1)) if by_output else (1, -1, *[1] * (weight.ndim - 2))
    magnitude = torch.rand(len(vectors)) + 0.5
    scaled = new * (magnitude / vectors.norm(dim=1)).reshape(shape)
    return tensors | {"dora_scale": magnitude.reshape(shape)}, scaled - weight


WAYS: Mapping[str, Callable[[torch.Tensor], tuple[Tensors, torch.Tensor]]] = {
    "LoRA": lora,
    "LoCon": locon,
    "LoHa": loha,
    "LoKr": lokr,
    "difference of weights": difference,
    "DoRA": lambda weight: dora(weight, by_output=True),
    "DoRA by inputs": lambda weight: dora(weight, by_output=False),
}


@pytest.fixture
def folder(local: LocalSD) -> Iterator[Path]:
    """Of LoRAs; emptied afterwards."""
    folder = local._library.models_dir / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    for file in folder.iterdir():
        file.unlink()


@pytest.fixture
def draw(local: LocalSD, ask: Callable[..., Any], recorder: Any) -> Callable[..., np.ndarray]:
    def drawn(path: Path, *loras: LoRA, **asked: Any) -> np.ndarray:
        request = ask(path, loras=loras, num_inference_steps=2, guidance_scale=4.0, **asked)
        return decode_png(local.run(request, recorder()).png).astype(int)

    return drawn


def changed(copy: Path, way: str, weight: float) -> Tensors:
    """Change a copy of the tiny model by so much of a random adapter; answers the adapter's tensors."""
    torch.manual_seed(5)
    written: Tensors = {}
    for part in ("unet", "text_encoder"):
        file = next((copy / part).glob("*.safetensors"))
        weights = load_file(file)
        for layer, name in LAYERS.items():
            where, _, inner = layer.partition("/")
            if where == part:
                key = next(key for key in weights if key.removeprefix("text_model.") == f"{inner}.weight")
                tensors, change = WAYS[way](weights[key])
                written |= {f"{name}.{suffix}": tensor for suffix, tensor in tensors.items()}
                weights[key] = weights[key] + weight * change
        save_file(weights, file, {"format": "pt"})
    return written


@pytest.mark.parametrize("way", WAYS)
def test_each_way_draws_what_a_model_with_the_changed_weights_draws(
    draw: Callable[..., np.ndarray], folder: Path, sd1: Path, tmp_path: Path, way: str
) -> None:
    copy = shutil.copytree(sd1, tmp_path / f"changed-{way.replace(' ', '-')}")
    save_file(changed(copy, way, 0.7), folder / "ink.safetensors")
    drawn = draw(sd1, LoRA("ink", 0.7))
    assert np.abs(drawn - draw(copy)).max() <= 1
    assert np.abs(drawn - draw(sd1)).max() > 2
    np.testing.assert_array_equal(draw(sd1, LoRA("ink", 0.0)), draw(sd1))
    assert recognise(folder / "ink.safetensors").detail == ("" if way == "LoRA" else way.removesuffix(" by inputs"))


def test_a_dora_is_what_peft_makes_of_it() -> None:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(6)
    layer = torch.nn.Sequential(torch.nn.Linear(12, 8, bias=False))
    weight = next(layer.parameters()).detach().clone()
    tensors, _ = dora(weight, by_output=True)
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, use_dora=True, target_modules=["0"])  # type: ignore[arg-type]
    model: Any = get_peft_model(layer, config)
    theirs = model.base_model.model[0]
    theirs.lora_A["default"].weight.data = tensors["lora_down.weight"]
    theirs.lora_B["default"].weight.data = tensors["lora_up.weight"]
    theirs.lora_magnitude_vector["default"].weight.data = tensors["dora_scale"].flatten()
    given = torch.randn(5, 12)
    down, up = down_and_up(tensors, weight)
    torch.testing.assert_close(given @ (weight + up @ down).T, model(given).detach(), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def layers_of_xl() -> Mapping[str, Any]:
    """The layers of SDXL's denoiser, without weights, by their names."""
    import diffusers
    from visioncraft_local_sd.weights.checkpoints import _DATA

    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel.from_config(
            diffusers.UNet2DConditionModel.load_config(_DATA / "sdxl/unet")
        )
    return layers_by_name(type("Pipe", (), {"unet": unet}))


@pytest.mark.parametrize("layers_per_block", [2])
@pytest.mark.parametrize(
    "name",
    [
        "input_blocks_1_0_in_layers_2",
        "input_blocks_2_0_emb_layers_1",
        "input_blocks_3_0_op",
        "input_blocks_4_0_skip_connection",
        "input_blocks_4_1_transformer_blocks_0_attn1_to_q",
        "input_blocks_8_1_proj_in",
        "middle_block_0_out_layers_3",
        "middle_block_1_transformer_blocks_3_ff_net_0_proj",
        "middle_block_2_in_layers_2",
        "output_blocks_0_1_transformer_blocks_1_attn2_to_out_0",
        "output_blocks_2_2_conv",
        "output_blocks_5_1_proj_out",
        "output_blocks_8_0_skip_connection",
        "input_blocks_0_0",
        "out_2",
        "time_embed_2",
        "label_emb_0_0",
    ],
)
def test_xls_layers_are_known_by_the_original_layouts_names(
    layers_of_xl: Mapping[str, Any], name: str, layers_per_block: int
) -> None:
    assert diffusers_name(f"lora_unet_{name}", layers_per_block) in layers_of_xl
    assert diffusers_name("lora_unet_mid_block_attentions_0_proj_in", layers_per_block) in layers_of_xl


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"oft_blocks": (4, 8, 8)}, "an OFT, which is not supported"),
        ({"a1.weight": (4, 32), "a2.weight": (32, 4), "b1.weight": (4, 32), "b2.weight": (32, 4)}, "a GLoRA, which"),
        ({"on_input": (), "weight": (32,)}, "an IA3, which"),
        ({"diff": (32, 32), "diff_b": (32,)}, "difference of biases or norms, which"),
        ({"lora_down.weight": (4, 32), "lora_up.weight": (32, 4), "gate": (1,)}, "not known here, as 'lora_unet_"),
    ],
)
def test_a_way_that_is_not_drawn_is_refused_by_its_name_wherever_it_is_met(
    local: LocalSD,
    draw: Callable[..., np.ndarray],
    folder: Path,
    sd1: Path,
    tmp_path: Path,
    recorder: Any,
    tensors: Mapping[str, tuple[int, ...]],
    said: str,
) -> None:
    name = LAYERS[f"unet/{UNET}.attn2.to_k"]
    file = tmp_path / "odd.safetensors"
    save_file({f"{name}.{suffix}": torch.zeros(shape) for suffix, shape in tensors.items()}, file)
    with pytest.raises(CheckpointRefused, match=said):
        recognise(file)
    with pytest.raises(InvalidRequest) as refused:
        local.add(file, None, recorder())
    assert said in str(refused.value.details["issue"])
    assert not list(folder.iterdir())


@pytest.mark.parametrize("prefix", ["transformer.blocks.0.to_q", "unet.down_blocks.7.attentions.0.to_q"])
def test_a_lora_that_is_only_partly_of_this_model_is_refused_and_leaves_it_whole(
    draw: Callable[..., np.ndarray], folder: Path, sd1: Path, prefix: str
) -> None:
    plain = draw(sd1)
    shapes = {f"unet.{UNET}.attn2.to_k": (64, 32), prefix: (64, 32)}
    tensors = {f"{name}.lora_A.weight": torch.ones(2, wide) for name, (_, wide) in shapes.items()}
    tensors |= {f"{name}.lora_B.weight": torch.ones(high, 2) for name, (high, _) in shapes.items()}
    save_file(tensors, folder / "half.safetensors")
    with pytest.raises(InvalidRequest) as refused:
        draw(sd1, LoRA("half"))
    assert refused.value.details["field"] == "loras.0.name"
    assert "does not fit" in str(refused.value.details["issue"])
    np.testing.assert_array_equal(draw(sd1), plain)


def test_a_dora_in_pefts_layout_is_drawn_as_one(
    draw: Callable[..., np.ndarray], folder: Path, sd1: Path, tmp_path: Path
) -> None:
    layer, copy = f"{UNET}.attn2.to_k", shutil.copytree(sd1, tmp_path / "changed-peft")
    file = next((copy / "unet").glob("*.safetensors"))
    weights = load_file(file)
    torch.manual_seed(7)
    tensors, change = dora(weights[f"{layer}.weight"], by_output=True)
    scaled = {"lora_A.weight": tensors["lora_down.weight"], "lora_B.weight": tensors["lora_up.weight"] * ALPHA / RANK}
    scaled["lora_magnitude_vector"] = tensors["dora_scale"].flatten()
    save_file({f"unet.{layer}.{suffix}": tensor for suffix, tensor in scaled.items()}, folder / "ink.safetensors")
    weights[f"{layer}.weight"] += change
    save_file(weights, file, {"format": "pt"})
    drawn = draw(sd1, LoRA("ink"))
    assert np.abs(drawn - draw(copy)).max() <= 1
    assert np.abs(drawn - draw(sd1)).max() > 1


def test_files_whose_names_differ_in_a_sign_are_two_loras(
    draw: Callable[..., np.ndarray], folder: Path, sd1: Path
) -> None:
    name = LAYERS[f"unet/{UNET}.attn2.to_k"]
    for seed, file in enumerate(("ink_a", "ink-a")):
        torch.manual_seed(seed)
        tensors, _ = lora(torch.zeros(32, 32))
        save_file({f"{name}.{suffix}": tensor for suffix, tensor in tensors.items()}, folder / f"{file}.safetensors")
    one, other = draw(sd1, LoRA("ink_a")), draw(sd1, LoRA("ink-a"))
    both = draw(sd1, LoRA("ink_a"), LoRA("ink-a"))
    assert np.abs(one - other).max() > 1 and np.abs(both - one).max() > 1

"""Runs in the environment that exports, without visioncraft: from a diffusers folder to a folder of ONNX graphs.

`python script.py SOURCE TARGET PRECISION REFERENCE` prints one JSON object a line: `{"stage": ...}` while it works, at
the end `{"checks": {part: [largest difference, largest number], ...}, "side": ...}` against torch in full precision, or
`{"error": ...}`. Beside TARGET it leaves `reference.png`, a square picture that torch drew as REFERENCE says, in JSON.
"""

import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import onnxruntime
import torch
from safetensors.torch import load_file, save_file

TOKENS = 77
LATENT_SIDE = 16


def say(**message: object) -> None:
    """One line for who started this."""
    print(json.dumps(message), file=sys.__stdout__, flush=True)


def loadable(source: Path, folder: Path) -> Path:
    """The same model as links in `folder`, as the older transformers of this environment reads it.

    A tokenizer as one file is parted into vocabulary and merges, and text encoders saved by transformers 5, which left
    the prefix of their weights' names out, get it back: without it the older one draws random weights and goes on.
    """
    for path in source.rglob("*"):
        place = folder / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.suffix in {".safetensors", ".json", ".txt"}:
            place.symlink_to(path.resolve())
    for whole in folder.glob("tokenizer*/tokenizer.json"):
        if not (whole.parent / "vocab.json").exists():
            model = json.loads(whole.read_text("utf-8"))["model"]
            pairs = (pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"])
            (whole.parent / "vocab.json").write_text(json.dumps(model["vocab"]), "utf-8")
            (whole.parent / "merges.txt").write_text("\n".join(["#version: 0.2", *pairs]) + "\n", "utf-8")
    for weights in folder.glob("text_encoder*/*.safetensors"):
        tensors = load_file(weights)
        if not any(name.startswith("text_model.") for name in tensors):
            weights.unlink()
            bare = ("text_projection.",)
            named = {name if name.startswith(bare) else f"text_model.{name}": value for name, value in tensors.items()}
            save_file(named, weights, metadata={"format": "pt"})
    return folder


def opened(folder: Path) -> Any:
    """The pipeline in full precision."""
    index = json.loads((folder / "model_index.json").read_text("utf-8"))
    xl = index["_class_name"] == "StableDiffusionXLPipeline"
    kind: Any = diffusers.StableDiffusionXLPipeline if xl else diffusers.StableDiffusionPipeline
    variant = None if (folder / "unet" / "diffusion_pytorch_model.safetensors").exists() else "fp16"
    plain = {} if xl else {"safety_checker": None, "requires_safety_checker": False, "feature_extractor": None}
    return kind.from_pretrained(
        folder, torch_dtype=torch.float32, use_safetensors=True, local_files_only=True, variant=variant, **plain
    )


def smaller(target: Path, precision: str) -> None:
    """Convert the text encoders and the denoiser in place: the VAE overflows half precision in many models."""
    parts = sorted(graph for graph in target.glob("*/model.onnx") if not graph.parent.name.startswith("vae"))
    for graph in parts:
        say(stage=f"converting {graph.parent.name} to {precision}")
        (_halve if precision == "fp16" else _quantise)(graph)


def _halve(graph: Path) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(onnx.load(graph), keep_io_types=True)
    _replace(
        graph, lambda path: onnx.save(model, path, save_as_external_data=_large(graph), location="model.onnx_data")
    )


def _quantise(graph: Path) -> None:
    """Weights of matrix products in 8 bits, one scale for each channel; convolutions would be slower, and stay."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    _replace(
        graph,
        lambda path: quantize_dynamic(
            graph,
            path,
            per_channel=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul"],
            use_external_data_format=_large(graph),
        ),
    )


def _replace(graph: Path, write: Callable[[str], object]) -> None:
    with tempfile.TemporaryDirectory(dir=graph.parent.parent) as folder:
        write(str(Path(folder) / graph.name))
        for old in (graph, *graph.parent.glob("*.onnx_data")):
            old.unlink(missing_ok=True)
        for new in Path(folder).iterdir():
            new.rename(graph.parent / new.name)


def _large(graph: Path) -> bool:
    return any(graph.parent.glob("*.onnx_data"))


def checks(pipe: Any, target: Path) -> dict[str, tuple[float, float]]:
    """The largest difference from torch of each part's first output, and the largest number in it."""
    torch.manual_seed(0)
    found = {}
    for part, (inputs, ask) in _questions(pipe).items():
        say(stage=f"checking {part}")
        session = onnxruntime.InferenceSession(
            str(target / part / "model.onnx"), _sleeping_threads(), providers=["CPUExecutionProvider"]
        )
        with torch.no_grad():
            wanted = ask().numpy()
        types = {entry.name: entry.type for entry in session.get_inputs()}
        fed = {name: _as(types[name], value) for name, value in inputs.items()}
        names = [each.name for each in session.get_outputs()]
        first = next((name for name in ("text_embeds", "last_hidden_state") if name in names), names[0])
        (answer,) = session.run([first], fed)
        found[part] = (float(np.abs(answer.astype(np.float32) - wanted).max()), float(np.abs(wanted).max()))
    return found


def _sleeping_threads() -> Any:
    """Options under which threads sleep while they wait: this machine is shared."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _as(kind: str, value: Any) -> Any:
    return value.numpy().astype(
        {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64}.get(kind, np.int32)
    )


def _questions(pipe: Any) -> Mapping[str, tuple[dict[str, Any], Callable[[], Any]]]:
    """Inputs for each part, and torch's answer to them."""
    unet, vae = pipe.unet, pipe.vae
    asked = pipe.tokenizer("a red apple", padding="max_length", max_length=TOKENS, return_tensors="pt")
    ids = asked.input_ids
    latents = torch.randn(1, unet.config.in_channels, LATENT_SIDE, LATENT_SIDE)
    with torch.no_grad():
        steering = pipe.encode_prompt(
            prompt="a red apple", device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
        )[0]
    time, added = torch.tensor(500), _added(pipe)
    unet_inputs = {"sample": latents, "timestep": time, "encoder_hidden_states": steering, **added}
    pixels = torch.rand(1, 3, 8 * LATENT_SIDE, 8 * LATENT_SIDE) * 2 - 1
    first: dict[str, tuple[dict[str, Any], Callable[[], Any]]] = {
        part: ({"input_ids": ids}, partial(_first, getattr(pipe, part), ids))
        for part in ("text_encoder", "text_encoder_2")
        if getattr(pipe, part, None) is not None
    }
    return first | {
        "unet": (unet_inputs, lambda: unet(latents, time, steering, added_cond_kwargs=added or None).sample),
        "vae_decoder": ({"latent_sample": latents}, lambda: vae.decode(latents).sample),
        "vae_encoder": ({"sample": pixels}, lambda: vae.encode(pixels).latent_dist.parameters),
    }


def _first(model: Any, inputs: Any) -> Any:
    return model(inputs)[0]


def _added(pipe: Any) -> dict[str, Any]:
    if pipe.unet.config.addition_embed_type != "text_time":
        return {}
    width = pipe.text_encoder_2.config.projection_dim
    return {"text_embeds": torch.randn(1, width), "time_ids": torch.randint(0, 1024, (1, 6)).float()}


def draw(pipe: Any, reference: dict[str, Any], path: Path) -> int:
    """Draw the reference picture; answers its sides in pixels."""
    reference = dict(reference)
    scheduler: Any = getattr(diffusers, {"ddim": "DDIMScheduler"}[reference.pop("sampler")])
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config, clip_sample=False)
    pipe.set_progress_bar_config(disable=True)
    side = min(512, pipe.unet.config.sample_size * pipe.vae_scale_factor)
    generator = torch.Generator("cpu").manual_seed(reference.pop("seed"))
    pipe(**reference, width=side, height=side, generator=generator).images[0].save(path)
    return int(side)


def main(source: Path, target: Path, precision: str, reference: dict[str, Any]) -> None:
    """Export with Optimum, which puts weights of more than 2 GB beside their graph; convert and check."""
    from optimum.exporters.onnx import onnx_export_from_model

    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        say(stage="loading")
        pipe = opened(loadable(source, Path(folder)))
        say(stage="exporting")
        onnx_export_from_model(pipe, target, do_validation=False, task="text-to-image")
        if precision != "fp32":
            smaller(target, precision)
        found = checks(pipe, target)
        say(stage="drawing with torch")
        say(checks=found, side=draw(pipe, reference, target.parent / "reference.png"))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.stdout = sys.stderr  # libraries print what they like; only `say` speaks to who started this
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))
    except Exception as error:
        say(error=f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300] if str(error).strip() else ''}")
        raise

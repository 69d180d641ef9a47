"""ONNX graphs of the exported weights, for engines without torch: structure only, the numbers stay where they are.

Each graph names its weights as external data (https://github.com/onnx/onnx/blob/main/docs/ExternalData.md) at their
places in the safetensors file beside it, so they are shipped once, in half precision, and widened when a graph loads.
"""

import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import onnx
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel

from visioncraft_mini.plugin import WEIGHTS

OPSET = 18
TOKENS = 77
_STORED = {"F16": onnx.TensorProto.FLOAT16, "F32": onnx.TensorProto.FLOAT, "I64": onnx.TensorProto.INT64}


class Part(nn.Module):
    """One call of a model as a module of its own, as torch exports modules only."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model


class TextEncoder(Part):
    """Token ids to what the denoiser is steered by."""

    def forward(self, input_ids: Tensor) -> Tensor:
        hidden: Tensor = self.model(input_ids).last_hidden_state
        return hidden


class Denoiser(Part):
    """Latents, their timestep and the steering to what the denoiser predicts."""

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> Tensor:
        predicted: Tensor = self.model(sample, timestep, encoder_hidden_states, return_dict=False)[0]
        return predicted


class Decoder(Part):
    """Latents to pixels."""

    def forward(self, latent_sample: Tensor) -> Tensor:
        pixels: Tensor = self.model.decode(latent_sample, return_dict=False)[0]
        return pixels


class Encoder(Part):
    """Pixels to the mean and the logarithm of the variance of their latents."""

    def forward(self, sample: Tensor) -> Tensor:
        moments: Tensor = self.model.quant_conv(self.model.encoder(sample))
        return moments


@dataclass(frozen=True)
class Graph:
    """A graph to write.

    Args:
        file: Its place below the weights' folder.
        weights: The safetensors file beside it.
        module: What it computes.
        inputs: Example inputs by name; a dimension that is given a name there may have any length.
        output: The output's name.
    """

    file: str
    weights: str
    module: Part
    inputs: Mapping[str, tuple[Tensor, Mapping[int, str]]]
    output: str


def graphs(folder: Path) -> Sequence[Graph]:
    """Every graph, under the names that Optimum gives inputs and outputs."""
    text: Any = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    unet: Any = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", torch_dtype=torch.float32)
    vae: Any = AutoencoderKL.from_pretrained(folder, subfolder="vae", torch_dtype=torch.float32)
    batch, picture = {0: "batch"}, {0: "batch", 2: "height", 3: "width"}
    # Sides that cannot be halved thrice, so that the graph has the way of upsampling that any size takes.
    latents = torch.zeros(2, unet.config.in_channels, 34, 38)
    steering = torch.zeros(2, TOKENS, unet.config.cross_attention_dim)
    pixels = torch.zeros(1, 3, 256, 256)
    ids = torch.zeros(1, TOKENS, dtype=torch.int64)
    diffusers_weights = "diffusion_pytorch_model.safetensors"
    return [
        Graph(
            "text_encoder/model.onnx",
            "model.safetensors",
            TextEncoder(text),
            {"input_ids": (ids, batch)},
            "last_hidden_state",
        ),
        Graph(
            "unet/model.onnx",
            diffusers_weights,
            Denoiser(unet),
            {
                "sample": (latents, picture),
                "timestep": (torch.zeros(1), {0: "steps"}),
                "encoder_hidden_states": (steering, batch),
            },
            "out_sample",
        ),
        Graph("vae/decoder.onnx", diffusers_weights, Decoder(vae), {"latent_sample": (latents[:1], picture)}, "sample"),
        Graph("vae/encoder.onnx", diffusers_weights, Encoder(vae), {"sample": (pixels, picture)}, "latent_parameters"),
    ]


def write_graphs(folder: Path) -> None:
    """Write every graph into ``folder``, which holds exported weights."""
    for graph in graphs(folder):
        path = folder / graph.file
        path.write_bytes(_with_weights_beside(_traced(graph), path.with_name(graph.weights)).SerializeToString())


def _traced(graph: Graph) -> onnx.ModelProto:
    """The graph with its weights in it, named as in the checkpoint: folding constants would lose the names."""
    buffer: Any = BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's newer exporter folds them always
        torch.onnx.export(
            graph.module.eval(),
            tuple(value for value, _ in graph.inputs.values()),
            buffer,
            input_names=list(graph.inputs),
            output_names=[graph.output],
            dynamic_axes={name: dict(axes) for name, (_, axes) in graph.inputs.items()},
            opset_version=OPSET,
            dynamo=False,
            do_constant_folding=False,
        )
    return onnx.load_from_string(buffer.getvalue())


def _with_weights_beside(model: onnx.ModelProto, weights: Path) -> onnx.ModelProto:
    """The same graph with every weight read from its place in ``weights`` and widened to single precision."""
    places, start = read_header(weights)
    widened = []
    for tensor in model.graph.initializer:
        name, place = tensor.name, places[tensor.name.removeprefix("model.")]
        first, end = place["data_offsets"]
        tensor.Clear()
        tensor.name, tensor.data_type = f"{name}.stored", _STORED[place["dtype"]]
        tensor.dims.extend(place["shape"])
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", weights.name), ("offset", start + first), ("length", end - first)):
            tensor.external_data.add(key=key, value=str(value))
        to = onnx.TensorProto.INT64 if place["dtype"] == "I64" else onnx.TensorProto.FLOAT
        widened.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=to))
    nodes = [*widened, *model.graph.node]
    for node in nodes:
        node.name, node.doc_string = "", ""  # only for people, and most of the file
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def read_header(weights: Path) -> tuple[dict[str, Any], int]:
    """What a safetensors file holds, by name, and where its first byte of data is."""
    with weights.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(length)), 8 + length


if __name__ == "__main__":
    write_graphs(Path(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS)

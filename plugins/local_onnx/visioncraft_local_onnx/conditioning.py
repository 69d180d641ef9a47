"""What steers the denoiser beside the latents: the encoded prompts, and what XL and consistency models add."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from visioncraft import GenerationRequest

from visioncraft_local_onnx.arrays import Floats
from visioncraft_local_onnx.folder import OnnxFolder, read_json
from visioncraft_local_onnx.sessions import Session
from visioncraft_local_onnx.tokenizer import PromptTokenizer

DTYPES: Mapping[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(double)": np.float64,
}
"""NumPy's types by ONNX's names."""


@dataclass(frozen=True)
class Conditioning:
    """What one request is drawn under.

    Args:
        inputs: For the denoiser, by the names of its inputs; under guidance the negative prompt's rows come first.
        guided: Whether there are two rows, one without and one with the prompt.
    """

    inputs: Mapping[str, Any]
    guided: bool


class PromptEncoder:
    """A model's text encoders with their tokenizers.

    Args:
        folder: The model's.
        sessions: Its open graphs by part.
    """

    def __init__(self, folder: OnnxFolder, sessions: Mapping[str, Session]) -> None:
        self._folder = folder
        self._unet = sessions["unet"]
        self._encoders = [(part, sessions[part]) for part in ("text_encoder", "text_encoder_2") if part in sessions]
        self._tokenizers = {
            part: PromptTokenizer(folder.path / part.replace("text_encoder", "tokenizer")) for part, _ in self._encoders
        }
        index = folder.path / "model_index.json"
        self._zeros_for_empty = not index.is_file() or read_json(index).get("force_zeros_for_empty_prompt", True)

    def untold(self, request: GenerationRequest) -> list[str]:
        """What of a request the denoiser is not told, a sentence each."""
        told = []
        guided = request.guidance_scale > 1 and "timestep_cond" not in self._unet.inputs
        if request.negative_prompt.strip() and not guided:
            told.append("the negative prompt says nothing here: guidance is off at 1 and below")
        texts = {"prompt": request.prompt, "negative prompt": request.negative_prompt if guided else ""}
        for name, text in texts.items():
            if any(tokenizer.cuts(text) for tokenizer in self._tokenizers.values()):
                told.append(f"the end of the {name} was left out: ONNX Runtime reads 77 tokens, local_sd reads all")
        return told

    def encode(self, request: GenerationRequest) -> Conditioning:
        """Both prompts; without guidance only the one that is asked for."""
        # A consistency model that was distilled with guidance is told the scale instead.
        told = "timestep_cond" in self._unet.inputs
        guided = request.guidance_scale > 1 and not told
        inputs = self._both(request) if guided else self._encode(request.prompt)
        rows = 2 if guided else 1
        if "time_ids" in self._unet.inputs:
            size = [request.height, request.width]
            inputs["time_ids"] = np.tile(np.array([[*size, 0, 0, *size]], np.float32), (rows, 1))
        if told:
            width = int(self._folder.unet.get("time_cond_proj_dim") or 256)
            inputs["timestep_cond"] = _scale_embedding(request.guidance_scale - 1, width)
        used = {name: value for name, value in inputs.items() if name in self._unet.inputs}
        return Conditioning({name: self._unet.stay(self._cast(name, value)) for name, value in used.items()}, guided)

    def _both(self, request: GenerationRequest) -> dict[str, Floats]:
        wanted = self._encode(request.prompt)
        if len(self._encoders) > 1 and not request.negative_prompt and self._zeros_for_empty:
            avoided = {name: np.zeros_like(value) for name, value in wanted.items()}  # as XL was trained
        else:
            avoided = self._encode(request.negative_prompt)
        return {name: np.concatenate([avoided[name], value]) for name, value in wanted.items()}

    def _encode(self, text: str) -> dict[str, Floats]:
        if len(self._encoders) == 1:
            part, session = self._encoders[0]
            return {"encoder_hidden_states": self._ask(part, session, text, [_first(session)])[0]}
        hidden, pooled = [], np.empty(0, np.float32)
        for part, session in self._encoders:
            pooled_name = next(name for name in ("text_embeds", "pooler_output") if name in session.outputs)
            states, pooled = self._ask(part, session, text, [_one_before_last(session), pooled_name])
            hidden.append(states)
        return {"encoder_hidden_states": np.concatenate(hidden, axis=-1), "text_embeds": pooled}

    def _ask(self, part: str, session: Session, text: str, outputs: list[str]) -> list[Floats]:
        ids = self._tokenizers[part].ids([text]).astype(DTYPES[session.inputs["input_ids"]])
        return [np.asarray(value, np.float32) for value in session.run(outputs, {"input_ids": ids})]

    def _cast(self, name: str, value: Floats) -> Any:
        return np.ascontiguousarray(value, DTYPES[self._unet.inputs[name]])


def _first(session: Session) -> str:
    return "last_hidden_state" if "last_hidden_state" in session.outputs else session.outputs[0]


def _one_before_last(session: Session) -> str:
    """XL is steered by the encoders' layer before the last; exports number the layers, the input included."""
    layers = [name for name in session.outputs if name.startswith("hidden_states")]
    return sorted(layers, key=lambda name: int(name.rpartition(".")[2]))[-2]


def _scale_embedding(scale: float, width: int) -> Floats:
    """A guidance scale as sines and cosines, as positions are embedded (https://arxiv.org/abs/2303.15343)."""
    half = width // 2
    rates = np.exp(np.arange(half) * (-np.log(10000.0) / (half - 1)))
    angles = scale * 1000.0 * rates
    return np.concatenate([np.sin(angles), np.cos(angles)])[None].astype(np.float32)

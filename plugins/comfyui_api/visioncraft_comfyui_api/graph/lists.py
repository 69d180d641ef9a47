"""What is installed, as ComfyUI's nodes list it: checkpoints, LoRAs, samplers and so on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from visioncraft import ByName, ModelInfo, StoredModel
from visioncraft_diffusion.samplers import SAMPLERS, split_sampler

from visioncraft_comfyui_api.graph.spec import Listed

_SAMPLERS = (
    *("euler", "euler_ancestral", "heun", "dpm_2", "dpm_2_ancestral", "lms", "dpmpp_sde", "dpmpp_sde_gpu", "dpmpp_2m"),
    *("dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm"),
    *("deis", "ddim", "uni_pc_bh2"),
)
_SCHEDULERS = ("normal", "simple", "karras", "exponential", "sgm_uniform", "beta")
_OWN = "the model's own"
_KINDS = {"loras": "lora", "controlnet": "controlnet", "upscale_models": "upscaler", "embeddings": "embedding"}

FOLDERS: dict[str, Listed | None] = {
    "checkpoints": "checkpoints",
    "diffusion_models": "checkpoints",
    "unet": "checkpoints",
    "loras": "loras",
    "controlnet": "controlnet",
    "upscale_models": "upscale_models",
    "vae": "vae",
    "text_encoders": "text_encoders",
    "clip": "text_encoders",
    "embeddings": None,
}
"""Folders of models that ComfyUI's clients ask for."""


@dataclass(frozen=True, slots=True)
class Lists:
    """What a graph may name.

    Args:
        models: Those that can draw now.
        parts: What they draw with beside their own weights.
        images: Names of images that were uploaded.
    """

    models: Sequence[ModelInfo]
    parts: Sequence[StoredModel]
    images: Sequence[str] = ()

    def values(self, kind: Listed) -> list[str]:
        """The values that a node offers."""
        if kind == "checkpoints":
            return [model.id for model in self.models]
        if kind == "samplers":
            return self._samplers()
        if kind == "schedulers":
            return list(_SCHEDULERS)
        if kind == "images":
            return list(self.images)
        return self.stored(kind) if kind in _KINDS else [_OWN]

    def stored(self, folder: str) -> list[str]:
        """The parts of a folder that can be used."""
        return [part.id for part in self._parts(folder)]

    def meaning(self, kind: Listed, value: str) -> str | None:
        """The value of a list that a name means, whatever spelling it is in; None where it means none."""
        if kind == "checkpoints":
            found = ByName(self.models).get(value)
            return found.id if found else None
        if kind in _KINDS:
            part = ByName(self._parts(kind)).get(value)
            return part.id if part else None
        return value if kind == "images" or value in self.values(kind) else None

    def _parts(self, folder: str) -> list[StoredModel]:
        return [part for part in self.parts if part.kind == _KINDS[folder] and not part.trouble]

    def _samplers(self) -> list[str]:
        """Those that some model takes; a model that does not say takes whatever has a name here."""
        told = {split_sampler(name)[0] for model in self.models for name in model.samplers}
        silent = any(not model.samplers and model.kind == "local" for model in self.models)
        known = told | (set(SAMPLERS) if silent else set())
        return [name for name in _SAMPLERS if split_sampler(name)[0] in known]

"""All classes of nodes that are known."""

from __future__ import annotations

from collections.abc import Mapping

from visioncraft_comfyui_api.graph.images import IMAGES
from visioncraft_comfyui_api.graph.parts import PARTS
from visioncraft_comfyui_api.graph.samplers import SAMPLERS
from visioncraft_comfyui_api.graph.spec import NodeClass

KNOWN: Mapping[str, NodeClass] = {**PARTS, **IMAGES, **SAMPLERS}
"""By ComfyUI's name of the class."""

"""Leonardo.ai's models, styles, aspect ratios and quality levels. Ids as in its guides and in its Python SDK 7.0.0."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Family = Literal["phoenix", "flux", "lucid", "other"]


@dataclass(frozen=True, slots=True)
class CloudModel:
    """A model of Leonardo.ai.

    Args:
        id: The UUID that the API wants.
        name, description: For people.
    """

    id: str
    name: str
    description: str

    @property
    def slug(self) -> str:
        """What clients write: `phoenix-1-0`."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def family(self) -> Family:
        """Which rules hold for it."""
        first = re.match(r"(?:leonardo )?(phoenix|flux|lucid)\b", self.name.lower())
        return first[1] if first else "other"  # type: ignore[return-value]

    @property
    def max_seed(self) -> int:
        """The largest seed the API takes."""
        return 2147483637 if self.family == "flux" else 9999999998


@dataclass(frozen=True, slots=True)
class Style:
    """One of the contract's styles.

    Args:
        name, description: For people.
        uuid: Its `styleUUID` for Phoenix, Flux and Lucid, where it has one.
        preset: Its `presetStyle` for the older models, where it has one.
        words: What is added to the prompt where neither applies.
    """

    name: str
    description: str
    words: str
    uuid: str | None = None
    preset: str | None = None


MODELS = (
    CloudModel("de7d3faf-762f-48e0-b3b7-9d0ac3a3fcf3", "Phoenix 1.0", "Universal model for all types of images"),
    CloudModel("6b645e3a-d64f-4341-a6d8-7a3690fbf042", "Phoenix 0.9", "Previous version of Phoenix model"),
    CloudModel("7b592283-e8a7-4c5a-9ba6-d18c31f258b9", "Lucid Origin", "Vivid pictures with legible text"),
    CloudModel("05ce0082-2d80-4a2d-8653-4d1c85e2418e", "Lucid Realism", "Cinematic, realistic pictures"),
    CloudModel("28aeddf8-bd19-4803-80fc-79602d1a9989", "FLUX.1 Kontext", "Pictures by instruction"),
    CloudModel("b2614463-296c-462a-9586-aafdb8f00e36", "Flux Dev", "Precise, follows the prompt closely"),
    CloudModel("1dd50843-d653-4516-a8e3-f0238ee453ff", "Flux Schnell", "Fast drafts"),
    CloudModel("e71a1c2f-4f80-4800-934f-2c68979d8cc8", "Leonardo Anime XL", "Anime and illustration"),
    CloudModel("b24e16ff-06e3-43eb-8d33-4416c2d75876", "Leonardo Lightning XL", "Fast general purpose model"),
    CloudModel("16e7060a-803e-4df3-97ee-edcfa5dc9cc8", "SDXL 1.0", "Stable Diffusion XL"),
    CloudModel("aa77f04e-3eec-4034-9c07-d0f619684628", "Leonardo Kino XL", "Cinematic pictures"),
    CloudModel("5c232a9e-9061-4777-980a-ddc8e65647c6", "Leonardo Vision XL", "Realism and photography"),
    CloudModel("1e60896f-3c26-4296-8ecc-53e2afecc132", "Leonardo Diffusion XL", "General purpose model"),
    CloudModel("2067ae52-33fd-4a82-bb92-c2c55e7d2786", "AlbedoBase XL", "Towards realism and 3D"),
)

STYLES: Mapping[str, Style] = {
    "CREATIVE": Style(
        "Creative", "Balanced creative output", "creative", "6fedbf1f-4a17-45ec-84fb-92fe524a29ef", "CREATIVE"
    ),
    "DYNAMIC": Style(
        "Dynamic", "Lively light and contrast", "dynamic", "111dc692-d470-4eec-b791-3475abac4c46", "DYNAMIC"
    ),
    "ARTISTIC": Style("Artistic", "As painted by hand", "artistic, painterly"),
    "PHOTOGRAPHIC": Style(
        "Photographic",
        "As a colour photograph",
        "professional colour photograph",
        "7c3f932b-a572-47cb-9b9b-f20211e63b5b",
        "PHOTOGRAPHY",
    ),
    "CINEMATIC": Style(
        "Cinematic",
        "As a still from a film",
        "cinematic film still",
        "a5632c7c-ddbb-4e2f-ba34-8456ab3ac436",
        "CINEMATIC",
    ),
    "FANTASY_ART": Style("Fantasy art", "Worlds that are not", "fantasy art"),
    "STEAMPUNK": Style("Steampunk", "Brass, steam and cogwheels", "steampunk"),
    "ANIME": Style("Anime", "As an anime", "anime", preset="ANIME"),
    "COMIC_BOOK": Style("Comic book", "Inked lines and flat colours", "comic book"),
    "3D_RENDER": Style(
        "3D render", "As rendered in 3D", "3D render", "debdf72a-91a4-467b-bf61-cc02bdeb69c6", "RENDER_3D"
    ),
}

ASPECT_RATIOS: Mapping[str, tuple[str, int, int]] = {
    "1:1": ("Square", 1024, 1024),
    "16:9": ("Widescreen", 1344, 768),
    "9:16": ("Tall", 768, 1344),
    "4:3": ("Landscape", 1024, 768),
    "3:4": ("Portrait", 768, 1024),
    "2:3": ("Tall photo", 832, 1216),
    "3:2": ("Wide photo", 1216, 832),
}

QUALITIES: Mapping[str, tuple[str, str]] = {
    "standard": ("Standard", "Good quality, faster generation"),
    "high": ("High", "Better quality, slower and dearer (alchemy)"),
    "ultra": ("Ultra", "Highest resolution and cost"),
}


def find_model(name: str, further: Iterable[CloudModel] = ()) -> CloudModel | None:
    """A model by its slug or its UUID; None where there is no such one."""
    return next((model for model in (*MODELS, *further) if name in (model.slug, model.id)), None)


def catalogue(further: Iterable[CloudModel] = ()) -> dict[str, Any]:
    """What `GET /models` says of Leonardo.ai.

    Args:
        further: Models that the key may use beside those here.
    """
    known = {model.id for model in MODELS}
    models = [*MODELS, *(model for model in further if model.id not in known)]
    return {
        "models": {m.slug: {"id": m.id, "name": m.name, "description": m.description} for m in models},
        "aspect_ratios": [
            {"id": ratio, "name": name, "resolution": [width, height]}
            for ratio, (name, width, height) in ASPECT_RATIOS.items()
        ],
        "preset_styles": [
            {"id": key, "name": style.name, "description": style.description} for key, style in STYLES.items()
        ],
        "quality_levels": [
            {"id": key, "name": name, "description": description} for key, (name, description) in QUALITIES.items()
        ],
    }

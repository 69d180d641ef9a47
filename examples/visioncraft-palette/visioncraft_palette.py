"""An engine with a parameter of its own: `palette` in a request, `--set palette=cold` on the command line."""

from collections.abc import Sequence

import numpy as np
from visioncraft import (
    Defaults,
    GeneratedImage,
    GenerationRequest,
    Generator,
    Limits,
    ModelInfo,
    Parameter,
    Progress,
    encode_png,
    hookimpl,
)

COLOURS = {"warm": (224, 122, 64), "cold": (64, 122, 224), "grey": (128, 128, 128)}
PALETTE = Parameter("palette", text="Colours to draw with", default="warm", choices=tuple(COLOURS))


class Palette(Generator):
    """Draws one colour, darker to the bottom."""

    name = "palette"

    def models(self) -> list[ModelInfo]:
        """One model, which draws in one step and so says that this is its default."""
        return [
            ModelInfo(
                id="palette",
                name="Palette",
                engine="palette",
                licence="MIT",
                limits=Limits(steps=(1, 4)),
                defaults=Defaults(steps=1, guidance_scale=1.0, width=256, height=128),
                parameters=(PALETTE,),
            )
        ]

    def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        """The colour that the request's own parameter names."""
        colour = np.array(COLOURS[str(request.extra["palette"])])
        shade = np.linspace(1.0, 0.5, request.height)[:, None, None]
        pixels = np.broadcast_to(shade * colour, (request.height, request.width, 3)).astype(np.uint8)
        progress.step(1, request.num_inference_steps)
        return GeneratedImage(encode_png(pixels), request.width, request.height, request.seed)


@hookimpl
def visioncraft_generators() -> Sequence[Generator]:
    """The engine."""
    return [Palette()]

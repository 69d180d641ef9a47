import numpy as np
from visioncraft import GeneratedImage, GenerationRequest, Generator, Limits, ModelInfo, Progress, encode_png, hookimpl


class Plasma(Generator):
    """Draws interfering waves; the prompt and the seed choose them."""

    name = "plasma"

    def models(self) -> list[ModelInfo]:
        return [ModelInfo(id="plasma", name="Plasma", engine="plasma", limits=Limits(steps=(1, 50)))]

    def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        random = np.random.default_rng([request.seed, *request.prompt.encode()])
        y, x = np.mgrid[0 : request.height, 0 : request.width] / 64
        waves = np.zeros((request.height, request.width, 3))
        for step in range(request.num_inference_steps):
            angle, phase = random.uniform(0, 2 * np.pi, 2)
            wave = np.sin(x * np.cos(angle) + y * np.sin(angle) + phase)
            waves += wave[..., None] * random.uniform(-1, 1, 3)
            progress.step(step + 1, request.num_inference_steps)
        pixels = (127.5 + 127.5 * np.tanh(waves / 2)).astype(np.uint8)
        return GeneratedImage(encode_png(pixels), request.width, request.height, request.seed)


@hookimpl
def visioncraft_generators() -> list[Generator]:
    return [Plasma()]

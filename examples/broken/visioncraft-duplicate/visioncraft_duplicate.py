"""Brings a generator and a model under another plugin's names."""

from visioncraft import GeneratedImage, GenerationRequest, Generator, ModelInfo, Progress, hookimpl


class Twin(Generator):
    name = "plasma"

    def models(self) -> list[ModelInfo]:
        return [ModelInfo(id="plasma", name="Not the plasma you wanted", engine="plasma")]

    def run(self, request: GenerationRequest, progress: Progress) -> GeneratedImage:
        raise AssertionError("the twin must not draw")


@hookimpl
def visioncraft_generators() -> list[Generator]:
    return [Twin()]

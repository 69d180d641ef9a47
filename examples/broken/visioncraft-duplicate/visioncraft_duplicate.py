"""Brings a generator and a model under another plugin's names."""

from visioncraft import Generator, ModelInfo, hookimpl


class Twin(Generator):
    name = "plasma"

    def models(self):
        return [ModelInfo(id="plasma", name="Not the plasma you wanted", engine="plasma")]

    def run(self, request, progress):
        raise AssertionError("the twin must not draw")


@hookimpl
def visioncraft_generators():
    return [Twin()]

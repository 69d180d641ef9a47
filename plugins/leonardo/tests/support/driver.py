"""The real generator in a process of its own, for one job: what kill -9 of a server leaves behind.

`python driver.py <settings.toml> <job id> <prompt>` prints one line of JSON: the picture's facts, or the error.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from visioncraft.errors import VisionCraftError
from visioncraft.jobs.requests import build_request
from visioncraft.settings import load_settings
from visioncraft_leonardo.generator import LeonardoGenerator
from visioncraft_leonardo.plugin import NAME
from visioncraft_leonardo.settings import LeonardoSettings


class Unwatched:
    """Progress that nobody looks at."""

    cancelled = False

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        """Nothing to do."""

    def stage(self, name: str) -> None:
        """Nothing to do."""


async def main(settings_file: str, job_id: str, prompt: str) -> dict[str, object]:
    from dataclasses import replace

    settings = load_settings(Path(settings_file))
    generator = LeonardoGenerator(settings, settings.plugin(NAME, LeonardoSettings))
    request = replace(build_request(generator.models()[0], prompt, seed=7), job_id=job_id)
    try:
        image = await generator.run(request, Unwatched())
    except VisionCraftError as error:
        return {"error": error.code, "message": error.message}
    return {"width": image.width, "facts": dict(image.facts)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))

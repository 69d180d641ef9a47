"""Against Leonardo.ai itself, for those with a key: `LEONARDO_API_KEY=… pytest -m live`. Costs one small picture."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from visioncraft import GenerationRequest
from visioncraft.settings import PluginsSettings, Settings
from visioncraft_leonardo.generator import LeonardoGenerator
from visioncraft_leonardo.settings import LeonardoSettings

_KEY = os.environ.get("LEONARDO_API_KEY", "")


@pytest.mark.live
def test_leonardo_itself_draws(tmp_path: Path, ask: Callable[..., GenerationRequest], told: Any) -> None:
    assert _KEY, "set LEONARDO_API_KEY"
    settings = Settings(data_dir=tmp_path, plugins=PluginsSettings())
    settings._file = tmp_path / "settings.toml"
    generator = LeonardoGenerator(settings, LeonardoSettings(), api_key=SecretStr(_KEY))
    request = ask("a red apple on a white table", seed=7, num_inference_steps=10)
    first = asyncio.run(generator.run(request, told))
    again = asyncio.run(LeonardoGenerator(settings, LeonardoSettings(), SecretStr(_KEY)).run(request, told))
    assert (first.width, first.seed) == (1024, 7)
    assert first.facts == again.facts, "the second run fetched what the first one paid for"

"""A stand-in of Leonardo.ai on a real socket, and the plugin's generator that speaks to it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

from standin import KEY, StandIn
from standin_http import standing_in
from visioncraft import GenerationRequest
from visioncraft.jobs.requests import build_request
from visioncraft.settings import PluginsSettings, Settings
from visioncraft.testing import Recorder
from visioncraft.types.ids import new_job_id
from visioncraft_leonardo.generator import LeonardoGenerator
from visioncraft_leonardo.settings import LeonardoSettings

QUICK: dict[str, Any] = {
    "request_timeout_s": 5.0,
    "poll_s": 0.002,
    "poll_max_s": 0.01,
    "reconcile_s": 0.2,
    "time_limit_s": 20.0,
    "posts_per_minute": 1_000_000,
    "breaker_failures": 1000,
    "private_hosts": ("127.0.0.1",),
}
"""As the settings are but for the waiting."""


@pytest.fixture
def standin() -> Iterator[StandIn]:
    with standing_in(StandIn(side=64)) as server:
        yield server


@pytest.fixture
def make(tmp_path: Path, standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LeonardoGenerator]:
    """`make(daily_budget=1.0)`: a generator as after a start, on the same ledger as those before it."""
    monkeypatch.delenv("LEONARDO_API_KEY", raising=False)

    def build(key: str | None = KEY, **table: Any) -> LeonardoGenerator:
        if key is not None:
            monkeypatch.setenv("LEONARDO_API_KEY", key)
        config = LeonardoSettings(**{"base_url": standin.base_url, **QUICK, **table})
        settings = Settings(data_dir=tmp_path, plugins=PluginsSettings(config={"leonardo": config.model_dump()}))
        settings._file = tmp_path / "settings.toml"
        return LeonardoGenerator(settings, config)

    return build


@pytest.fixture
def ask() -> Callable[..., GenerationRequest]:
    """`ask("a cat", quality="high")`: a request as the core hands it over, of a job of its own."""

    def build(prompt: str = "a cat", job_id: str | None = None, **fields: Any) -> GenerationRequest:
        model = LeonardoGenerator(Settings(), LeonardoSettings()).models()[0]
        return replace(build_request(model, prompt, **fields), job_id=job_id or new_job_id())

    return build


@pytest.fixture
def told() -> Recorder:
    return Recorder()

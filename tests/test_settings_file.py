"""`settings.toml` at the root is complete and says the truth: every key, with its default."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from visioncraft import PluginSettings, Settings
from visioncraft.settings import load_settings
from visioncraft_comfyui_api.settings import ComfyUISettings
from visioncraft_gallery_fs.settings import GallerySettings
from visioncraft_leonardo.settings import LeonardoSettings
from visioncraft_local_onnx.settings import LocalOnnxSettings
from visioncraft_local_sd.settings import LocalSDSettings, ModelEntry
from visioncraft_metrics.settings import MetricsSettings
from visioncraft_openai_api.settings import OpenAISettings
from visioncraft_web_ui.settings import PageSettings

FILE = Path(__file__).parents[1] / "settings.toml"
TABLES: dict[str, type[PluginSettings]] = {
    "comfyui_api": ComfyUISettings,
    "gallery_fs": GallerySettings,
    "leonardo": LeonardoSettings,
    "local_onnx": LocalOnnxSettings,
    "local_sd": LocalSDSettings,
    "metrics": MetricsSettings,
    "openai_api": OpenAISettings,
    "web_ui": PageSettings,
}


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("VISIONCRAFT_")]:
        monkeypatch.delenv(name)


def keys(table: type[BaseModel]) -> set[str]:
    """Every key of a settings model, dotted."""
    found = set()
    for name, field in table.model_fields.items():
        nested = field.annotation
        below = keys(nested) if isinstance(nested, type) and issubclass(nested, BaseModel) else set()
        found |= {f"{name}.{key}" for key in below} or {name}
    return found


def written(table: dict[str, Any]) -> set[str]:
    """Every key of a TOML table, dotted."""
    found = set()
    for name, value in table.items():
        below = written(value) if isinstance(value, dict) else set()
        found |= {f"{name}.{key}" for key in below} or {name}
    return found


def test_the_file_says_the_defaults() -> None:
    loaded = load_settings(FILE)
    told = loaded.model_dump()
    assert set(told["plugins"].pop("config")) == set(TABLES)
    defaults = Settings().model_dump()
    defaults["plugins"].pop("config")
    assert told == defaults
    for name, table in TABLES.items():
        assert loaded.plugin(name, table) == table()


def test_every_key_is_in_the_file_and_no_secret_is() -> None:
    expected = {key for key in keys(Settings) if key not in ("token", "plugins.config")}
    for name, table in TABLES.items():
        expected |= {f"plugins.config.{name}.{key}" for key in keys(table)}
    assert written(tomllib.loads(FILE.read_text("utf-8"))) == expected


def test_every_key_of_a_model_of_ones_own_is_shown() -> None:
    shown = {line.strip("# ").partition(" =")[0] for line in FILE.read_text("utf-8").splitlines() if " = " in line}
    assert set(ModelEntry.model_fields) <= shown

from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace

from visioncraft_mini import plugin

PACKAGE = Path(plugin.__file__).parent


def test_the_package_stays_under_60_megabytes() -> None:
    assert sum(path.stat().st_size for path in PACKAGE.rglob("*") if path.is_file()) < 60_000_000


def test_the_weights_are_safetensors_and_no_pickles() -> None:
    names = [path.name for path in plugin.WEIGHTS.rglob("*") if path.is_file()]
    assert sum(name.endswith(".safetensors") for name in names) == 3
    assert all(name.endswith((".safetensors", ".json", ".txt", ".onnx")) for name in names)


def test_every_source_has_its_licence_in_the_package() -> None:
    notice = (PACKAGE / "licences" / "NOTICE.txt").read_text("utf-8")
    for name in ("fluent-emoji.txt", "lobehub-fluent-emoji-3d.txt", "emojibase-data.txt", "emojilib.txt"):
        assert name in notice
        text = (PACKAGE / "licences" / name).read_text("utf-8")
        assert "Copyright (c)" in text
        assert "Permission is hereby granted, free of charge" in text


def test_the_plugin_lists_one_model_with_its_limits() -> None:
    (model,) = plugin.visioncraft_models(SimpleNamespace())  # type: ignore[arg-type]
    assert (model.id, model.engine, model.kind) == ("visioncraft-mini", "diffusers", "local")
    assert model.available
    assert Path(str(model.source)) == plugin.WEIGHTS
    assert model.limits.steps == (1, 50)
    assert model.limits.size_multiple == 32


def test_the_entry_point_names_the_plugin() -> None:
    (found,) = [point for point in entry_points(group="visioncraft") if point.name == "mini"]
    assert found.value == "visioncraft_mini.plugin"

"""Which models are listed, from where, and whether they can draw."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from visioncraft import ConfigurationError, Limits, Settings
from visioncraft.testing import PATIENCE_S
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.settings import LocalSDSettings
from visioncraft_local_sd.weights.checkpoints import _DATA, Checkpoint

Make = Callable[..., LocalSD]


def listed(local: LocalSD) -> dict[str, Any]:
    return {info.id: info for info in local.models()}


def cache(folder: Path, repository: str, hf: Path) -> Path:
    root = hf / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("0123abc")
    return Path(shutil.copytree(folder, root / "snapshots" / "0123abc"))


def test_stable_diffusion_is_listed_with_the_contracts_facts_and_the_command_that_fetches_it(
    generator_for: Make,
) -> None:
    info = listed(generator_for())["stable-diffusion-1.5"]
    assert (info.name, info.quality, info.vram_required) == ("Stable Diffusion 1.5", "Excellent", "4-6GB")
    assert info.description == "High-quality general purpose model"
    assert info.limits == Limits((15, 50), (1.0, 20.0), 8, (64, 64), (1024, 1024))
    assert (info.available, info.suggestion) == (False, "visioncraft models pull stable-diffusion-1.5")


@pytest.mark.parametrize(
    "repository", ["stable-diffusion-v1-5/stable-diffusion-v1-5", "runwayml/stable-diffusion-v1-5"]
)
def test_stable_diffusion_in_the_hugging_face_cache_can_draw(
    generator_for: Make, sd1: Path, tmp_path: Path, repository: str, ask: Any, recorder: Any
) -> None:
    snapshot = cache(sd1, repository, tmp_path / "hf")
    local = generator_for()
    info = listed(local)["stable-diffusion-1.5"]
    assert (info.available, info.source, info.suggestion) == (True, str(snapshot), None)
    assert local.run(ask(snapshot), recorder()).width == 64


def test_a_half_downloaded_cache_is_not_offered(generator_for: Make, sd1: Path, tmp_path: Path) -> None:
    snapshot = cache(sd1, "stable-diffusion-v1-5/stable-diffusion-v1-5", tmp_path / "hf")
    (snapshot / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    assert listed(generator_for())["stable-diffusion-1.5"].available is False


def test_folders_and_files_of_the_models_folder_are_listed_by_their_names(
    generator_for: Make, sd1: Path, sdxl: Path, tmp_path: Path
) -> None:
    models = tmp_path / "data" / "models"
    shutil.copytree(sd1, models / "My Painter v1.2")
    shutil.copytree(sdxl, models / "large")
    (models / "old.ckpt").write_bytes(b"pickle")
    (models / "notes.md").write_text("not a model")
    found = listed(generator_for())
    assert set(found) == {"my-painter-v1.2", "large", "old", "stable-diffusion-1.5"}
    assert found["large"].limits.max_resolution == (2048, 2048)
    assert found["old"].available is False
    assert "convert it to .safetensors" in str(found["old"].suggestion)


def test_a_model_named_in_settings_keeps_its_name_and_hides_another_of_its_id(
    generator_for: Make, sd1: Path, tmp_path: Path
) -> None:
    shutil.copytree(sd1, tmp_path / "data" / "models" / "painter")
    local = generator_for(models={"painter": {"path": str(sd1), "name": "The Painter", "description": "Paints."}})
    found = [info for info in local.models() if info.id == "painter"]
    assert [(info.name, info.description, info.source) for info in found] == [("The Painter", "Paints.", str(sd1))]


def test_a_models_folder_set_in_settings_is_used(generator_for: Make, sd1: Path, tmp_path: Path) -> None:
    shutil.copytree(sd1, tmp_path / "elsewhere" / "painter")
    assert "painter" in listed(generator_for(models_dir=str(tmp_path / "elsewhere")))


def test_a_hub_id_cannot_become_a_path(generator_for: Make) -> None:
    library = generator_for()._library
    for repository in ("../../etc", "/etc/passwd", "a/b/c", "a\\b/c", "..", "a/..%2f"):
        assert library.cached(repository) is None


@pytest.mark.parametrize(
    ("family", "counts"),
    [  # the published checkpoints' own numbers of parameters
        ("sd1", {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480}),
        ("sd2", {"unet": 865_910_724, "vae": 83_653_863, "text_encoder": 340_387_840}),
        (
            "sdxl",
            {
                "unet": 2_567_463_684,
                "vae": 83_653_863,
                "text_encoder": 123_060_480,
                "text_encoder_2": 694_659_840,
            },
        ),
    ],
)
def test_the_packaged_configurations_build_the_published_architectures(family: Any, counts: dict[str, int]) -> None:
    import diffusers
    import torch
    import transformers

    packaged = Checkpoint(Path("x.safetensors"), family, _DATA / family, None, {})
    classes = {"unet": diffusers.UNet2DConditionModel, "vae": diffusers.AutoencoderKL}
    for part, count in counts.items():
        config = packaged.config(part)
        with torch.device("meta"):
            if part in classes:
                model = classes[part].from_config(config)
            else:
                model = getattr(transformers, config["architectures"][0])(transformers.CLIPTextConfig(**config))
        assert sum(weight.numel() for weight in model.parameters()) == count


def test_the_tokenizer_gives_the_ids_that_clip_was_trained_with() -> None:
    from visioncraft_local_sd.loading.clip_tokenizer import clip_tokenizer

    tokenizer = clip_tokenizer()
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert len(tokenizer) == 49408
    assert clip_tokenizer("!")("a", padding="max_length", max_length=5).input_ids == [49406, 320, 49407, 0, 0]


def test_listing_and_status_import_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from visioncraft import Settings\n"
        "from visioncraft_local_sd.plugin import visioncraft_generators\n"
        f"[local] = visioncraft_generators(Settings(data_dir=Path({str(tmp_path)!r})))\n"
        "local.models(); local.status(); local.unload(local.models()[0]); local.close()\n"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules), 'heavy'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_wrong_setting_is_named_with_its_key() -> None:
    settings = Settings.model_validate({"plugins": {"config": {"local_sd": {"devise": "cuda"}}}})
    with pytest.raises(ConfigurationError, match=r"plugins\.config\.local_sd\.devise.*'device'"):
        settings.plugin("local_sd", LocalSDSettings)


def test_half_precision_on_a_cpu_is_refused_with_what_to_use() -> None:
    with pytest.raises(ValueError, match="use auto, bf16 or fp32"):
        LocalSDSettings(device="cpu", dtype="fp16")


@pytest.mark.parametrize(
    ("entry", "steps", "guidance"),
    [
        ({}, (1, 150), (0.0, 30.0)),
        ({"steps": [1, 8]}, (1, 8), (0.0, 30.0)),
        ({"steps": [4, 4], "guidance_scale": [0, 2]}, (4, 4), (0.0, 2.0)),
    ],
)
def test_a_model_of_ones_own_takes_few_steps_and_little_guidance_or_what_settings_say(
    generator_for: Make,
    sd1: Path,
    tmp_path: Path,
    entry: dict[str, Any],
    steps: tuple[int, int],
    guidance: tuple[float, float],
) -> None:
    shutil.copytree(sd1, tmp_path / "data" / "models" / "swift")
    limits = listed(generator_for(models={"swift": entry}))["swift"].limits
    assert (limits.steps, limits.guidance_scale) == (steps, guidance)


def test_the_contracts_model_keeps_the_contracts_limits_wherever_its_weights_lie(
    generator_for: Make, sd1: Path, tmp_path: Path
) -> None:
    shutil.copytree(sd1, tmp_path / "data" / "models" / "Stable-Diffusion-1.5")
    info = listed(generator_for())["stable-diffusion-1.5"]
    assert (info.available, info.limits.steps, info.limits.guidance_scale) == (True, (15, 50), (1.0, 20.0))
    said = listed(generator_for(models={"stable-diffusion-1.5": {"steps": [1, 60]}}))["stable-diffusion-1.5"]
    assert said.limits.steps == (1, 60)


@pytest.mark.parametrize("entry", [{"steps": [0, 8]}, {"steps": [8, 1]}, {"guidance_scale": [2, 101]}])
def test_limits_that_cannot_be_kept_are_refused_at_the_start(entry: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="within"):
        LocalSDSettings(models={"swift": entry})


def test_a_distilled_model_draws_in_the_steps_that_it_was_made_for(
    generator_for: Make, sd1: Path, tmp_path: Path, recorder: Any
) -> None:
    from visioncraft.jobs.requests import build_request

    shutil.copytree(sd1, tmp_path / "data" / "models" / "swift")
    local = generator_for()
    swift = listed(local)["swift"]
    for steps, guidance in ((1, 0.0), (4, 1.5)):
        asked: dict[str, Any] = {"num_inference_steps": steps, "guidance_scale": guidance, "sampler": "lcm"}
        assert local.run(build_request(swift, "a red apple", width=64, height=64, **asked), recorder()).width == 64

"""Memory: predicted, kept within its budget, and survived when it runs out."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from visioncraft import InsufficientVRAM
from visioncraft_local_sd import generator as generator_module
from visioncraft_local_sd.device.memory import MODES, Footprint, footprint
from visioncraft_local_sd.generator import LocalSD
from visioncraft_local_sd.weights.checkpoints import _DATA, Checkpoint, read_checkpoint

Make = Callable[..., LocalSD]
SD15 = {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480}
SDXL = {**SD15, "unet": 2_567_463_684, "text_encoder_2": 694_659_840}


def on_cuda(family: Any, parameters: dict[str, int]) -> Footprint:
    """What a published checkpoint takes in fp16 on a GPU."""
    return footprint(Checkpoint(Path("x"), family, _DATA / family, None, parameters), "cuda", 2, 2, 2)


def loaded(local: LocalSD) -> list[str]:
    return list(local.status().loaded_models)


def test_the_estimate_of_stable_diffusion_is_what_its_users_see() -> None:
    needs = on_cuda("sd1", SD15).required_gb(512, 512, "full")
    assert 2.3 < needs < 3.5  # 2.0 GB of weights, and about a picture's work
    assert on_cuda("sd1", SD15).required_gb(1024, 1024, "full") > needs + 1
    assert 6.5 < on_cuda("sdxl", SDXL).required_gb(1024, 1024, "full") < 10


def test_each_mode_needs_less_than_the_one_before() -> None:
    for family, parameters in (("sd1", SD15), ("sdxl", SDXL)):
        needs = [on_cuda(family, parameters).required_gb(1024, 1024, mode) for mode in MODES]
        assert needs == sorted(needs, reverse=True)
        assert len(set(needs)) == len(MODES)


@pytest.mark.parametrize(("free", "mode"), [(12.0, "full"), (8.0, "slicing"), (6.2, "offload"), (1.5, "sequential")])
def test_the_fastest_mode_that_fits_a_gpus_free_memory_is_chosen(
    generator_for: Make, monkeypatch: pytest.MonkeyPatch, free: float, mode: str
) -> None:
    monkeypatch.setattr(generator_module, "free_gb", lambda device: free)
    local = generator_for(device="cuda", memory_budget_gb=100)
    assert local._choose_mode(on_cuda("sdxl", SDXL), 1024) == mode


def test_a_gpu_too_small_for_any_mode_is_said_before_anything_loads(
    generator_for: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator_module, "free_gb", lambda device: 0.5)
    local = generator_for(device="cuda", memory_budget_gb=100)
    with pytest.raises(InsufficientVRAM, match="VRAM") as caught:
        local._choose_mode(on_cuda("sdxl", SDXL), 1024)
    assert caught.value.vram_available == 0.5 < caught.value.vram_required


def test_a_mode_set_in_settings_is_the_only_one_tried(generator_for: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator_module, "free_gb", lambda device: 100.0)
    local = generator_for(device="cuda", memory_mode="offload", memory_budget_gb=100)
    assert local._choose_mode(on_cuda("sd1", SD15), 512) == "offload"


def test_offload_and_slices_are_asked_of_diffusers_for_the_gpu() -> None:
    from unittest.mock import MagicMock

    from visioncraft_local_sd.loading.load import _place

    for mode, called in (("offload", "enable_model_cpu_offload"), ("sequential", "enable_sequential_cpu_offload")):
        pipe = MagicMock()  # stands for a pipeline on a GPU
        pipe.vae.config.block_out_channels = (1, 2, 3, 4)
        _place(pipe, "cuda", mode)  # type: ignore[arg-type]
        getattr(pipe, called).assert_called_once_with(device="cuda")
        pipe.to.assert_not_called()
        assert (pipe.vae.tile_sample_min_size, pipe.vae.tile_latent_min_size) == (512, 64)
        assert pipe.enable_attention_slicing.called == (mode == "sequential")


def test_the_least_recently_used_model_leaves_when_the_budget_is_full(
    generator_for: Make, sd1: Path, ask: Any, recorder: Any
) -> None:
    size = footprint(read_checkpoint(sd1), "cpu", 4, 4, 4).resident_gb("full")
    local = generator_for(memory_budget_gb=2.5 * size)
    for model_id in ("one", "two", "one", "three"):
        local.run(ask(sd1, model_id=model_id), recorder())
    assert loaded(local) == ["three", "one"]
    local.run(ask(sd1, model_id="two"), recorder())
    assert loaded(local) == ["two", "three"]


def test_a_model_that_is_drawing_is_not_evicted(generator_for: Make, sd1: Path, ask: Any, recorder: Any) -> None:
    size = footprint(read_checkpoint(sd1), "cpu", 4, 4, 4).resident_gb("full")
    local = generator_for(memory_budget_gb=1.5 * size, concurrency=2)

    def try_another(step: int) -> None:
        if step == 2:
            with pytest.raises(InsufficientVRAM):
                local.run(ask(sd1, model_id="two"), recorder())

    local.run(ask(sd1, model_id="one"), recorder(on_step=try_another))
    assert loaded(local) == ["one"]
    local.run(ask(sd1, model_id="two"), recorder())
    assert loaded(local) == ["two"]


def test_a_picture_that_cannot_fit_is_refused_before_its_first_step(
    generator_for: Make, sd1: Path, ask: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = generator_for()
    local.load(ask(sd1).model, recorder())
    monkeypatch.setattr(generator_module, "free_gb", lambda device: 0.06)
    progress = recorder()
    with pytest.raises(InsufficientVRAM, match="Not enough memory") as caught:
        local.run(ask(sd1, width=1024, height=1024), progress)
    assert caught.value.vram_required > caught.value.vram_available
    assert (progress.steps, progress.stages) == ([], [])
    monkeypatch.undo()
    assert local.run(ask(sd1), recorder()).width == 64


def test_a_picture_that_fits_in_tiles_only_is_drawn_in_tiles(
    generator_for: Make, sd1: Path, ask: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from visioncraft_local_sd.device import memory
    from visioncraft_local_sd.images import vae_decoder

    monkeypatch.setattr(memory, "TILE", 64)
    monkeypatch.setattr(vae_decoder, "TILE", 64)
    local = generator_for()
    with local._held(ask(sd1).model, recorder()) as model:
        estimate = model.footprint
    between = (estimate.working_gb(160, 128, "full") + estimate.working_gb(160, 128, "slicing")) / 2
    monkeypatch.setattr(generator_module, "free_gb", lambda device: between)
    image = local.run(ask(sd1, width=160, height=128), recorder())
    assert (image.width, image.height, image.facts["memory_mode"]) == (160, 128, "slicing")


@pytest.mark.parametrize("kind", ["torch", "python", "allocator"])
def test_after_running_out_of_memory_in_the_middle_nothing_is_kept_and_the_next_picture_is_drawn(
    generator_for: Make, sd1: Path, ask: Any, recorder: Any, kind: str
) -> None:
    import torch

    errors = {
        "torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        "python": MemoryError(),
        "allocator": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    }
    local = generator_for()
    local.run(ask(sd1, model_id="idle"), recorder())
    local.load(ask(sd1, model_id="busy").model, recorder())
    held: list[weakref.ref[Any]] = []

    with local._held(ask(sd1, model_id="busy").model, recorder()) as model:
        watch = model.pipe.unet.register_forward_hook(lambda *call: held.append(weakref.ref(call[2][0])))

    def run_out(step: int) -> None:
        if step == 2:
            raise errors.pop(kind)

    with pytest.raises(InsufficientVRAM) as caught:
        local.run(ask(sd1, model_id="busy", sampler="euler"), recorder(on_step=run_out))
    watch.remove()
    assert caught.value.vram_required > 0
    assert len(held) == 2
    assert [ref() for ref in held] == [None, None]
    assert loaded(local) == ["busy"]
    assert local.run(ask(sd1, model_id="busy"), recorder()).width == 64


def test_running_out_of_memory_while_loading_leaves_nothing_loaded(
    generator_for: Make, sd1: Path, ask: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from visioncraft_local_sd.loading import load as loading

    def run_out(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    local = generator_for()
    with monkeypatch.context() as patch:
        patch.setattr(loading, "_place", run_out)
        with pytest.raises(InsufficientVRAM):
            local.load(ask(sd1).model, recorder())
    assert loaded(local) == []
    assert local.run(ask(sd1), recorder()).width == 64


def test_other_errors_of_a_generation_pass_unchanged(generator_for: Make, sd1: Path, ask: Any, recorder: Any) -> None:
    def fail(step: int) -> None:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        generator_for().run(ask(sd1), recorder(on_step=fail))


def test_unload_and_close_give_the_weights_back(generator_for: Make, sd1: Path, ask: Any, recorder: Any) -> None:
    local = generator_for()
    weights = []
    for model_id in ("one", "two"):
        with local._held(ask(sd1, model_id=model_id).model, recorder()) as model:
            weights.append(weakref.ref(model.pipe.unet))
    del model
    local.unload(ask(sd1, model_id="one").model)
    assert (weights[0](), loaded(local)) == (None, ["two"])
    local.close()
    assert (weights[1](), loaded(local)) == (None, [])


def test_unloading_a_model_that_is_drawing_waits_for_its_picture(
    generator_for: Make, sd1: Path, ask: Any, recorder: Any
) -> None:
    local = generator_for()
    request = ask(sd1)
    image = local.run(request, recorder(on_step=lambda step: local.unload(request.model)))
    assert image.width == 64
    assert loaded(local) == []

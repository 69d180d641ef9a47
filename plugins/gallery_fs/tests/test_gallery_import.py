"""Taking in pictures of other programs and of other galleries."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin
from visioncraft import ImageRecord, Marks, decode_png, read_record
from visioncraft.settings import Settings
from visioncraft_gallery_fs import importing
from visioncraft_gallery_fs.commands import gallery_group
from visioncraft_gallery_fs.foreign import a1111, comfyui, invokeai
from visioncraft_gallery_fs.store import GalleryStore

Draw = Callable[..., tuple[ImageRecord, bytes]]

A1111 = (
    "masterpiece, a (red:1.2) apple, <lora:x:1>\nsecond line\nNegative prompt: blurry,\nlow quality\n"
    "Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 1234567890, Size: 64x48, "
    'Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Lora hashes: "x: 1a2b, y: 3c4d", Version: v1.10.1'
)
COMFY: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": ["11", 0],
            "steps": 20,
            "cfg": 8.0,
            "sampler_name": "dpmpp_2m",
            "scheduler": "karras",
            "denoise": 1,
            "model": ["4", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15\\dreamshaper_8.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 48, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red apple", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "watermark", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
    "11": {"class_type": "PrimitiveInt", "inputs": {"seed": 156680208700286}},
}
FLUX: dict[str, Any] = {
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["11", 0]}},
    "12": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.safetensors"}},
    "13": {
        "class_type": "SamplerCustomAdvanced",
        "inputs": {
            "noise": ["25", 0],
            "guider": ["22", 0],
            "sampler": ["16", 0],
            "sigmas": ["17", 0],
            "latent_image": ["27", 0],
        },
    },
    "16": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
    "17": {"class_type": "BasicScheduler", "inputs": {"scheduler": "simple", "steps": 4, "model": ["12", 0]}},
    "22": {"class_type": "BasicGuider", "inputs": {"model": ["12", 0], "conditioning": ["26", 0]}},
    "25": {"class_type": "RandomNoise", "inputs": {"noise_seed": 219670278747233}},
    "26": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["6", 0]}},
    "27": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 64, "height": 48}},
}
INVOKE = {
    "app_version": "5.6.0",
    "generation_mode": "txt2img",
    "positive_prompt": "landscape",
    "negative_prompt": "low quality",
    "width": 64,
    "height": 48,
    "seed": 356120443,
    "cfg_scale": 7.5,
    "steps": 50,
    "scheduler": "dpmpp_2m_sde_k",
    "model": {"key": "k", "hash": "h", "name": "Dreamshaper 8", "base": "sd-1", "type": "main"},
}
INVOKE_2 = {
    "model_weights": "stable-diffusion-1.5",
    "image": {
        "prompt": [{"prompt": "a castle [ugly] on a hill", "weight": 1.0}],
        "steps": 30,
        "cfg_scale": 7.5,
        "seed": 42,
        "sampler": "k_euler_a",
    },
}
PIXELS = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def write_png(file: Path, **texts: str) -> bytes:
    """As other programs write it, with Pillow."""
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS).save(file, pnginfo=info)
    return file.read_bytes()


def take_in(store: GalleryStore, folder: Path) -> importing.Imported:
    tally = importing.Imported()
    for _ in importing.import_files(store, importing.picture_files(folder), tally):
        pass
    return tally


def run_import(root: Path, folder: Path) -> int:
    with pytest.raises(SystemExit) as ended:
        gallery_group(lambda: GalleryStore(root), Settings()).main(args=["import", str(folder)], prog_name="gallery")
    return int(ended.value.code or 0)


def the_only_one(store: GalleryStore) -> ImageRecord:
    (record,) = store.list(5).items
    return record


def test_a_picture_of_automatic1111_keeps_its_parameters_its_pixels_and_its_own_text(
    store: GalleryStore, tmp_path: Path
) -> None:
    file = tmp_path / "in/sub/00001-1.png"
    write_png(file, parameters=A1111)
    os.utime(file, (0, datetime(2024, 2, 7, 12, 34, 56, tzinfo=UTC).timestamp()))
    assert take_in(store, tmp_path / "in").added == {"automatic1111": 1}
    record = the_only_one(store)
    assert record.prompt == "masterpiece, a (red:1.2) apple, <lora:x:1>\nsecond line"
    assert record.negative_prompt == "blurry,\nlow quality"
    assert (record.model, record.seed, record.generator) == ("v1-5-pruned-emaonly", 1234567890, "automatic1111")
    assert record.parameters == {
        "prompt": record.prompt,
        "num_inference_steps": 25,
        "guidance_scale": 6.5,
        "sampler": "DPM++ 2M Karras",
        "width": 64,
        "height": 48,
    }
    assert record.facts["Lora hashes"] == "x: 1a2b, y: 3c4d"
    assert record.created_at == datetime(2024, 2, 7, 12, 34, 56, tzinfo=UTC)
    kept = store.open(record.id)
    assert np.array_equal(decode_png(kept), PIXELS)
    assert read_record(kept) == record
    (found,) = store.root.rglob(record.filename)
    with Image.open(found) as picture:
        assert picture.text["parameters"] == A1111  # type: ignore[attr-defined]


def test_a_jpeg_of_automatic1111_comes_in_with_the_same_pixels(store: GalleryStore, tmp_path: Path) -> None:
    for number, order in enumerate(("utf-16-be", "utf-16-le")):
        exif = Image.Exif()
        text = A1111.replace("1234567890", str(number)).encode(order)
        exif[ExifTags.IFD.Exif] = {ExifTags.Base.UserComment: b"UNICODE\0" + text}
        file = tmp_path / f"in/{number}.{('jpg', 'webp')[number]}"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(PIXELS).save(file, exif=exif)
    assert take_in(store, tmp_path / "in").added == {"automatic1111": 2}
    for record in store.list(5).items:
        assert record.parameters["num_inference_steps"] == 25
        with Image.open(tmp_path / "in" / record.facts["imported"]["file"]) as original:
            assert np.array_equal(decode_png(store.open(record.id)), np.asarray(original.convert("RGB")))


@pytest.mark.parametrize(
    ("texts", "prompt", "negative", "model", "seed", "steps", "sampler"),
    [
        (
            {"prompt": json.dumps(COMFY), "workflow": "{}"},
            "a red apple",
            "watermark",
            "dreamshaper_8",
            156680208700286,
            20,
            "dpmpp_2m_karras",
        ),
        ({"prompt": json.dumps(FLUX)}, "a fox", "", "flux1-dev", 219670278747233, 4, "euler"),
        (
            {"invokeai_metadata": json.dumps(INVOKE)},
            "landscape",
            "low quality",
            "Dreamshaper 8",
            356120443,
            50,
            "dpmpp_2m_sde_k",
        ),
        (
            {"invokeai_metadata": json.dumps(INVOKE | {"model": {"model_name": "old"}})},
            "landscape",
            "low quality",
            "old",
            356120443,
            50,
            "dpmpp_2m_sde_k",
        ),
        (
            {"sd-metadata": json.dumps(INVOKE_2)},
            "a castle  on a hill",
            "ugly",
            "stable-diffusion-1.5",
            42,
            30,
            "k_euler_a",
        ),
    ],
)
def test_other_programs_pictures_come_in_with_their_parameters(
    texts: dict[str, str],
    prompt: str,
    negative: str,
    model: str,
    seed: int,
    steps: int,
    sampler: str,
    store: GalleryStore,
    tmp_path: Path,
) -> None:
    write_png(tmp_path / "in/a.png", **texts)
    assert take_in(store, tmp_path / "in").skipped == []
    record = the_only_one(store)
    assert (record.prompt, record.negative_prompt, record.model, record.seed) == (prompt, negative, model, seed)
    assert (record.parameters["num_inference_steps"], record.parameters["sampler"]) == (steps, sampler)


def test_a_picture_is_taken_once_whatever_its_name_even_by_a_rebuilt_index(
    store: GalleryStore, root: Path, tmp_path: Path
) -> None:
    content = write_png(tmp_path / "in/a.png", parameters=A1111)
    (tmp_path / "in/b.png").write_bytes(content)
    assert (take_in(store, tmp_path / "in").added.total(), take_in(store, tmp_path / "in").known) == (1, 2)
    store.close()
    (root / "index.sqlite3").unlink()
    store.start()
    assert take_in(store, tmp_path / "in").known == 2
    assert store.count() == 1


def test_pictures_of_another_gallery_of_ours_keep_id_bytes_and_marks(
    store: GalleryStore, tmp_path: Path, draw: Draw
) -> None:
    other = GalleryStore(tmp_path / "other")
    other.start()
    record, png = draw()
    other.save(record, png)
    other.mark(record.id, Marks(("fruit",), True, 5, "mine"))
    other.close()
    assert take_in(store, other.root).added == {"visioncraft": 1}
    assert store.get(record.id) == replace(record, marks=Marks(("fruit",), True, 5, "mine"))
    assert store.open(record.id) == png
    assert take_in(store, other.root).known == 1
    (found,) = other.root.rglob("*.png")
    found.write_bytes(png.replace(b"\0\0\0\0IEND", b"\0\0\0\0IEND") + b"more")
    (sentence,) = take_in(store, other.root).skipped
    assert f"{found}: the gallery has {record.id} with other content" in sentence


def test_torn_foreign_and_plain_files_are_reported_by_name_and_the_rest_comes_in(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    whole = write_png(folder / "whole.png", parameters=A1111)
    (folder / "torn.png").write_bytes(whole[:-500])
    flipped = bytearray(whole)
    flipped[-200] ^= 1
    (folder / "flipped.png").write_bytes(flipped)
    (folder / "text.png").write_text("no picture")
    (folder / "empty.jpg").write_bytes(b"")
    write_png(folder / "holiday.png")
    (folder / "notes.txt").write_text("not even asked")
    (folder / "link.png").symlink_to("/dev/zero")
    assert run_import(root, folder) == 0
    shown = capsys.readouterr()
    assert shown.out == "1 pictures imported (1 of automatic1111), 0 were here already, 5 files skipped\n"
    for name in ("torn.png", "flipped.png", "text.png", "empty.jpg", "holiday.png"):
        assert f"Skipped {folder / name}: " in shown.err
    assert "notes.txt" not in shown.err and "link.png" not in shown.err
    assert "Importing pictures" in shown.err and "Traceback" not in shown.err


def test_an_import_that_was_cut_off_goes_on_where_it_ended(
    store: GalleryStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        write_png(tmp_path / f"in/{number}.png", parameters=A1111.replace("1234567890", str(number)))
    save, saves = GalleryStore.save, iter(range(2))

    def cut_off(self: GalleryStore, record: ImageRecord, png: bytes) -> ImageRecord:
        if next(saves, None) is None:
            raise KeyboardInterrupt
        return save(self, record, png)

    with monkeypatch.context() as patched:
        patched.setattr(GalleryStore, "save", cut_off)
        assert run_import(root, tmp_path / "in") == 130
    shown = capsys.readouterr()
    assert shown.out.startswith("2 pictures imported") and "the same command goes on from here" in shown.err
    assert run_import(root, tmp_path / "in") == 0
    assert capsys.readouterr().out.startswith("3 pictures imported (3 of automatic1111), 2 were here already")
    assert store.count() == 5


NONSENSE = ["", "{}", "[]", "null", '{"a": 1}', '{"image": 5}', "Steps: x", "Steps: 1e400, Seed: 1e400", "[" * 50_000]
NONSENSE += ['{"1": {"inputs": {"samples": ["1", 0], "seed": {}, "positive": ["1", 0], "steps": [1]}}}']
NONSENSE += [
    '{"positive_prompt": 5, "seed": "x", "steps": [], "model": 7}',
    "Steps: 20",
    'Steps: 20, A: "unclosed, B: 3',
]


@pytest.mark.parametrize("text", NONSENSE, ids=lambda text: text[:20])
def test_no_text_that_other_programs_may_leave_is_an_error(text: str) -> None:
    for name in ("parameters", "prompt", "invokeai_metadata", "sd-metadata"):
        for reader in (a1111.read, comfyui.read, invokeai.read):
            found = reader({name: text})
            assert found is None or json.dumps([dict(found.parameters), dict(found.facts), found.seed])


def test_a_prompt_that_speaks_of_negative_prompts_is_split_at_the_last_line_that_begins_so() -> None:
    found = a1111.read({"parameters": "write Negative prompt: here\nNegative prompt: a\nSteps: 20, Seed: 1"})
    assert found is not None
    assert (found.prompt, found.negative_prompt, found.seed) == ("write Negative prompt: here", "a", 1)

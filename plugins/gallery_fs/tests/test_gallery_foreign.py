"""What AUTOMATIC1111, ComfyUI and InvokeAI wrote into their pictures is read."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from foreign_files import A1111, COMFY, FLUX, INVOKE, INVOKE_2, PIXELS, add_missing, the_only_one, write_png
from PIL import ExifTags, Image
from visioncraft import FACT_ORIGINAL_SEED, decode_png, read_record
from visioncraft_gallery_fs.store import GalleryStore
from visioncraft_gallery_fs.transfer.foreign import a1111, comfyui, invokeai
from visioncraft_gallery_fs.transfer.foreign.metadata import HalfUnderstood


def test_a_picture_of_automatic1111_keeps_its_parameters_its_pixels_and_its_own_text(
    store: GalleryStore, tmp_path: Path
) -> None:
    file = tmp_path / "in/sub/00001-1.png"
    write_png(file, parameters=A1111)
    os.utime(file, (0, datetime(2024, 2, 7, 12, 34, 56, tzinfo=UTC).timestamp()))
    assert add_missing(store, tmp_path / "in").added == {"automatic1111": 1}
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
    assert add_missing(store, tmp_path / "in").added == {"automatic1111": 2}
    for record in store.list(5).items:
        assert record.parameters["num_inference_steps"] == 25
        with Image.open(tmp_path / "in" / record.facts["imported"]["file"]) as original:
            assert np.array_equal(decode_png(store.open(record.id)), np.asarray(original.convert("RGB")))


CHINESE = A1111.replace("masterpiece", "一个女孩")
"""One byte of its first character is zero, as of Latin letters, but the other one."""


@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + CHINESE.encode("utf-16-be"),
        b"UNICODE\0" + CHINESE.encode("utf-16-le"),
        b"UNICODE\0" + CHINESE.encode("utf-16"),
        b"ASCII\0\0\0" + CHINESE.encode(),
        bytes(8) + CHINESE.encode(),
        CHINESE.encode(),
    ],
    ids=["utf-16-be", "utf-16-le", "byte order mark", "ascii", "undefined", "no head"],
)
@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_an_exif_comment_is_read_however_it_is_written(
    comment: bytes, ending: str, store: GalleryStore, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.UserComment: comment}
    (tmp_path / "in").mkdir()
    Image.fromarray(PIXELS).save(tmp_path / f"in/a.{ending}", exif=exif)
    assert add_missing(store, tmp_path / "in").skipped == []
    assert the_only_one(store).prompt.startswith("一个女孩, a (red:1.2) apple")


def test_a_webp_of_comfyui_comes_in_with_its_parameters(store: GalleryStore, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = f"prompt:{json.dumps(COMFY)}"
    exif[ExifTags.Base.Make] = 'workflow:{"nodes": []}'
    (tmp_path / "in").mkdir()
    Image.fromarray(PIXELS).save(tmp_path / "in/a.webp", exif=exif)
    assert add_missing(store, tmp_path / "in").added == {"comfyui": 1}
    assert (the_only_one(store).prompt, the_only_one(store).model) == ("a red apple", "dreamshaper_8")


def test_numbers_and_texts_that_a_graph_keeps_in_nodes_of_their_own_are_found() -> None:
    graph = json.loads(json.dumps(COMFY))
    graph["3"]["inputs"] |= {"seed": ["11", 0], "steps": ["12", 0]}
    graph["11"] = {"class_type": "PrimitiveInt", "inputs": {"value": ["13", 0]}}
    graph["13"] = {"class_type": "PrimitiveInt", "inputs": {"value": 4242}}
    graph["12"] = {"class_type": "PrimitiveInt", "inputs": {"value": 33}}
    graph["6"]["inputs"]["text"] = ["14", 0]
    graph["14"] = {"class_type": "PrimitiveString", "inputs": {"value": "linked"}}
    found = comfyui.read({"prompt": json.dumps(graph)})
    assert found is not None
    assert (found.seed, found.parameters["num_inference_steps"], found.prompt) == (4242, 33, "linked")


def test_prompts_that_a_loader_holds_are_told_apart() -> None:
    loader = {"ckpt_name": "a.safetensors", "positive": "a fox", "negative": "a dog"}
    sampler = {"seed": 5, "steps": 7, "positive": ["1", 1], "negative": ["1", 2], "latent_image": ["1", 3]}
    graph = {
        "1": {"class_type": "Efficient Loader", "inputs": loader},
        "2": {"class_type": "KSampler (Efficient)", "inputs": sampler},
    }
    found = comfyui.read({"prompt": json.dumps(graph)})
    assert found is not None
    assert (found.prompt, found.negative_prompt) == ("a fox", "a dog")


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
            "dpmpp_2m_sde_karras",
        ),
        (
            {"invokeai_metadata": json.dumps(INVOKE | {"model": {"model_name": "old"}})},
            "landscape",
            "low quality",
            "old",
            356120443,
            50,
            "dpmpp_2m_sde_karras",
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
    assert add_missing(store, tmp_path / "in").skipped == []
    record = the_only_one(store)
    assert (record.prompt, record.negative_prompt, record.model, record.seed) == (prompt, negative, model, seed)
    assert (record.parameters["num_inference_steps"], record.parameters["sampler"]) == (steps, sampler)


NONSENSE = ["", "{}", "[]", "null", '{"a": 1}', '{"image": 5}', "Steps: x", "Steps: 1e400, Seed: 1e400", "[" * 50_000]
NONSENSE += ['{"1": {"inputs": {"samples": ["1", 0], "seed": ["2", 0]}}, "2": {"inputs": {"value": ["2", 0]}}}']
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
            with suppress(HalfUnderstood):
                found = reader({name: text})
                assert found is None or json.dumps([dict(found.parameters), dict(found.facts), found.seed])


def test_a_prompt_that_speaks_of_negative_prompts_is_split_at_the_last_line_that_begins_so() -> None:
    found = a1111.read({"parameters": "write Negative prompt: here\nNegative prompt: a\nSteps: 20, Seed: 1"})
    assert found is not None
    assert (found.prompt, found.negative_prompt, found.seed) == ("write Negative prompt: here", "a", 1)


def test_lines_that_extensions_add_below_the_settings_are_passed_over() -> None:
    found = a1111.read({"parameters": f"{A1111}\nTemplate: __fruit__\nNegative Template: blurry"})
    assert found is not None
    assert (found.seed, found.negative_prompt) == (1234567890, "blurry,\nlow quality")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("euler_a", "euler_a"), ("kdpm_2_a_k", "dpm_2_a_karras"), ("unipc_k", "unipc_karras"), (5, None), (None, None)],
)
def test_samplers_of_invokeai_are_spelt_as_others_spell_them(theirs: object, ours: str | None) -> None:
    found = invokeai.read({"invokeai_metadata": json.dumps({**INVOKE, "scheduler": theirs})})
    assert found is not None and found.parameters.get("sampler") == ours


@pytest.mark.parametrize(
    ("sampler", "scheduler", "ours"),
    [
        ("dpmpp_2m_sde_gpu", "karras", "dpmpp_2m_sde_karras"),
        ("euler", "simple", "euler"),
        ("euler", "sgm_uniform", "euler_sgm_uniform"),
    ],
)
def test_samplers_of_comfyui_take_their_schedule_along(sampler: str, scheduler: str, ours: str) -> None:
    graph = {**COMFY, "3": {"inputs": {**COMFY["3"]["inputs"], "sampler_name": sampler, "scheduler": scheduler}}}
    found = comfyui.read({"prompt": json.dumps(graph)})
    assert found is not None and found.parameters["sampler"] == ours


def test_the_simple_schedule_of_forge_is_the_samplers_own() -> None:
    found = a1111.read({"parameters": "fox\nSteps: 20, Sampler: Euler, Schedule type: Simple, Seed: 11, Model: flux1"})
    assert found is not None and found.parameters["sampler"] == "Euler"


@pytest.mark.parametrize(
    ("seed", "kept"),
    [
        (2**63, "9223372036854775808"),
        (2**64 - 1, "18446744073709551615"),
        (str(2**63), "9223372036854775808"),
        (1e20, "100000000000000000000"),
    ],
)
def test_a_seed_that_no_picture_here_can_have_is_kept_as_a_fact(seed: object, kept: str) -> None:
    texts = {
        comfyui: {"prompt": json.dumps({**COMFY, "11": {"inputs": {"seed": seed}}})},
        invokeai: {"invokeai_metadata": json.dumps(INVOKE | {"seed": seed})},
        a1111: {"parameters": A1111.replace("1234567890", str(seed))},
    }
    for reader, text in texts.items():
        found = reader.read(text)
        assert found is not None
        assert (found.seed, found.facts[FACT_ORIGINAL_SEED]) == (0, kept)


@pytest.mark.parametrize("seed", [0, 5, -5, 2**53 + 1, 2**63 - 1, str(2**63 - 1), 5.0])
def test_a_seed_that_a_picture_here_can_have_is_its_seed_to_the_last_digit(seed: object) -> None:
    found = comfyui.read({"prompt": json.dumps({**COMFY, "11": {"inputs": {"seed": seed}}})})
    assert found is not None
    assert found.seed == int(seed) and FACT_ORIGINAL_SEED not in found.facts  # type: ignore[call-overload]

"""What other programs' files say in unusual places and ways is read right, or the file is named and passed over."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from foreign_files import A1111, COMFY, INVOKE, PIXELS, add_missing, the_only_one
from PIL import ExifTags, Image
from visioncraft import FACT_LEFT_OUT
from visioncraft.images.metadata import chunk
from visioncraft_gallery_fs.store import GalleryStore
from visioncraft_gallery_fs.transfer.foreign import a1111, comfyui, invokeai
from visioncraft_gallery_fs.transfer.foreign.metadata import ForeignMetadata, HalfUnderstood

UMLAUTS = "ein schöner Leuchtturm, 灯台\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 106, Size: 64x48, Model: m"


def with_chunks(before: bytes = b"", behind: bytes = b"") -> bytes:
    """A PNG with these chunks before and behind its pixels."""
    buffer = BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    png = buffer.getvalue()
    return png[:33] + before + png[33:-12] + behind + png[-12:]


def exif_with(text: str) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.UserComment: b"UNICODE\0" + text.encode("utf-16-be")}
    return exif.tobytes()[6:]


def hexed(data: bytes) -> bytes:
    """As ImageMagick writes a profile into text."""
    return f"\nexif\n{len(data):8}\n{data.hex()}\n".encode()


ASCII = A1111.encode()
PLACES = {
    "behind the pixels": with_chunks(behind=chunk(b"tEXt", b"parameters\0" + ASCII)),
    "packed": with_chunks(chunk(b"zTXt", b"parameters\0\0" + zlib.compress(ASCII))),
    "international": with_chunks(chunk(b"iTXt", b"parameters\0\0\0\0\0" + ASCII)),
    "international and packed": with_chunks(chunk(b"iTXt", b"parameters\0\1\0en\0\0" + zlib.compress(ASCII))),
    "EXIF": with_chunks(chunk(b"eXIf", exif_with(A1111))),
    "EXIF behind the pixels": with_chunks(behind=chunk(b"eXIf", exif_with(A1111))),
    "EXIF as text": with_chunks(chunk(b"tEXt", b"Raw profile type exif\0" + hexed(b"Exif\0\0" + exif_with(A1111)))),
    "beside damaged EXIF": with_chunks(chunk(b"eXIf", b"MM\0*" + bytes(9)) + chunk(b"tEXt", b"parameters\0" + ASCII)),
    "beside a text that is none": with_chunks(
        chunk(b"zTXt", b"Comment\0\0no zlib") + chunk(b"tEXt", b"parameters\0" + ASCII)
    ),
}


@pytest.mark.parametrize("content", PLACES.values(), ids=PLACES)
def test_parameters_are_read_wherever_they_stand_in_a_png(content: bytes, store: GalleryStore, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(content)
    assert add_missing(store, tmp_path / "in").skipped == []
    assert (the_only_one(store).seed, the_only_one(store).model) == (1234567890, "v1-5-pruned-emaonly")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_text_is_read_in_latin_1_and_in_the_utf_8_that_many_programs_write(
    encoding: str, store: GalleryStore, tmp_path: Path
) -> None:
    text = UMLAUTS if encoding == "utf-8" else UMLAUTS.replace(", 灯台", "")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(with_chunks(chunk(b"tEXt", b"parameters\0" + text.encode(encoding))))
    add_missing(store, tmp_path / "in")
    assert the_only_one(store).prompt == text.split("\n")[0]


@pytest.mark.parametrize("tag", [ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.ImageDescription])
@pytest.mark.parametrize("head", ["Prompt:", "prompt:"])
def test_a_webp_of_comfyui_may_have_its_graph_in_any_of_three_tags(
    tag: ExifTags.Base, head: str, store: GalleryStore, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[tag] = head + json.dumps(COMFY)
    (tmp_path / "in").mkdir()
    Image.fromarray(PIXELS).save(tmp_path / "in/a.webp", exif=exif)
    assert add_missing(store, tmp_path / "in").added == {"comfyui": 1}


def settings_line(line: str) -> ForeignMetadata:
    found = a1111.read({"parameters": f"a lighthouse\nNegative prompt: fog\n{line}"})
    assert found is not None
    assert (found.prompt, found.negative_prompt) == ("a lighthouse", "fog")
    return found


OWN = "Steps: 30, Sampler: Euler, CFG scale: 7, Seed: 114, Size: 64x48, Model: dreamshaper_8"
RESOURCES = '[{"type":"checkpoint","modelVersionName":"v2 (Model: sd15 base, Seed: 42)"}]'


@pytest.mark.parametrize(
    "line",
    [
        f"{OWN}, Civitai resources: {RESOURCES}",
        f"Steps: 30, Civitai resources: {RESOURCES}, Sampler: Euler, Seed: 114, Model: dreamshaper_8",
        f'{OWN}, Civitai metadata: {{"remixOfId": 5, "text": "Seed: 42, Model: other"}}',
        f"{OWN}, Tiled Diffusion: {{'Region 1': {{'Prompt': \"it's, Seed: 42\", 'Model: other': 1}}}}",
        f'{OWN}, Broken: {{"never closed": [Seed: 42, Model: other',
        f'{OWN}, ControlNet 0: "Module: none, Model: other, Seed: 42"',
        f"{OWN}, Refiner: x, Seed: 42, Model: other",
        "Steps: 30 | Seed: 114 | Sampler: Euler | CFG scale: 7 | Size: 64x48 | Model: dreamshaper_8",
        "Steps: 30| Seed: 114| Sampler: Euler| Comment: a, Seed: 42| Model: dreamshaper_8",
    ],
)
def test_a_line_of_settings_is_read_by_its_own_pairs_not_by_those_inside_others(line: str) -> None:
    found = settings_line(line)
    assert (found.seed, found.model, found.parameters["num_inference_steps"]) == (114, "dreamshaper_8", 30)
    assert found.parameters["sampler"] == "Euler"


UNCLEAR: list[tuple[Any, Mapping[str, str]]] = [
    (a1111.read, {"parameters": "fox\nSteps: 25 and more, Seed: 1"}),
    (a1111.read, {"parameters": "fox\nSteps: 25; Seed: 112; Model: m"}),
    (a1111.read, {"parameters": "fox\nSteps: 25, Seed: one"}),
    (invokeai.read, {"invokeai_metadata": json.dumps(INVOKE | {"seed": "random"})}),
    (invokeai.read, {"invokeai_metadata": json.dumps(INVOKE | {"steps": [20]})}),
    (comfyui.read, {"prompt": json.dumps({**COMFY, "11": {"inputs": {"seed": "randomize"}}})}),
]


@pytest.mark.parametrize(("reader", "texts"), UNCLEAR, ids=[str(number) for number in range(len(UNCLEAR))])
def test_a_file_whose_steps_or_seed_are_no_numbers_is_passed_over_by_name(
    reader: Any, texts: Mapping[str, str], store: GalleryStore, tmp_path: Path
) -> None:
    with pytest.raises(HalfUnderstood, match="is no whole number"):
        reader(texts)
    chunks = b"".join(chunk(b"tEXt", name.encode() + b"\0" + text.encode()) for name, text in texts.items())
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(with_chunks(chunks))
    (said,) = add_missing(store, tmp_path / "in").skipped
    assert "a.png" in said and "is no whole number" in said
    assert store.list(1).total == 0


def graph(**nodes: tuple[str, dict[str, Any]]) -> dict[str, str]:
    """ComfyUI's own graph, with these nodes in it."""
    changed = {number.strip("_"): {"class_type": kind, "inputs": inputs} for number, (kind, inputs) in nodes.items()}
    return {"prompt": json.dumps({**COMFY, **changed})}


def sampling(positive: list[Any], negative: list[Any]) -> tuple[str, dict[str, Any]]:
    return "KSampler", COMFY["3"]["inputs"] | {"positive": positive, "negative": negative}


CONTROL = {"positive": ["6", 0], "negative": ["7", 0], "control_net": ["20", 0], "image": ["21", 0]}
GRAPHS = {
    "one node for both": graph(_3=sampling(["8", 0], ["8", 1]), _8=("ControlNetApplyAdvanced", CONTROL)),
    "two such nodes": graph(
        _3=sampling(["9", 0], ["9", 1]),
        _9=("ControlNetApplyAdvanced", CONTROL | {"positive": ["8", 0], "negative": ["8", 1]}),
        _8=("InpaintModelConditioning", CONTROL),
    ),
    "a node before one for both": graph(
        _3=sampling(["9", 0], ["8", 1]),
        _9=("FluxGuidance", {"guidance": 3.0, "conditioning": ["8", 0]}),
        _8=("ControlNetApplyAdvanced", CONTROL),
    ),
    "a pipe": graph(
        _3=sampling(["9", 3], ["9", 4]),
        _9=("FromBasicPipe", {"basic_pipe": ["8", 0]}),
        _8=("ToBasicPipe", {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0]}),
    ),
    "a styler of both": graph(
        _6=("CLIPTextEncode", {"text": ["8", 0], "clip": ["4", 1]}),
        _7=("CLIPTextEncode", {"text": ["8", 1], "clip": ["4", 1]}),
        _8=("SDXLPromptStyler", {"text_positive": "a red apple", "text_negative": "watermark", "style": "base"}),
    ),
    "combined": graph(
        _3=sampling(["9", 0], ["7", 0]),
        _9=("ConditioningCombine", {"conditioning_1": ["6", 0], "conditioning_2": ["6", 0]}),
    ),
}


@pytest.mark.parametrize("texts", GRAPHS.values(), ids=GRAPHS)
def test_what_a_node_answers_for_the_two_prompts_is_told_apart(texts: dict[str, str]) -> None:
    found = comfyui.read(texts)
    assert found is not None
    assert (found.prompt, found.negative_prompt) == ("a red apple", "watermark")


def test_a_conditioning_that_a_node_empties_has_no_prompt() -> None:
    found = comfyui.read(graph(_3=sampling(["6", 0], ["8", 0]), _8=("ConditioningZeroOut", {"conditioning": ["6", 0]})))
    assert found is not None
    assert (found.prompt, found.negative_prompt, found.left_out) == ("a red apple", "", [])


def test_a_guider_without_a_negative_prompt_has_none_although_a_node_behind_it_has() -> None:
    found = comfyui.read(
        graph(
            _3=("SamplerCustomAdvanced", {"noise_seed": 5, "guider": ["9", 0], "latent_image": ["5", 0]}),
            _9=("BasicGuider", {"model": ["4", 0], "conditioning": ["8", 0]}),
            _8=("ControlNetApplyAdvanced", CONTROL),
        )
    )
    assert found is not None
    assert (found.prompt, found.negative_prompt) == ("a red apple", "")


def test_what_a_replay_does_without_is_kept_by_name(store: GalleryStore, tmp_path: Path) -> None:
    extras = 'Clip skip: 2, Hires upscale: 2, VAE: kl-f8.ckpt, ControlNet 0: "Module: canny"'
    text = A1111.replace("Version", f"{extras}, Version")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(with_chunks(chunk(b"tEXt", b"parameters\0" + text.encode())))
    add_missing(store, tmp_path / "in")
    record = the_only_one(store)
    assert record.parameters["clip_skip"] == 2
    assert record.facts[FACT_LEFT_OUT] == ["Hires upscale: 2", "VAE: kl-f8.ckpt", "ControlNet 0: Module: canny"]
    assert len(record.left_out) == 3 and "Hires upscale: 2" in record.left_out[0]


def test_loras_and_control_nets_of_other_programs_are_among_what_a_replay_does_without() -> None:
    graphed = comfyui.read(
        graph(
            _3=("KSampler", COMFY["3"]["inputs"] | {"model": ["8", 0]}),
            _8=("LoraLoader", {"model": ["4", 0], "clip": ["4", 1], "lora_name": "ink.safetensors"}),
        )
    )
    invoked = invokeai.read({"invokeai_metadata": json.dumps(INVOKE | {"loras": [{"model": {}, "weight": 1}]})})
    assert graphed is not None and graphed.left_out == ["LoraLoader"]
    assert invoked is not None and invoked.left_out == ["loras"]

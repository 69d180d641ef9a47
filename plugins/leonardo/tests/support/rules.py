"""What Leonardo.ai refuses, as `../shared/leonardo/NOTES.md` and its OpenAPI description have it."""

from __future__ import annotations

import re
from typing import Any

OTHER_MODEL = "11111111-2222-4333-8444-555555555555"
PHOENIX = ("de7d3faf-762f-48e0-b3b7-9d0ac3a3fcf3", "6b645e3a-d64f-4341-a6d8-7a3690fbf042")
FLUX = (
    "28aeddf8-bd19-4803-80fc-79602d1a9989",
    "b2614463-296c-462a-9586-aafdb8f00e36",
    "1dd50843-d653-4516-a8e3-f0238ee453ff",
)
LUCID = ("7b592283-e8a7-4c5a-9ba6-d18c31f258b9", "05ce0082-2d80-4a2d-8653-4d1c85e2418e")
OLDER = (
    "e71a1c2f-4f80-4800-934f-2c68979d8cc8",
    "b24e16ff-06e3-43eb-8d33-4416c2d75876",
    "16e7060a-803e-4df3-97ee-edcfa5dc9cc8",
    "aa77f04e-3eec-4034-9c07-d0f619684628",
    "5c232a9e-9061-4777-980a-ddc8e65647c6",
    "1e60896f-3c26-4296-8ecc-53e2afecc132",
    "2067ae52-33fd-4a82-bb92-c2c55e7d2786",
    OTHER_MODEL,
)
_STYLES = """
ANIME BOKEH CINEMATIC CINEMATIC_CLOSEUP CREATIVE DYNAMIC ENVIRONMENT FASHION FILM FOOD GENERAL HDR ILLUSTRATION LEONARDO
LONG_EXPOSURE MACRO MINIMALISTIC MONOCHROME MOODY NONE NEUTRAL PHOTOGRAPHY PORTRAIT RAYTRACED RENDER_3D RETRO SKETCH_BW
SKETCH_COLOR STOCK_PHOTO VIBRANT UNPROCESSED
"""
STYLES = frozenset(_STYLES.split())
FIELDS: dict[str, type | tuple[type, ...]] = {
    "prompt": str,
    "negative_prompt": str,
    "modelId": str,
    "width": int,
    "height": int,
    "num_images": int,
    "num_inference_steps": int,
    "guidance_scale": (int, float),
    "contrast": (int, float),
    "alchemy": bool,
    "ultra": bool,
    "seed": int,
    "styleUUID": str,
    "presetStyle": str,
    "public": bool,
    "enhancePrompt": bool,
    "init_image_id": str,
    "init_strength": (int, float),
}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Answer = tuple[int, Any]


class Refusal(Exception):
    """An answer in Leonardo.ai's error shape."""

    def __init__(self, status: int, code: str, error: str) -> None:
        super().__init__(error)
        self.answer: Answer = (status, {"error": error, "path": "$", "code": code})


def check(body: Any) -> None:
    """Raises `Refusal` for a body that Leonardo.ai would refuse."""
    if not isinstance(body, dict):
        raise Refusal(400, "bad-request", "expected an object")
    for name in body:
        if name not in FIELDS:
            raise Refusal(400, "bad-request", f"Unexpected variable {name}")
    if body.get("prompt") is None:
        raise Refusal(400, "validation-failed", 'expecting a value for non-nullable variable: "prompt"')
    for name, value in body.items():
        wrong = isinstance(value, bool) and FIELDS[name] is not bool
        if wrong or not isinstance(value, FIELDS[name]):
            raise Refusal(400, "validation-failed", f'unexpected value for variable "{name}"')
    _check_values(body)


def _check_values(body: dict[str, Any]) -> None:
    model, alchemy = body.get("modelId", OLDER[1]), body.get("alchemy", True)
    width, height = body.get("width", 1024), body.get("height", 768)
    rules = (
        (0 < len(body["prompt"]) <= 1500, "prompt too long"),
        (model in (*PHOENIX, *FLUX, *LUCID, *OLDER), f"{model} is not supported within the Production API"),
        (all(32 <= side <= 1536 and side % 8 == 0 for side in (width, height)), "invalid dimensions"),
        (1 <= body.get("num_images", 4) <= (4 if max(width, height) > 768 else 8), "invalid num_images"),
        (10 <= body.get("num_inference_steps", 15) <= 60, "invalid num_inference_steps"),
        (1 <= body.get("guidance_scale", 7) <= 20, "invalid guidance_scale"),
        (body.get("contrast", 3.5) in (1, 1.3, 1.8, 2.5, 3, 3.5, 4, 4.5), "invalid contrast"),
        (model not in PHOENIX or body.get("contrast") in (3, 3.5, 4), "Phoenix needs a contrast of 3, 3.5 or 4"),
        (not alchemy or body.get("contrast", 3.5) >= 2.5, "contrast must be 2.5 or higher with alchemy"),
        (not (alchemy and model in LUCID and "alchemy" in body), "alchemy is not supported by this model"),
        (not (alchemy and body.get("ultra")), "ultra can not be used with alchemy"),
        (0 <= body.get("seed", 0) <= (2147483637 if model in FLUX else 9999999998), "invalid seed"),
        (body.get("presetStyle", "NONE") in STYLES, "invalid presetStyle"),
        (alchemy or body.get("presetStyle", "NONE") in ("LEONARDO", "NONE"), "presetStyle needs alchemy"),
        ("styleUUID" not in body or model not in OLDER, "styleUUID is not supported by this model"),
        (0.1 <= body.get("init_strength", 0.5) <= 0.9, "invalid init_strength"),
        ("styleUUID" not in body or UUID.fullmatch(body["styleUUID"]), "invalid styleUUID"),
    )
    for holds, error in rules:
        if not holds:
            raise Refusal(400, "unexpected", error)

"""Images that clients upload, and those that were drawn, by the names that `LoadImage` finds them under."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from comfy_prompts import over, record_of
from dialect_kit import png
from graphs import image_to_image, text_to_image
from harness import Server


def test_an_uploaded_image_is_drawn_over(comfy: httpx.Client) -> None:
    kept = comfy.post("/upload/image", files={"image": ("apple.png", png("green"))}, data={"subfolder": "mine"}).json()
    assert kept == {"name": "apple.png", "subfolder": "mine", "type": "input"}
    assert comfy.get("/view", params={"filename": "apple.png", "subfolder": "mine", "type": "input"}).content == png(
        "green"
    )
    assert "mine/apple.png" in comfy.get("/object_info/LoadImage").json()["LoadImage"]["input"]["required"]["image"][0]
    entry = over(comfy, image_to_image("mine/apple.png", steps=20))
    record = record_of(comfy, entry["outputs"]["9"]["images"][0])
    taken = int(record.parameters["num_inference_steps"] * record.parameters["strength"])
    assert taken == 20, "ComfyUI takes all steps of the node over the part of the noise that comes back"


def test_what_was_drawn_is_drawn_over(comfy: httpx.Client) -> None:
    entry = over(comfy, text_to_image("a plum"))
    name = entry["outputs"]["9"]["images"][0]["filename"]
    again = over(comfy, image_to_image(f"{name} [output]"))
    assert again["status"]["completed"] is True


def test_a_file_of_a_taken_name_gets_another_one_unless_it_may_take_its_place(comfy: httpx.Client) -> None:
    names = []
    for colour, overwrite in (("red", ""), ("blue", ""), ("red", ""), ("blue", "true")):
        form = {"overwrite": overwrite} if overwrite else {}
        names.append(comfy.post("/upload/image", files={"image": ("one.png", png(colour))}, data=form).json()["name"])
    assert names == ["one.png", "one (1).png", "one.png", "one.png"]
    assert comfy.get("/view?filename=one.png&type=input").content == png("blue")


def test_uploads_at_the_same_time_take_neither_name_nor_file_from_each_other(comfy: httpx.Client) -> None:
    images = [png(f"#{number:02x}0000") for number in range(32)]

    def kept(image: bytes) -> Any:
        return comfy.post("/upload/image", files={"image": ("same.png", image)}).json()["name"]

    with ThreadPoolExecutor(8) as threads:
        names = list(threads.map(kept, images))
    shown = [comfy.get("/view", params={"filename": name, "type": "input"}).content for name in names]
    assert shown == images


@pytest.mark.parametrize("name", ["../evil.png", "..", "a\x00b.png", "x" * 300])
def test_a_name_that_is_none_is_refused(comfy: httpx.Client, name: str) -> None:
    for asked in ({"filename": name}, {"filename": "a.png", "subfolder": f"../{name}"}):
        answer = comfy.get("/view", params={**asked, "type": "input"})
        assert answer.status_code in (400, 404), answer.text


def test_an_upload_that_is_no_image_is_refused(comfy: httpx.Client) -> None:
    answer = comfy.post("/upload/image", files={"image": ("page.png", b"<html>")})
    assert answer.status_code == 400 and "PNG" in answer.json()["error"]["details"]


def test_uploads_are_files_that_nobody_else_may_read(comfy: httpx.Client, server: Server) -> None:
    comfy.post("/upload/image", files={"image": ("private.png", png("purple"))})
    files = list((server.house.folder / "data" / "comfyui_api" / "uploads").iterdir())
    assert files and all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    assert (server.house.folder / "data" / "comfyui_api" / "prompts.sqlite3").stat().st_mode & 0o777 == 0o600

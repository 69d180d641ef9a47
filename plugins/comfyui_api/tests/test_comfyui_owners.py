"""Prompts over a restart of the server, and those of people with keys of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from comfy_prompts import over, queue
from dialect_kit import TOKEN, jobs_of, png
from graphs import Listener, image_to_image, text_to_image
from harness import FAKES, House, Server, fake_house, served
from visioncraft.testing import PATIENCE_S


def house_in(folder: Path) -> House:
    house = fake_house(folder)
    house.tables["plugins"] = {"enabled": [*FAKES, "comfyui_api"], "trusted": ["fake_engine"]}
    house.tables["server"] = {"dialect_ports": "free"}
    return house


def client(server: Server, key: str = "none") -> httpx.Client:
    url = server.url_of("comfyui_api")
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE_S)


def drawn(comfy: httpx.Client, graph: Any) -> tuple[str, Any]:
    """Draw a graph; answers the prompt's id and its first file."""
    entry = over(comfy, graph)
    return entry["prompt"][1], entry["outputs"]["9"]["images"][0]


def test_history_the_queue_and_files_outlive_the_server(tmp_path: Path) -> None:
    house = house_in(tmp_path)
    with served(house) as server, client(server) as comfy:
        ended, file = drawn(comfy, text_to_image("before"))
        left = queue(comfy, text_to_image("gated comfy-again"), client_id="comes-back")
        server.until(jobs_of(server, "gated comfy-again")[0], "running")
        comfy.post("/upload/image", files={"image": ("kept.png", png("green"))})
    with served(house) as server, client(server) as comfy:
        assert comfy.get(f"/history/{ended}").json()[ended]["status"]["completed"] is True
        assert comfy.get("/view", params=file).content.startswith(b"\x89PNG")
        told = comfy.get("/queue").json()
        assert [each[1] for each in told["queue_running"] + told["queue_pending"]] == [left]
        listener = Listener(comfy, client_id="comes-back")
        server.permit("comfy-again", 40)
        assert listener.until_over(left)[-3]["type"] == "execution_success"
        _, second = drawn(comfy, image_to_image("kept.png", "after"))
        assert second["filename"] > file["filename"], "a name was given twice"


def test_nobody_sees_or_stops_what_another_key_has_asked_for(tmp_path: Path) -> None:
    house = house_in(tmp_path)
    house.env = {"VISIONCRAFT_TOKEN": TOKEN}
    keys = [house.command("keys", "create", name).stdout.strip() for name in ("ada", "bob")]
    with served(house) as server, client(server, keys[0]) as ada, client(server, keys[1]) as bob:
        prompt_id, file = drawn(ada, text_to_image("ada's"))
        ada.post("/upload/image", files={"image": ("secret.png", png("green"))})
        for path in (f"/history/{prompt_id}", "/history"):
            assert bob.get(path).json() == {}
        for path in (f"/view?filename={file['filename']}", "/view?filename=secret.png&type=input"):
            assert (ada.get(path).status_code, bob.get(path).status_code) == (200, 404)
        assert bob.post("/prompt", json={"prompt": image_to_image("secret.png")}).status_code == 400
        eaves, owner = Listener(bob, client_id="ada-s-client"), Listener(ada, client_id="ada-s-client")
        running = queue(ada, text_to_image("gated comfy-keys", denoise=1), client_id="ada-s-client")
        owner.until("execution_start")
        for body in ({}, {"prompt_id": running}, {"client_id": "ada-s-client"}):
            bob.post("/interrupt", json=body)
        bob.post("/queue", json={"clear": True, "delete": [running]})
        assert bob.post(f"/api/jobs/{running}/cancel").status_code == 404
        assert bob.get("/queue").json() == {"queue_running": [], "queue_pending": []}
        assert [each[1] for each in ada.get("/queue").json()["queue_running"]] == [running]
        ada.post("/interrupt", json={"prompt_id": running})
        server.permit("comfy-keys", 40)
        assert owner.until_over(running)[-3]["type"] == "execution_interrupted"
        kinds = {eaves.next()["type"] for _ in range(3)}
        assert kinds == {"status"}

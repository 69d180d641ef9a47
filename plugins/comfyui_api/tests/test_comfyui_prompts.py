"""Prompts from the queue to history: what is drawn, what is stopped, and what is kept."""

from __future__ import annotations

import uuid

import httpx
from comfy_prompts import over, queue, record_of, refused
from dialect_kit import jobs_of
from graphs import Listener, flux, node, text_to_image
from harness import Server


def test_history_holds_what_was_drawn_and_view_shows_it(comfy: httpx.Client) -> None:
    entry = over(comfy, text_to_image("a pear", seed=11))
    assert entry["status"]["status_str"] == "success" and entry["status"]["completed"] is True
    assert [kind for kind, _ in entry["status"]["messages"]] == [
        "execution_start",
        "execution_cached",
        "execution_success",
    ]
    (image,) = entry["outputs"]["9"]["images"]
    assert (
        image["filename"].startswith("ComfyUI_0") and image["filename"].endswith("_.png") and image["type"] == "output"
    )
    record = record_of(comfy, image)
    assert (record.prompt, record.negative_prompt, record.seed) == ("a pear", "text, watermark", 11)
    assert record.facts["dialect"] == "comfyui"
    assert entry["prompt"][2]["6"]["inputs"]["text"] == "a pear"
    shown = comfy.get("/view", params={**image, "preview": "webp;90"})
    assert shown.headers["content-type"] == "image/webp"


def test_a_flux_graph_is_drawn_with_its_own_guidance(comfy: httpx.Client, server: Server) -> None:
    entry = over(comfy, flux("a quince"))
    record = record_of(comfy, entry["outputs"]["9"]["images"][0])
    assert record.parameters["guidance_scale"] == 3.5
    told = server.get(f"/jobs/{jobs_of(server, 'a quince')[0]}").json()["warnings"]
    assert [each.split(" ")[2] for each in told] == ["own", "own"], told


def test_a_prompt_id_of_the_clients_comes_back_and_draws_once(comfy: httpx.Client, server: Server) -> None:
    chosen = str(uuid.uuid4())
    answers = [queue(comfy, text_to_image("drawn once"), prompt_id=chosen) for _ in range(2)]
    assert answers == [chosen, chosen]
    (job,) = jobs_of(server, "drawn once")
    server.ended(job)
    assert queue(comfy, text_to_image("drawn once"), prompt_id=chosen) == chosen
    assert len(jobs_of(server, "drawn once")) == 1
    assert refused(comfy, text_to_image("another"), prompt_id=chosen)["error"]["type"] == "invalid_prompt_id"
    assert refused(comfy, text_to_image(), prompt_id=chosen.upper())["error"]["type"] == "invalid_prompt_id"


def test_an_interrupt_stops_what_runs_and_history_says_so(comfy: httpx.Client, server: Server) -> None:
    listener = Listener(comfy)
    prompt_id = queue(comfy, text_to_image("gated comfy-stop"), client_id=listener.client_id)
    listener.until("execution_start")
    assert [each[1] for each in comfy.get("/queue").json()["queue_running"]] == [prompt_id]
    comfy.post("/interrupt", json={"prompt_id": str(uuid.uuid4())})
    assert comfy.get("/queue").json()["queue_running"], "another prompt was meant"
    comfy.post("/interrupt")
    server.permit("comfy-stop", 20)
    kinds = [each["type"] for each in listener.until_over(prompt_id)]
    assert kinds[-3:] == ["execution_interrupted", "status", "executing"]
    status = comfy.get(f"/history/{prompt_id}").json()[prompt_id]["status"]
    assert (status["status_str"], status["completed"]) == ("error", False)
    assert comfy.get(f"/api/jobs/{prompt_id}").json()["status"] == "cancelled"


def test_waiting_prompts_are_taken_out_of_the_queue(comfy: httpx.Client, server: Server) -> None:
    listener = Listener(comfy)
    first = queue(comfy, text_to_image("gated comfy-line"), client_id=listener.client_id)
    (job,) = jobs_of(server, "gated comfy-line")
    listener.until("execution_start")
    waiting = [queue(comfy, text_to_image(f"waits {number}")) for number in range(3)]
    assert [each[1] for each in comfy.get("/queue").json()["queue_pending"]] == waiting
    comfy.post("/queue", json={"delete": [waiting[1]]})
    comfy.post("/queue", json={"clear": True})
    for number in range(3):
        assert server.ended(jobs_of(server, f"waits {number}")[0])["status"] == "cancelled"
    assert server.get(f"/jobs/{job}").json()["status"] == "running"
    assert comfy.post(f"/api/jobs/{first}/cancel").json() == {"cancelled": True}
    server.permit("comfy-line", 20)
    server.ended(job)


def test_several_images_of_one_graph_are_all_told_of(comfy: httpx.Client) -> None:
    graph = text_to_image("three of them")
    graph["5"]["inputs"]["batch_size"] = 3
    graph["10"] = node("PreviewImage", images=["8", 0])
    entry = over(comfy, graph)
    assert len(entry["outputs"]["9"]["images"]) == len(entry["outputs"]["10"]["images"]) == 3
    assert {each["type"] for each in entry["outputs"]["10"]["images"]} == {"temp"}
    seeds = [record_of(comfy, each).seed for each in entry["outputs"]["9"]["images"]]
    assert seeds == [7, 8, 9]


def test_history_is_forgotten_where_a_client_says_so(comfy: httpx.Client) -> None:
    entry = over(comfy, text_to_image("forgotten"))
    prompt_id, image = entry["prompt"][1], entry["outputs"]["9"]["images"][0]
    comfy.post("/history", json={"delete": [prompt_id]})
    assert comfy.get(f"/history/{prompt_id}").json() == {}
    assert comfy.get("/view", params=image).status_code == 200, "the gallery keeps the image"
    comfy.post("/history", json={"clear": True})
    assert comfy.get("/history").json() == {}

"""Prompts over a real socket: what is told of them, in which order, and what is kept."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest
from dialect_kit import full_queue, jobs_of, png
from graphs import Listener, flux, image_to_image, node, text_to_image
from harness import Server
from visioncraft import read_record

Sent = dict[str, Any]


def queue(comfy: httpx.Client, graph: Any, **more: Any) -> str:
    """Queue a graph; answers the prompt's id."""
    answer = comfy.post("/prompt", json={"prompt": graph, **more})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["prompt_id"])


def refused(comfy: httpx.Client, graph: Any, **more: Any) -> Sent:
    """What a graph is refused with."""
    answer = comfy.post("/prompt", json={"prompt": graph, **more})
    assert answer.status_code == 400, answer.text
    found: Sent = answer.json()
    return found


def over(comfy: httpx.Client, server: Server, graph: Any, **more: Any) -> Sent:
    """Draw a graph; answers its entry in history."""
    listener = Listener(comfy)
    prompt_id = queue(comfy, graph, client_id=listener.client_id, **more)
    listener.until_over(prompt_id)
    found: Sent = comfy.get(f"/history/{prompt_id}").json()[prompt_id]
    return found


def record_of(comfy: httpx.Client, image: Sent) -> Any:
    record = read_record(comfy.get("/view", params=image).content)
    assert record is not None
    return record


def test_a_prompt_is_told_of_in_comfyuis_order(comfy: httpx.Client) -> None:
    listener = Listener(comfy)
    first = listener.next()
    assert first["data"] == {"status": {"exec_info": {"queue_remaining": 0}}, "sid": listener.client_id}
    prompt_id = queue(comfy, text_to_image(), client_id=listener.client_id)
    told = listener.until_over(prompt_id)
    kinds = [each["type"] for each in told]
    once = list(dict.fromkeys(kinds))
    assert once == [
        "status",
        "execution_start",
        "execution_cached",
        "executing",
        "progress",
        "progress_state",
        "executed",
        "execution_success",
    ]
    assert kinds[-3:] == ["execution_success", "status", "executing"]
    assert told[-2]["data"]["status"]["exec_info"]["queue_remaining"] == 0
    nodes = [each["data"]["node"] for each in told if each["type"] == "executing"]
    assert nodes.index("4") < nodes.index("3") < nodes.index("8") < nodes.index("9") < nodes.index(None)
    steps = [each["data"] for each in told if each["type"] == "progress"]
    assert (steps[-1]["value"], steps[-1]["max"], steps[-1]["node"]) == (15, 15, "3")
    assert not listener.binary, "a preview was sent to a client that did not ask for one"


def test_history_holds_what_was_drawn_and_view_shows_it(comfy: httpx.Client, server: Server) -> None:
    entry = over(comfy, server, text_to_image("a pear", seed=11))
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


def test_every_route_is_under_api_too(comfy: httpx.Client) -> None:
    for path in ("/prompt", "/queue", "/history", "/object_info/KSampler", "/system_stats", "/models", "/features"):
        assert comfy.get(f"/api{path}").status_code == 200, path
        assert comfy.get(path).status_code == 200, path


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_json_is_read_whatever_its_content_type_says(comfy: httpx.Client, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    for path in ("/queue", "/interrupt", "/free", "/history"):
        answer = comfy.post(path, content=b'{"delete": []}', headers=headers)
        assert (answer.status_code, answer.content) == (200, b""), path
    assert comfy.post("/interrupt").status_code == 200
    assert comfy.post("/prompt", content=b"{}", headers=headers).json()["error"]["type"] == "no_prompt"


def test_a_flux_graph_is_drawn_with_its_own_guidance(comfy: httpx.Client, server: Server) -> None:
    entry = over(comfy, server, flux("a quince"))
    record = record_of(comfy, entry["outputs"]["9"]["images"][0])
    assert record.parameters["guidance_scale"] == 3.5
    told = server.get(f"/jobs/{jobs_of(server, 'a quince')[0]}").json()["warnings"]
    assert [each.split(" ")[2] for each in told] == ["own", "own"], told


def test_an_uploaded_image_is_drawn_over(comfy: httpx.Client, server: Server) -> None:
    kept = comfy.post("/upload/image", files={"image": ("apple.png", png("green"))}, data={"subfolder": "mine"}).json()
    assert kept == {"name": "apple.png", "subfolder": "mine", "type": "input"}
    assert comfy.get("/view", params={"filename": "apple.png", "subfolder": "mine", "type": "input"}).content == png(
        "green"
    )
    assert "mine/apple.png" in comfy.get("/object_info/LoadImage").json()["LoadImage"]["input"]["required"]["image"][0]
    entry = over(comfy, server, image_to_image("mine/apple.png", steps=20))
    record = record_of(comfy, entry["outputs"]["9"]["images"][0])
    taken = int(record.parameters["num_inference_steps"] * record.parameters["strength"])
    assert taken == 20, "ComfyUI takes all steps of the node over the part of the noise that comes back"


def test_what_was_drawn_is_drawn_over(comfy: httpx.Client, server: Server) -> None:
    entry = over(comfy, server, text_to_image("a plum"))
    name = entry["outputs"]["9"]["images"][0]["filename"]
    again = over(comfy, server, image_to_image(f"{name} [output]"))
    assert again["status"]["completed"] is True


def test_a_file_of_a_taken_name_gets_another_one_unless_it_may_take_its_place(comfy: httpx.Client) -> None:
    names = []
    for colour, overwrite in (("red", ""), ("blue", ""), ("red", ""), ("blue", "true")):
        form = {"overwrite": overwrite} if overwrite else {}
        names.append(comfy.post("/upload/image", files={"image": ("one.png", png(colour))}, data=form).json()["name"])
    assert names == ["one.png", "one (1).png", "one.png", "one.png"]
    assert comfy.get("/view?filename=one.png&type=input").content == png("blue")


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


def test_an_unknown_node_is_refused_before_anything_is_queued(comfy: httpx.Client, server: Server) -> None:
    graph = text_to_image("never drawn")
    graph["10"] = node("IPAdapter", "My adapter", model=["4", 0])
    told = refused(comfy, graph)
    assert told["error"]["type"] == "invalid_prompt"
    assert "IPAdapter" in told["error"]["message"] and "#10" in told["error"]["details"]
    assert told["error"]["extra_info"] == {"node_id": "10", "class_type": "IPAdapter", "node_title": "My adapter"}
    assert told["node_errors"]["10"]["class_type"] == "IPAdapter"
    assert jobs_of(server, "never drawn") == []


def test_a_wrong_value_is_named_with_its_node_and_class(comfy: httpx.Client) -> None:
    told = refused(comfy, text_to_image(sampler_name="quantum"))
    assert told["error"]["type"] == "prompt_outputs_failed_validation"
    assert "KSampler 3" in told["error"]["details"]
    entry = told["node_errors"]["3"]
    assert (entry["class_type"], entry["dependent_outputs"]) == ("KSampler", ["9"])
    assert entry["errors"][0]["type"] == "value_not_in_list"
    assert entry["errors"][0]["extra_info"]["received_value"] == "quantum"


def test_what_the_model_does_not_take_is_named_with_its_node(comfy: httpx.Client) -> None:
    told = refused(comfy, text_to_image(steps=999))
    (error,) = told["node_errors"]["3"]["errors"]
    assert error["details"].startswith("steps - 15 to 50")


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


def test_a_full_queue_is_told_with_when_to_come_back(comfy: httpx.Client, server: Server) -> None:
    with full_queue(server, "comfy"):
        answer = comfy.post("/prompt", json={"prompt": text_to_image("one too many")})
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"]["type"] == "rate_limit_exceeded"
    assert jobs_of(server, "one too many") == []


def test_previews_are_jpegs_and_for_those_alone_who_say_what_they_understand(comfy: httpx.Client) -> None:
    listener = Listener(comfy, features=True)
    assert [listener.next()["type"], listener.next()["type"]] == ["status", "feature_flags"]
    prompt_id = queue(comfy, text_to_image("shown"), client_id=listener.client_id)
    listener.until_over(prompt_id)
    assert listener.binary[0][:8] == bytes([0, 0, 0, 1, 0, 0, 0, 1])
    assert listener.binary[0][8:11] == b"\xff\xd8\xff"


def test_a_prompt_is_told_of_to_its_own_client_alone(comfy: httpx.Client) -> None:
    other, owner = Listener(comfy), Listener(comfy)
    prompt_id = queue(comfy, text_to_image("mine"), client_id=owner.client_id)
    owner.until_over(prompt_id)
    mark = queue(comfy, text_to_image("theirs"), client_id=other.client_id)
    told = other.until_over(mark)
    assert all(each["data"].get("prompt_id") in (None, mark) for each in told)


def test_a_client_that_comes_late_hears_of_the_end(comfy: httpx.Client) -> None:
    watcher, listener = Listener(comfy), Listener(comfy)
    listener.socket.close()
    prompt_id = queue(comfy, text_to_image("early"), client_id=listener.client_id)
    while comfy.get("/prompt").json()["exec_info"]["queue_remaining"]:
        watcher.next()
    late = Listener(comfy, client_id=listener.client_id)
    kinds = [each["type"] for each in late.until_over(prompt_id)]
    assert kinds == ["status", "executed", "execution_success", "executing"]


def test_an_interrupt_stops_what_runs_and_history_says_so(comfy: httpx.Client, server: Server) -> None:
    listener = Listener(comfy)
    prompt_id = queue(comfy, text_to_image("gated comfy-stop"), client_id=listener.client_id)
    server.reached("comfy-stop", 0)
    (job,) = jobs_of(server, "gated comfy-stop")
    server.until(job, "running")
    while listener.next()["type"] != "execution_start":
        pass
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


def test_what_fails_is_told_as_comfyui_does(comfy: httpx.Client) -> None:
    listener = Listener(comfy)
    prompt_id = queue(comfy, text_to_image("fail: vram"), client_id=listener.client_id)
    told = listener.until_over(prompt_id)
    error = next(each["data"] for each in told if each["type"] == "execution_error")
    assert (error["node_id"], error["node_type"], error["exception_type"]) == ("3", "KSampler", "INSUFFICIENT_VRAM")
    assert comfy.get(f"/history/{prompt_id}").json()[prompt_id]["status"]["status_str"] == "error"


def test_waiting_prompts_are_taken_out_of_the_queue(comfy: httpx.Client, server: Server) -> None:
    first = queue(comfy, text_to_image("gated comfy-line"))
    (job,) = jobs_of(server, "gated comfy-line")
    server.until(job, "running")
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


def test_several_images_of_one_graph_are_all_told_of(comfy: httpx.Client, server: Server) -> None:
    graph = text_to_image("three of them")
    graph["5"]["inputs"]["batch_size"] = 3
    graph["10"] = node("PreviewImage", images=["8", 0])
    entry = over(comfy, server, graph)
    assert len(entry["outputs"]["9"]["images"]) == len(entry["outputs"]["10"]["images"]) == 3
    assert {each["type"] for each in entry["outputs"]["10"]["images"]} == {"temp"}
    seeds = [record_of(comfy, each).seed for each in entry["outputs"]["9"]["images"]]
    assert seeds == [7, 8, 9]


def test_history_is_forgotten_where_a_client_says_so(comfy: httpx.Client, server: Server) -> None:
    entry = over(comfy, server, text_to_image("forgotten"))
    prompt_id, image = entry["prompt"][1], entry["outputs"]["9"]["images"][0]
    comfy.post("/history", json={"delete": [prompt_id]})
    assert comfy.get(f"/history/{prompt_id}").json() == {}
    assert comfy.get("/view", params=image).status_code == 200, "the gallery keeps the image"
    comfy.post("/history", json={"clear": True})
    assert comfy.get("/history").json() == {}


def test_an_image_is_handed_over_by_the_socket_where_the_graph_says_so(comfy: httpx.Client) -> None:
    graph = text_to_image("handed over")
    graph["9"] = node("SaveImageWebsocket", images=["8", 0])
    listener = Listener(comfy)
    listener.until_over(queue(comfy, graph, client_id=listener.client_id))
    (image,) = listener.binary
    assert image[:8] == bytes([0, 0, 0, 1, 0, 0, 0, 2]) and image[8:12] == b"\x89PNG"


def test_the_token_is_asked_for(comfy: httpx.Client) -> None:
    for path in ("/prompt", "/queue", "/view?filename=a.png", "/object_info"):
        answer = httpx.get(comfy.base_url.join(path), headers={"Authorization": "Bearer"})
        assert answer.status_code == 401 and answer.json()["error"]["type"] == "authentication_error"

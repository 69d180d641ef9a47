"""What clients are told by their sockets: in which order, and who."""

from __future__ import annotations

import httpx
from comfy_prompts import queue
from graphs import Listener, node, text_to_image


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


def test_what_fails_is_told_as_comfyui_does(comfy: httpx.Client) -> None:
    listener = Listener(comfy)
    prompt_id = queue(comfy, text_to_image("fail: vram"), client_id=listener.client_id)
    told = listener.until_over(prompt_id)
    error = next(each["data"] for each in told if each["type"] == "execution_error")
    assert (error["node_id"], error["node_type"], error["exception_type"]) == ("3", "KSampler", "INSUFFICIENT_VRAM")
    assert comfy.get(f"/history/{prompt_id}").json()[prompt_id]["status"]["status_str"] == "error"


def test_an_image_is_handed_over_by_the_socket_where_the_graph_says_so(comfy: httpx.Client) -> None:
    graph = text_to_image("handed over")
    graph["9"] = node("SaveImageWebsocket", images=["8", 0])
    listener = Listener(comfy)
    listener.until_over(queue(comfy, graph, client_id=listener.client_id))
    (image,) = listener.binary
    assert image[:8] == bytes([0, 0, 0, 1, 0, 0, 0, 2]) and image[8:12] == b"\x89PNG"

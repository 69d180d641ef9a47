"""`comfy-api-simplified` against the running server, unchanged; the token is HTTP Basic's password, as it sends it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper
from comfy_api_simplified.exceptions import ComfyApiError
from comfy_prompts import queue
from dialect_kit import TOKEN, full_queue, jobs_of, png
from graphs import Listener, image_to_image, node, text_to_image
from harness import Server
from visioncraft import read_record
from visioncraft.testing import PATIENCE_S


@pytest.fixture
def api(server: Server) -> ComfyApiWrapper:
    return ComfyApiWrapper(server.url_of("comfyui_api"), user="ada", password=TOKEN)


def test_a_workflow_is_drawn_with_what_was_set_in_it(api: ComfyApiWrapper) -> None:
    workflow = ComfyWorkflowWrapper(text_to_image())
    workflow.set_node_param("Positive", "text", "a melon")
    workflow.set_node_param("KSampler", "seed", 41)
    ((name, content),) = api.queue_and_wait_images(workflow, "Save Image").items()
    record = read_record(content)
    assert name.endswith("_.png") and record is not None
    assert (record.prompt, record.seed) == ("a melon", 41)


def test_the_file_is_taken_and_never_a_preview(api: ComfyApiWrapper) -> None:
    for number in range(3):
        images = api.queue_and_wait_images(text_to_image(f"melon {number}"), "Save Image")
        assert all(name.startswith("ComfyUI_") for name in images)


def test_an_image_is_edited(api: ComfyApiWrapper, tmp_path: Path) -> None:
    (tmp_path / "apple.png").write_bytes(png("green"))
    kept = api.upload_image(tmp_path / "apple.png")
    graph = image_to_image(f"{kept['subfolder']}/{kept['name']}", "a lime")
    ((_, content),) = api.queue_and_wait_images(ComfyWorkflowWrapper(graph), "Save Image").items()
    record = read_record(content)
    assert record is not None and record.prompt == "a lime"


def test_an_unknown_node_is_an_error_before_anything_is_queued(api: ComfyApiWrapper, server: Server) -> None:
    graph = text_to_image("never by this client")
    graph["20"] = node("FaceDetailer", image=["8", 0])
    with pytest.raises(ComfyApiError, match="400"):
        api.queue_prompt(graph)
    assert jobs_of(server, "never by this client") == []


def test_what_fails_raises(api: ComfyApiWrapper) -> None:
    with pytest.raises((ComfyApiError, KeyError)):
        api.queue_and_wait_images(text_to_image("fail: unavailable"), "Save Image")


def test_an_interrupt_ends_the_wait_of_its_own_prompt(
    api: ComfyApiWrapper, server: Server, comfy: httpx.Client
) -> None:
    listener = Listener(comfy)
    other = queue(comfy, text_to_image("gated melon-stop"), client_id=listener.client_id)
    listener.until("execution_start")
    assert api.get_queue_size_before(other) == 0
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lambda: asyncio.run(api.queue_prompt_and_wait(text_to_image("waits its turn"))))
        while not jobs_of(server, "waits its turn"):
            pass
        api.interrupt()
        server.permit("melon-stop", 20)
        prompt_id, _ = waiting.result(PATIENCE_S)
    assert api.get_history(prompt_id)[prompt_id]["status"]["completed"] is True
    assert server.ended(jobs_of(server, "gated melon-stop")[0])["status"] == "cancelled"


def test_a_full_queue_is_an_error_and_a_later_try_draws(api: ComfyApiWrapper, server: Server) -> None:
    with full_queue(server, "melon-full"), pytest.raises(ComfyApiError, match="429"):
        api.queue_prompt(text_to_image("later"))
    assert api.queue_and_wait_images(text_to_image("later"), "Save Image")
    assert len(jobs_of(server, "later")) == 1


def test_it_sees_what_the_server_is(api: ComfyApiWrapper) -> None:
    assert api.get_system_stats()["system"]["comfyui_version"]
    assert (
        "fake"
        in api.get_object_info("CheckpointLoaderSimple")["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0]
    )
    assert api.get_embeddings() == []

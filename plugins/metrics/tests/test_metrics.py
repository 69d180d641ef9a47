"""What Prometheus reads: the names, the numbers, and that nothing of anybody's stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
from harness import Server, error_of
from prometheus_client.parser import text_string_to_metric_families
from visioncraft.access.keys import AccessKeys
from visioncraft.testing import PATIENCE_S

PACKAGE = Path(__file__).parents[1]
FAKE = {"model": "fake", "engine": "fake_engine"}


def scraped(server: Server, **headers: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by its name and labels."""
    answer = server.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def value(server: Server, name: str, **labels: str) -> float:
    return scraped(server).get((f"visioncraft_{name}", frozenset(labels.items())), 0.0)


def ended(server: Server, outcome: str) -> float:
    return value(server, "jobs_total", **FAKE, outcome=outcome)


def finish(server: Server, prompt: str, outcome: str) -> None:
    """Have a job end, and wait until it is counted."""
    before = ended(server, outcome)
    job = server.submit(prompt, num_inference_steps=15)
    if outcome == "cancelled":
        server.client.delete(f"/jobs/{job}")
    server.until(job, outcome)
    with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client:
        while ended(server, outcome) == before:
            client.get("/health")


def test_jobs_steps_and_images_are_counted(server: Server) -> None:
    steps, images = value(server, "steps_total", **FAKE), value(server, "images_total", **FAKE)
    taken = value(server, "job_seconds_count", **FAKE)
    finish(server, "a pear", "succeeded")
    assert value(server, "steps_total", **FAKE) == steps + 15
    assert value(server, "images_total", **FAKE) == images + 1
    assert value(server, "job_seconds_count", **FAKE) == taken + 1
    assert value(server, "queue_seconds_count", **FAKE) >= taken + 1


@pytest.mark.parametrize(("prompt", "outcome"), [("fail: crash", "failed"), ("gated for ever", "cancelled")])
def test_jobs_without_an_image_are_counted_as_what_they_are(server: Server, prompt: str, outcome: str) -> None:
    images = value(server, "images_total", **FAKE)
    finish(server, prompt, outcome)
    assert value(server, "images_total", **FAKE) == images


def test_the_queue_is_shown_as_it_stands(server: Server) -> None:
    jobs = [server.submit("gated measured", num_inference_steps=15) for _ in range(3)]
    server.until(jobs[0], "running")
    seen = scraped(server)
    assert seen["visioncraft_jobs_running", frozenset()] >= 1
    assert seen["visioncraft_queue_depth", frozenset()] + seen["visioncraft_jobs_running", frozenset()] == 3
    server.permit("measured", 45)
    for job in jobs:
        server.until(job, "succeeded")


def test_memory_gallery_and_disk_are_looked_at(server: Server) -> None:
    seen = {name for name, _ in scraped(server)}
    assert {"visioncraft_gallery_images", "visioncraft_disk_free_bytes", "visioncraft_vram_bytes"} <= seen
    assert value(server, "disk_free_bytes") > 0


def test_no_prompt_and_no_id_stands_there(server: Server) -> None:
    finish(server, "a canary in a prompt", "succeeded")
    text = server.get("/metrics").text
    assert "canary" not in text and not re.search(r"(job|img)_[a-z0-9]{26}", text)


def test_openmetrics_is_spoken_where_it_is_asked_for(server: Server) -> None:
    answer = server.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text") and answer.text.endswith("# EOF\n")


def test_every_metric_of_the_page_and_of_the_dashboard_is_there(server: Server) -> None:
    finish(server, "a plum", "succeeded")
    shown = {name for name, _ in scraped(server)}
    named = set(re.findall(r"visioncraft_[a-z_]+", (PACKAGE / "README.md").read_text("utf-8")))
    dashboard = json.loads((PACKAGE / "dashboard.json").read_text("utf-8"))
    asked = {target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())}
    named |= {name for expression in asked for name in re.findall(r"visioncraft_[a-z_]+", expression)}
    elsewhere = {"visioncraft_key_jobs_total", "visioncraft_model_load_seconds"}  # need a key, and a model that loads
    there = shown | {name.removesuffix(end) for name in shown for end in ("_bucket", "_count", "_sum")}
    assert len(asked) >= 8 and named - there - elsewhere == set()


def test_with_a_key_it_needs_the_scope_and_counts_by_the_keys_name(server: Server) -> None:
    keys = AccessKeys(server.house.folder / "data" / "access_keys.json")
    reader, drawer = keys.create("prometheus", ["models:read"])[1], keys.create("booth", ["generate"])[1]
    error_of(httpx.get(f"{server.url}/metrics"), 401, "AUTHENTICATION_ERROR")
    with httpx.Client(base_url=server.url, headers={"X-Api-Key": drawer}, timeout=PATIENCE_S) as booth:
        error_of(booth.get("/metrics"), 403, "FORBIDDEN")
        assert booth.post("/generate", json={"prompt": "x"}).status_code == 200
    label = frozenset({"key": "booth", "outcome": "succeeded"}.items())
    server.client.headers["X-Api-Key"] = reader
    while ("visioncraft_key_jobs_total", label) not in scraped(server):
        server.get("/health")
    assert drawer not in server.get("/metrics").text

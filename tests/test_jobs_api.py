"""What stands beside the contract: jobs, pictures, plugins, health."""

from __future__ import annotations

import base64
import io
import socket
from datetime import datetime
from itertools import count

import pytest
from harness import Server, error_of
from PIL import Image

_gates = count()


@pytest.fixture
def gate() -> str:
    """A gate nobody has used."""
    return f"gate-{next(_gates)}"


def test_a_job_is_accepted_at_once_and_its_location_leads_to_it(fake: Server, gate: str) -> None:
    answer = fake.post("/jobs", {"prompt": f"gated {gate}", "seed": 5, "width": 64, "height": 64})
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert fake.get(answer.headers["location"]).json()["id"] == job["id"]
    assert (job["steps"], job["model"], job["seed"], job["image"], job["error"]) == (20, "fake", 5, None, None)
    fake.permit(gate, 20)
    assert fake.ended(job["id"])["status"] == "succeeded"


def test_a_job_tells_its_step_and_then_its_picture(fake: Server, gate: str) -> None:
    job = fake.submit(f"gated {gate}", width=64, height=64)
    fake.permit(gate, 7)
    while (running := fake.get(f"/jobs/{job}").json())["step"] < 7:
        assert running["status"] in ("queued", "running")
    assert (running["status"], running["stage"], running["step"]) == ("running", "drawing", 7)
    fake.permit(gate, 13)
    done = fake.ended(job)
    assert (done["status"], done["image"]["prompt"]) == ("succeeded", f"gated {gate}")
    times = [datetime.fromisoformat(done[name]) for name in ("created_at", "started_at", "ended_at")]
    assert times == sorted(times)


def test_waiting_jobs_know_their_place(fake: Server, gate: str) -> None:
    jobs = [fake.submit(f"gated {gate}", width=64, height=64) for _ in range(4)]
    fake.reached(gate, 0)
    fake.until(jobs[0], "running")
    assert [fake.get(f"/jobs/{job}").json()["position"] for job in jobs] == [0, 1, 2, 3]
    assert fake.get("/status").json()["system_info"]["jobs_queued"] == 3
    fake.permit(gate, 80)
    assert [fake.ended(job)["status"] for job in jobs] == ["succeeded"] * 4


def test_a_waiting_job_is_cancelled_at_once_and_the_others_move_up(fake: Server, gate: str) -> None:
    first, second, third = (fake.submit(f"gated {gate}", width=64, height=64) for _ in range(3))
    gone = fake.delete(f"/jobs/{second}").json()
    assert (gone["status"], gone["error"]["code"]) == ("cancelled", "CANCELLED")
    assert fake.get(f"/jobs/{third}").json()["position"] == 1
    fake.permit(gate, 40)
    assert [fake.ended(job)["status"] for job in (first, third)] == ["succeeded"] * 2
    assert fake.get(f"/fake/steps/{gate}").json() == 40


def test_a_running_job_stops_within_one_step_and_keeps_nothing(fake: Server, gate: str) -> None:
    before = fake.pictures()
    job = fake.submit(f"gated {gate}", width=64, height=64)
    fake.permit(gate, 3)
    fake.reached(gate, 3)
    assert fake.delete(f"/jobs/{job}").status_code == 200
    fake.permit(gate, 1000)
    assert fake.ended(job)["status"] == "cancelled"
    assert fake.get(f"/fake/steps/{gate}").json() <= 4
    assert fake.pictures() == before


def test_cancelling_twice_or_too_late_changes_nothing(fake: Server, gate: str) -> None:
    done = fake.submit("done", width=64, height=64)
    assert fake.ended(done)["status"] == "succeeded"
    late = fake.delete(f"/jobs/{done}")
    assert (late.status_code, late.json()["status"]) == (200, "succeeded")
    error_of(fake.delete("/jobs/job_01kb0v7m3qj4x5n6p7r8s9t0ab"), 404, "NOT_FOUND")


def test_a_job_that_failed_says_why_in_the_envelopes_words(fake: Server) -> None:
    failed = fake.ended(fake.submit("fail: vram"))
    assert (failed["status"], failed["image"]) == ("failed", None)
    assert failed["error"]["code"] == "INSUFFICIENT_VRAM"
    assert (failed["error"]["vram_available"], failed["error"]["vram_required"]) == (3.2, 6.5)


def test_a_client_that_hangs_up_cancels_its_own_job_and_no_other(fake: Server, gate: str) -> None:
    body = f'{{"prompt": "gated {gate}", "width": 64, "height": 64}}'.encode()
    head = (
        f"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    with socket.create_connection(("127.0.0.1", fake.port)) as client:
        client.sendall(head.encode() + b"\r\n\r\n" + body)
        fake.permit(gate, 1)
        fake.reached(gate, 1)
        other = fake.submit(f"gated {gate}-other", width=64, height=64)
        own = fake.get("/jobs?limit=2").json()["jobs"][1]["id"]
    while fake.get(f"/jobs/{own}").json()["stage"] not in ("cancelling", "cancelled"):
        pass
    fake.permit(gate, 1000)
    fake.permit(f"{gate}-other", 20)
    assert fake.ended(other)["status"] == "succeeded"
    prompts = [image["prompt"] for image in fake.get("/gallery?image_data=false").json()["images"]]
    assert f"gated {gate}" not in prompts and f"gated {gate}-other" in prompts


def test_generate_names_its_job_and_its_picture(fake: Server) -> None:
    answer = fake.draw("named", width=64, height=64)
    assert fake.get(f"/jobs/{answer.headers['x-job-id']}").json()["status"] == "succeeded"
    png = fake.get(f"/images/{answer.headers['x-image-id']}").content
    assert png == base64.b64decode(answer.json()["image"])


def test_a_gallery_page_need_not_carry_pictures_and_its_urls_work(fake: Server) -> None:
    drawn = fake.draw("linked", width=640, height=320).json()
    entry = fake.get("/gallery?limit=1&image_data=false").json()["images"][0]
    assert "image_data" not in entry
    picture, thumbnail = fake.get(entry["url"]), fake.get(entry["thumbnail_url"])
    assert picture.headers["content-type"] == "image/png"
    assert base64.b64encode(picture.content).decode() == drawn["image"]
    assert thumbnail.headers["content-type"] == "image/webp"
    small = Image.open(io.BytesIO(thumbnail.content))
    assert (small.format, small.size) == ("WEBP", (256, 128))


@pytest.mark.parametrize("suffix", ["", "/thumbnail"])
def test_a_picture_that_the_client_has_is_not_sent_again(fake: Server, suffix: str) -> None:
    path = f"/images/{fake.draw('cached', width=64, height=64).headers['x-image-id']}{suffix}"
    first = fake.get(path)
    assert "immutable" in first.headers["cache-control"]
    for known in (first.headers["etag"], f"W/{first.headers['etag']}", f'"x", {first.headers["etag"]}', "*"):
        again = fake.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert fake.get(path, headers={"If-None-Match": '"another"'}).status_code == 200


def test_a_deleted_picture_is_gone_from_everywhere(fake: Server) -> None:
    picture = fake.draw("to be deleted", width=64, height=64).headers["x-image-id"]
    etag = fake.get(f"/images/{picture}").headers["etag"]
    assert fake.get(f"/images/{picture}/thumbnail").status_code == 200
    before, files = fake.pictures(), len(list(fake.house.gallery.rglob("*.png")))
    gone = fake.delete(f"/images/{picture}")
    assert (gone.status_code, gone.content) == (204, b"")
    for path in (f"/images/{picture}", f"/images/{picture}/thumbnail"):
        error_of(fake.get(path), 404, "NOT_FOUND")
        error_of(fake.get(path, headers={"If-None-Match": etag}), 404, "NOT_FOUND")
    error_of(fake.delete(f"/images/{picture}"), 404, "NOT_FOUND")
    assert fake.pictures() == before - 1
    assert len(list(fake.house.gallery.rglob("*.png"))) == files - 1


def test_plugins_and_health_answer(fake: Server) -> None:
    assert fake.get("/health").json() == {"status": "ok"}
    plugins = {plugin["name"]: plugin for plugin in fake.get("/plugins").json()}
    assert plugins["gallery_fs"]["status"] == "active"
    fields = {"name", "distribution", "version", "status", "hooks", "error"}
    assert fields == set(plugins["fake_engine"])
    assert plugins["fake_engine"]["distribution"] == "visioncraft-fake-engine"
    assert plugins["fake_engine"]["hooks"] == ["visioncraft_generators", "visioncraft_routers"]

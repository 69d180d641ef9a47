"""What of a request means nothing here, or was not drawn: told beside the picture, wherever a job is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import Server
from visioncraft.cli.output import print_warnings
from visioncraft.images.png import read_record

SIZE = {"width": 64, "height": 64}


def warnings_of(server: Server, **fields: object) -> list[str]:
    answer = server.draw("an apple", **SIZE, **fields)
    assert answer.status_code == 200, answer.text
    told: list[str] = answer.json()["warnings"]
    return told


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("steps", "num_inference_steps"),
        ("num_inference_step", "num_inference_steps"),
        ("n", "num_images"),
        ("batch_size", "num_images"),
        ("size", "width and height"),
        ("cfg_scale", "guidance_scale"),
        ("cfgScale", "guidance_scale"),
        ("guidance", "guidance_scale"),
        ("guidence_scale", "guidance_scale"),
        ("negativePrompt", "negative_prompt"),
        ("sampler_name", "sampler"),
        ("denoising_strength", "strength"),
        ("image", "init_image"),
        ("webhook", "GET /jobs/{id}/events"),
        ("callback_url", "WS /ws"),
        ("response_format", "Accept: image/png"),
    ],
)
def test_a_field_of_another_program_is_told_with_what_is_meant_here(fake: Server, field: str, meant: str) -> None:
    (told,) = warnings_of(fake, **{field: 1})
    assert told.startswith(f"'{field}' is not a field here") and meant in told


def test_a_request_of_the_contract_is_answered_with_the_contracts_fields_alone(fake: Server) -> None:
    assert list(fake.draw("an apple", **SIZE, steps=None).json()) == [
        "image",
        "generation_time",
        "vram_used",
        "model",
        "seed",
        "parameters",
    ]


def test_fields_inside_others_are_told_with_their_place(fake: Server) -> None:
    told = warnings_of(fake, loras=[{"name": "ink", "wieght": 1}], hires={"scale": 2, "denoise": 0.5})
    assert told == [
        "'loras.0.wieght' is not a field here; did you mean loras.0.weight?",
        "'hires.denoise' is not a field here and was ignored",
    ]


def test_however_many_and_however_named_they_are_the_answer_stays_short_and_in_one_line_each(fake: Server) -> None:
    told = warnings_of(fake, **{f"{number}\n{'x' * 500}": [number] for number in range(50)})
    assert len(told) == 17 and told[-1] == "34 further fields are none here either"
    assert all(len(each) < 120 and each.isprintable() for each in told)


def last_word(server: Server, job: str) -> dict[str, Any]:
    lines = server.get(f"/jobs/{job}/events").text.splitlines()
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    document: dict[str, Any] = json.loads(data[-1])
    return document


def test_an_engines_own_warnings_reach_every_answer_about_its_job_and_the_picture(fake: Server) -> None:
    job = fake.post("/jobs", {"prompt": "warns the word ink is not known", **SIZE, "steps": 3}).json()
    asked = "'steps' is not a field here; num_inference_steps is"
    assert job["warnings"] == [asked]
    ended = fake.ended(job["id"])
    assert ended["warnings"] == [asked, "the word ink is not known"]
    assert last_word(fake, job["id"])["warnings"] == ended["warnings"]
    record = read_record(fake.get(ended["image"]["url"]).content)
    assert record is not None and record.warnings == ["the word ink is not known"]
    assert fake.draw("warns again", **SIZE).json()["warnings"] == ["again"]


def test_the_command_line_tells_them_on_stderr(fake: Server, capsys: pytest.CaptureFixture[str]) -> None:
    done = fake.house.command("generate", "warns of ink", "--width", "64", "--height", "64", "-o", "ink.png")
    assert done.returncode == 0, done.stderr
    assert "Warning: of ink" in done.stderr.splitlines() and "Warning" not in done.stdout
    print_warnings(["\x1b[2Jgone\u202e"])
    assert capsys.readouterr().err == "Warning: \\x1b[2Jgone\\u202e\n"


def test_what_a_gallery_is_asked_wrongly_is_told_beside_what_it_shows(fake: Server) -> None:
    shown = fake.draw("to look for", **SIZE).headers["x-image-id"]
    page = fake.get("/gallery?image_data=false&favorite=true&search=apple").json()
    assert page["warnings"] == [
        "'favorite' is not a field here; did you mean favourite?",
        "'search' is not a field here; q is",
    ]
    assert "warnings" not in fake.get("/gallery?image_data=false&tag=&limit=1").json()
    assert "favourite" in fake.get("/gallery/export?favorite=true&q=nothing").headers["x-warnings"]
    marked = fake.client.patch(f"/images/{shown}", json={"favorite": True, "rating": 3}).json()
    assert (marked["favourite"], marked["rating"]) == (False, 3) and "favourite" in marked["warnings"][0]
    assert "warnings" not in fake.client.patch(f"/images/{shown}", json={"favourite": True}).json()


def test_every_other_question_tells_what_means_nothing_in_it(fake: Server) -> None:
    shown = fake.draw("to be deleted", **SIZE).headers["x-image-id"]
    answers = [
        (fake.post("/load_model", {"model": "fake", "device": "cuda"}), "device"),
        (fake.post("/images/delete", {"ids": [shown], "permanently": True}), "permanently"),
        (fake.get("/jobs?limit=1&state=failed"), "status is"),
    ]
    for answer, said in answers:
        assert answer.status_code == 200 and said in answer.json()["warnings"][0]
    exact = {"/load_model": {"model": "fake"}, "/images/delete": {"ids": [shown]}}
    assert all("warnings" not in fake.post(path, body).json() for path, body in exact.items())
    assert "warnings" not in fake.get("/jobs?limit=1&status=succeeded").json()

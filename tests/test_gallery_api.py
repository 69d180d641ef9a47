"""The gallery over HTTP beyond the contract: cursors, searches, marks, exports, bulk deletes, replays."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from harness import House, Server, error_of, fake_house, served
from PIL import Image

SMALL = {"width": 64, "height": 64}


@pytest.fixture(autouse=True)
def _empty(fake: Server) -> Iterator[None]:
    """Each test has the gallery to itself."""
    yield
    while ids := [image["id"] for image in listed(fake, "limit=500")["images"]]:
        assert fake.post("/images/delete", {"ids": ids}).json()["not_found"] == []


def listed(server: Server, query: str = "") -> dict[str, Any]:
    answer = server.get(f"/gallery?image_data=false&{query}")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def drawn(server: Server, prompt: str = "red apple", **fields: object) -> str:
    answer = server.draw(prompt, **{**SMALL, **fields})
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-image-id"])


def test_cursors_lead_through_the_gallery_while_it_grows(fake: Server) -> None:
    ids = [drawn(fake, f"number {number}") for number in range(7)]
    page, seen = listed(fake, "limit=3"), []
    while True:
        seen += [image["id"] for image in page["images"]]
        if page["next_cursor"] is None:
            break
        drawn(fake, "newer")
        page = listed(fake, f"limit=3&cursor={page['next_cursor']}")
    assert seen == ids[::-1]
    assert listed(fake, "limit=3&sort=oldest")["images"][0]["id"] == ids[0]


def test_words_filters_and_orders_narrow_the_gallery_down(fake: Server) -> None:
    apple, pear = (
        drawn(fake, "a red apple", seed=5),
        drawn(fake, "a green pear", model="fake-few-steps", num_inference_steps=2, guidance_scale=1, seed=6),
    )
    fake.client.patch(f"/images/{apple}", json={"tags": ["Fruit "], "rating": 2})
    fake.client.patch(f"/images/{pear}", json={"tags": ["fruit", "tree"], "rating": 5, "favourite": True})
    expected = {
        "q=apple": [apple],
        "q=app*": [apple],
        "q=%22green+pear%22": [pear],
        "q=a": [pear, apple],
        "tag=FRUIT": [pear, apple],
        "tag=fruit&tag=tree": [pear],
        "favourite=true": [pear],
        "favourite=false": [apple],
        "min_rating=3": [pear],
        "sort=rating": [pear, apple],
        "sort=oldest": [apple, pear],
        "seed=5": [apple],
        "width=64&height=64": [pear, apple],
        "width=63": [],
        "generator=fake_engine": [pear, apple],
        "generator=nobody": [],
        "model=fake-few-steps": [pear],
        "since=2020-01-01": [pear, apple],
        "since=2020-01-01T00:00:00Z&until=2021-01-01T00:00:00Z": [],
    }
    for query, ids in expected.items():
        page = listed(fake, query)
        assert [image["id"] for image in page["images"]] == ids, query
        assert (page["total_count"], page["total_is_exact"]) == (len(ids), True), query


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("cursor=x", "cursor"),
        ("cursor=oldest.0.5", "cursor"),
        ("sort=best", "sort"),
        ("min_rating=6", "min_rating"),
        ("since=yesterday", "since"),
        ("since=2026", "since"),  # not 2026 seconds after 1970
        ("until=20261123", "until"),
        ("since=2026-11-23T12:00:00+01:00", "since"),  # a + that is not escaped is a space
        (f"seed={2**63}", "seed"),
        ("tag=%20", "tag.0"),
        ("q=" + "q" * 501, "q"),
        ("favourite=perhaps", "favourite"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused_by_field(query: str, field: str, fake: Server) -> None:
    for route in ("/gallery", "/gallery/export"):
        if field == "cursor" and route != "/gallery":
            continue
        details = error_of(fake.get(f"{route}?{query}"), 400, "VALIDATION_ERROR")["details"]
        assert details["field"] == field


def test_empty_fields_of_a_form_restrict_nothing(fake: Server) -> None:
    """A browser sends every field of a form, filled in or not."""
    pictures = {drawn(fake), drawn(fake, "a green pear")}
    description = fake.get("/openapi.json").json()["paths"]
    for path in ("/gallery", "/gallery/export"):
        names = [each["name"] for each in description[path]["get"]["parameters"] if each["in"] == "query"]
        assert len(names) >= 12
        for query in (*(f"{name}=" for name in names), "tag=&tag=", "&".join(f"{name}=" for name in names)):
            answer = fake.get(f"{path}?{query}")
            assert answer.status_code == 200, f"{query}: {answer.text}"
            if path == "/gallery":
                assert {image["id"] for image in answer.json()["images"]} == pictures, query
    assert listed(fake, "q=pear&width=&tag=&limit=")["total_count"] == 1


def test_a_refusal_says_in_words_of_ours_what_is_wrong(fake: Server) -> None:
    said = error_of(fake.get("/gallery?until=yesterday"), 400, "VALIDATION_ERROR")["details"]["issue"]
    assert said.startswith("no time as 2026-11-23 or ")
    answer = fake.client.patch(f"/images/{drawn(fake)}", json={"notes": "n" * 10_001})
    assert "at most 10000 characters" in error_of(answer, 400, "VALIDATION_ERROR")["details"]["issue"]


def test_marks_are_changed_one_by_one_and_the_picture_is_not(fake: Server) -> None:
    picture = drawn(fake)
    before = fake.get(f"/images/{picture}")
    answer = fake.client.patch(f"/images/{picture}", json={"tags": ["b", "A", "a"], "notes": "mine, 苹果"})
    assert answer.status_code == 200
    entry = fake.client.patch(f"/images/{picture}", json={"rating": 4.0, "favourite": True, "notes": None}).json()
    said = {"tags": ["a", "b"], "favourite": True, "rating": 4, "notes": "mine, 苹果"}
    assert {name: entry[name] for name in said} == said
    assert {name: listed(fake)["images"][0][name] for name in said} == said
    after = fake.get(f"/images/{picture}")
    assert (after.content, after.headers["etag"]) == (before.content, before.headers["etag"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"rating": 6}, "rating"),
        ({"rating": "5"}, "rating"),
        ({"favourite": 1}, "favourite"),
        ({"tags": "fruit"}, "tags"),
        ({"tags": [" "]}, "tags.0"),
        ({"tags": ["x" * 101]}, "tags.0"),
        ({"notes": "n" * 10_001}, "notes"),
        ({"notes": "\ud800"}, "notes"),
    ],
)
def test_marks_that_make_no_sense_are_refused_and_change_nothing(body: object, field: str, fake: Server) -> None:
    picture = drawn(fake)
    content = json.dumps(body).encode()
    answer = fake.client.patch(f"/images/{picture}", content=content, headers={"Content-Type": "application/json"})
    assert error_of(answer, 400, "VALIDATION_ERROR")["details"]["field"] == field
    image = listed(fake)["images"][0]
    assert (image["tags"], image["favourite"], image["rating"], image["notes"]) == ([], False, 0, "")


def test_marks_of_no_picture_are_not_found(fake: Server) -> None:
    answer = fake.client.patch("/images/img_01kb0v7m3qj4x5n6p7r8s9t0ab", json={"rating": 1})
    assert "img_01kb0v7m3qj4x5n6p7r8s9t0ab" in error_of(answer, 404, "NOT_FOUND")["message"]


def test_an_export_is_a_zip_of_what_the_filters_find(fake: Server) -> None:
    ids = [drawn(fake, f"export {number}") for number in range(3)]
    drawn(fake, "another")
    fake.client.patch(f"/images/{ids[1]}", json={"tags": ["kept"]})
    with fake.client.stream("GET", "/gallery/export?q=export") as answer:
        assert answer.headers["content-type"] == "application/zip"
        assert "content-length" not in answer.headers
        content = answer.read()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        pictures = {archive.read(name) for name in names if name.endswith(".png")}
        (marks,) = (json.loads(archive.read(name)) for name in names if name.endswith(".json"))
    assert pictures == {fake.get(f"/images/{each}").content for each in ids}
    assert marks["tags"] == ["kept"]
    assert zipfile.ZipFile(io.BytesIO(fake.get("/gallery/export?q=nothing").content)).namelist() == []


def test_an_export_unpacked_is_a_gallery(fake: Server, tmp_path_factory: pytest.TempPathFactory) -> None:
    picture = drawn(fake)
    entry = fake.client.patch(f"/images/{picture}", json={"rating": 3, "tags": ["x"]}).json()
    house = fake_house(tmp_path_factory.mktemp("other"))
    with zipfile.ZipFile(io.BytesIO(fake.get("/gallery/export").content)) as archive:
        archive.extractall(house.gallery)
    with served(house) as other:
        assert listed(other)["images"] == [entry]
        assert other.get(f"/images/{picture}").content == fake.get(f"/images/{picture}").content


def test_several_pictures_are_deleted_at_once(fake: Server) -> None:
    ids = [drawn(fake) for _ in range(3)]
    asked = [ids[0], ids[2], ids[0], "img_01kb0v7m3qj4x5n6p7r8s9t0ab", "../x"]
    done = fake.post("/images/delete", {"ids": asked}).json()
    assert done == {"deleted": [ids[0], ids[2]], "not_found": asked[3:]}
    assert [image["id"] for image in listed(fake)["images"]] == [ids[1]]
    for body in ("{}", '{"ids": []}', json.dumps({"ids": ["x"] * 1001}), '{"ids": [5]}', '{"ids": ["\\ud800"]}'):
        answer = fake.client.post("/images/delete", content=body, headers={"Content-Type": "application/json"})
        error_of(answer, 400, "VALIDATION_ERROR")
    assert fake.pictures() == 1


def test_a_replay_draws_the_same_picture_from_what_is_inside_the_file(fake: Server) -> None:
    first = fake.draw("noise", **SMALL, seed=77, negative_prompt="n", num_inference_steps=16, guidance_scale=3.5)
    picture = first.headers["x-image-id"]
    answer = fake.post(f"/images/{picture}/replay")
    assert answer.status_code == 202
    job = fake.ended(answer.json()["id"])
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    again = job["image"]
    assert again["id"] != picture
    assert {**job["parameters"]} == first.json()["parameters"]
    assert (job["seed"], job["model"]) == (77, "fake")
    assert pixels(fake, again["id"]) == pixels(fake, picture)


def pixels(server: Server, picture: str) -> bytes:
    with Image.open(io.BytesIO(server.get(f"/images/{picture}").content)) as image:
        return image.tobytes()


def test_a_replay_by_the_embedded_model_is_the_same_to_the_last_pixel(real: Server) -> None:
    asked = {"model": "visioncraft-mini", "seed": 7, "width": 256, "height": 256, "num_inference_steps": 4}
    picture = real.draw("red apple", **asked).headers["x-image-id"]
    job = real.ended(real.post(f"/images/{picture}/replay").json()["id"])
    assert pixels(real, job["image"]["id"]) == pixels(real, picture)


def test_a_replay_on_the_command_line_draws_the_same_picture(house: House) -> None:
    with served(house) as server:
        picture = server.draw("noise", **SMALL, seed=5).headers["x-image-id"]
        expected = pixels(server, picture)
    (file,) = house.gallery.rglob("*.png")
    house.env = {"FORCE_COLOR": "1", "TTY_INTERACTIVE": "1"}
    for named in (picture, str(file)):
        done = house.command("gallery", "replay", named, "-o", str(house.folder / "again.png"))
        assert done.returncode == 0, done.stderr
        assert "drawn by fake, 64x64, seed 5" in done.stdout
        assert "fake: " in done.stderr and "20/20" in done.stderr  # the bar that `visioncraft generate` shows
        with Image.open(house.folder / "again.png") as again:
            assert again.tobytes() == expected
    house.env = {}
    done = house.command("gallery", "replay", picture, "-o", str(house.folder / "nowhere" / "again.png"))
    assert done.returncode == 1 and done.stderr.endswith("choose another file with -o\n")
    assert len(list(house.gallery.rglob("*.png"))) == 3  # told before anything was drawn
    for named in ("img_01kb0v7m3qj4x5n6p7r8s9t0ab", str(house.folder / "settings.toml")):
        done = house.command("gallery", "replay", named)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and done.stderr.startswith("Error: ")


def test_a_torn_picture_is_named_where_it_cannot_be_used(house: House) -> None:
    with served(house) as server:
        picture = server.draw("red apple", **SMALL).headers["x-image-id"]
        (file,) = house.gallery.rglob("*.png")
        file.write_bytes(file.read_bytes()[:300])
        said = error_of(server.get(f"/images/{picture}/thumbnail"), 503, "SERVICE_UNAVAILABLE")["message"]
        assert file.name in said and str(file) not in said and "restore it from a copy" in said
        said = error_of(server.post(f"/images/{picture}/replay"), 503, "SERVICE_UNAVAILABLE")["message"]
        assert picture in said and "restore its file from a copy" in said
        assert listed(server)["total_count"] == 1
        file.unlink()
        file.mkdir()
        for answer in (server.get(f"/images/{picture}"), server.get(f"/images/{picture}/thumbnail")):
            assert "cannot be read" in error_of(answer, 503, "SERVICE_UNAVAILABLE")["message"]
            assert str(house.folder) not in answer.text


def test_a_full_disk_refuses_before_anything_is_drawn(house: House) -> None:
    house.tables["plugins.config.gallery_fs"] = {"min_free_mb": 2**40}
    with served(house) as server:
        for answer in (server.draw("red apple", **SMALL), server.post("/jobs", {"prompt": "red apple"})):
            message = error_of(answer, 503, "SERVICE_UNAVAILABLE")["message"]
            assert "the disk is full" in message and "free some space" in message
            assert message.startswith("gallery: ") and str(house.folder) not in answer.text
            assert f"{house.gallery}: the disk is full" in server.log.read_text("utf-8"), "where it is, the log says"
        assert server.get("/fake/seen").json() == []
        assert server.get("/gallery").status_code == 200

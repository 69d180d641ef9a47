"""What plugin API 1.1 opens, through the three examples that use it, on one server behind a token."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from harness import FAKES, ROOT, SUPPORT, House, Server, error_of, served
from PIL import Image
from visioncraft import read_record

EXAMPLES = ROOT / "examples"
NEW = ("palette", "postcard", "frame")
TOKEN = "the-token-of-these-tests-0123456789"
KEYED = """
from visioncraft import Identity, hookimpl
class Keys:
    async def authenticate(self, headers):
        if headers.get("x-api-key") == "break":
            raise RuntimeError("the directory is down")
        return Identity("ada") if headers.get("x-api-key") == "adas-key" else None
@hookimpl
def visioncraft_authenticators():
    return [Keys()]
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a token, the three examples and an authenticator."""
    folders = [EXAMPLES / f"visioncraft-{name}" for name in NEW]
    house = House(tmp_path_factory.mktemp("opened"), env={"VISIONCRAFT_TOKEN": TOKEN}, path=[SUPPORT, *folders])
    for name in NEW:
        house.install(f"visioncraft-{name}", f"visioncraft_{name}")
        _rename_point(house, name)
    house.install("visioncraft-fake-engine", "fake_engine")
    house.install("visioncraft-keyed", "keyed", KEYED)
    house.tables["plugins"] = {"enabled": [*FAKES, *NEW, "keyed"], "trusted": ["fake_engine", *NEW, "keyed"]}
    house.tables[""] = {"default_model": "palette"}
    with served(house) as server:
        yield server


def _rename_point(house: House, name: str) -> None:
    """An entry point has the plugin's short name, its module the long one, as the example's pyproject has it."""
    file = house.site / f"visioncraft_{name}-1.2.3.dist-info" / "entry_points.txt"
    file.write_text(f"[visioncraft]\n{name} = visioncraft_{name}\n", "utf-8")


def pixel(png: bytes) -> tuple[int, int, int]:
    found = Image.open(io.BytesIO(png)).convert("RGB").getpixel((0, 0))
    assert isinstance(found, tuple)
    return found[0], found[1], found[2]


def stranger(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=server.client.timeout)


def test_a_router_submits_a_job_and_answers_the_image(opened: Server) -> None:
    answer = opened.get("/postcard?text=hello")
    assert answer.status_code == 200, answer.text
    assert Image.open(io.BytesIO(answer.content)).size == (256, 128)
    job = opened.get(f"/jobs/{answer.headers['x-job-id']}").json()
    assert (job["status"], job["model"], job["parameters"]["palette"]) == ("succeeded", "palette", "warm")
    assert answer.content == opened.get(job["image"]["url"]).content, "the gallery has the same bytes"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/postcard?text=%20", "no postcard: Invalid prompt provided"),
        ("/postcard", "no postcard: Invalid text provided"),
        ("/postcard?text=a&model=nobodys", "no postcard: Model 'nobodys' not available"),
    ],
)
def test_its_errors_leave_in_its_own_form(opened: Server, path: str, words: str) -> None:
    answer = opened.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert answer.text.startswith(words)


def test_refusals_of_the_servers_guards_leave_in_its_form_too(opened: Server) -> None:
    with stranger(opened) as client:
        unknown = client.get("/postcard?text=a")
        assert (unknown.status_code, unknown.text[:13]) == (401, "no postcard: ")
        error_of(client.get("/gallery"), 401, "AUTHENTICATION_ERROR")
    large = opened.client.request("GET", "/postcard?text=a", content=b"x" * 2000)
    assert (large.status_code, large.text) == (400, "no postcard: Invalid body provided\n")
    error_of(opened.get("/nowhere"), 404, "NOT_FOUND")


def test_a_signed_url_opens_its_image_and_nothing_else(opened: Server) -> None:
    answer = opened.get("/postcard?text=signed")
    url = httpx.URL(answer.headers["x-image-url"])
    with stranger(opened) as nobody:
        assert nobody.get(url).content == answer.content
        assert nobody.head(url).status_code == 200
        refused = [
            nobody.get(url.copy_with(path=f"{url.path}/thumbnail")),
            nobody.get(f"/gallery?{url.query.decode()}"),
            nobody.get(url.copy_set_param("exp", "99999999999")),
            nobody.get(url.copy_set_param("sig", "ü" * 32)),
            nobody.delete(url),
        ]
    assert [each.status_code for each in refused] == [401] * len(refused)


def test_an_image_says_in_which_dialect_it_was_asked_for(opened: Server) -> None:
    record = read_record(opened.get("/postcard?text=by+post").content)
    assert record is not None and record.facts["dialect"] == "postcard"


def test_a_page_is_open_behind_a_token_and_what_it_shows_is_not(opened: Server) -> None:
    with stranger(opened) as client:
        page = client.get("/frame/")
        assert page.status_code == 200 and "frame.js" in page.text
        assert "Bearer" in client.get("/frame/frame.js").text
        assert client.get("/framed").status_code == 401
        assert client.get("/frame/../gallery").status_code == 401


def test_a_declared_parameter_is_shown_taken_kept_and_replayed(opened: Server) -> None:
    shown = opened.get("/models").json()["local_models"]["palette"]
    assert shown["parameters"]["palette"]["enum"] == ["warm", "cold", "grey"]
    assert shown["defaults"] == {"num_inference_steps": 1, "guidance_scale": 1.0, "width": 256, "height": 128}
    assert (shown["licence"], shown["engines"]) == ("MIT", ["palette"])
    drawn = opened.post("/generate", {"prompt": "a", "palette": "cold"}).json()
    assert drawn["parameters"]["palette"] == "cold" and "warnings" not in drawn
    newest = opened.get("/gallery?limit=1&image_data=false").json()["images"][0]
    png = opened.get(newest["url"]).content
    record = read_record(png)
    assert record is not None and record.parameters["palette"] == "cold" and pixel(png)[2] > pixel(png)[0]
    again = opened.ended(opened.client.post(f"/images/{record.id}/replay").json()["id"])
    assert (again["parameters"]["palette"], again["warnings"]) == ("cold", [])


def test_a_form_takes_it_too(opened: Server) -> None:
    answer = opened.client.post("/generate", files={"prompt": (None, "a"), "palette": (None, "grey")})
    assert answer.json()["parameters"]["palette"] == "grey", answer.text


def test_a_wrong_value_and_a_model_without_it_are_refused_by_name(opened: Server) -> None:
    refused = error_of(opened.post("/generate", {"prompt": "a", "palette": "green"}), 400, "VALIDATION_ERROR")
    assert refused["details"] == {"field": "palette", "issue": "one of: warm, cold, grey, for palette"}
    refused = error_of(
        opened.post("/generate", {"prompt": "a", "palette": "cold", "model": "fake"}), 400, "VALIDATION_ERROR"
    )
    assert refused["details"]["issue"] == "fake has no such parameter; models that have it: palette"


def test_one_key_and_another_palette_are_two_requests(opened: Server) -> None:
    headers = {"Idempotency-Key": "one"}
    first = opened.post("/jobs", {"prompt": "a", "palette": "cold"}, headers=headers).json()["id"]
    assert opened.post("/jobs", {"prompt": "a", "palette": "cold"}, headers=headers).json()["id"] == first
    error_of(opened.post("/jobs", {"prompt": "a", "palette": "grey"}, headers=headers), 400, "VALIDATION_ERROR")


def test_the_command_line_sets_it(opened: Server, tmp_path: Path) -> None:
    file = tmp_path / "cold.png"
    done = opened.house.command("generate", "a", "--set", "palette=cold", "-o", str(file), "--server", opened.url)
    assert done.returncode == 0, done.stderr
    assert pixel(file.read_bytes())[2] > pixel(file.read_bytes())[0]


def test_an_authenticator_lets_its_people_in_by_name_and_one_that_fails_lets_nobody_in(opened: Server) -> None:
    with stranger(opened) as client:
        job = client.post("/jobs", json={"prompt": "a"}, headers={"X-Api-Key": "adas-key"}).json()
        assert job["client"] == "ada"
        error_of(client.get("/gallery", headers={"X-Api-Key": "nobodys"}), 401, "AUTHENTICATION_ERROR")
        error_of(client.get("/gallery", headers={"X-Api-Key": "break"}), 401, "AUTHENTICATION_ERROR")

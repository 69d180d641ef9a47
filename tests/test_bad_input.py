"""Bad input, as a client would try it: each gets the envelope, changes nothing, and the next one is served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Server, envelope_of, error_of

KEY = "the-key-that-stays"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def unharmed(fake: Server) -> Iterator[None]:
    """Afterwards the gallery and the keys are as they were, and the next request is served."""
    pictures = fake.pictures()
    assert fake.post("/api-key", {"service": "leonardo-api", "api_key": KEY}).status_code == 200
    yield
    assert fake.pictures() == pictures
    assert json.loads(fake.house.keys.read_text("utf-8")) == {"leonardo-api": KEY}
    next_one = fake.draw("the next request", width=64, height=64)
    assert next_one.status_code == 200
    assert fake.delete(f"/images/{next_one.headers['x-image-id']}").status_code == 204


def refused_field(fake: Server, body: str | bytes, field: str, path: str = "/generate") -> str:
    """Post these very bytes; they are refused and the field at fault is named."""
    status, content = fake.raw("POST", path, body.encode() if isinstance(body, str) else body, JSON)
    assert status == 400, content
    details = envelope_of(content, "VALIDATION_ERROR")["details"]
    assert details["field"] == field
    return str(details["issue"])


@pytest.mark.parametrize(
    "prompt",
    [
        '""',
        '"   "',
        '"\\n\\t"',
        json.dumps("x" * 100000),
        '"a\\u0000b"',
        '"bell \\u0007"',
        '"\\u009f"',
        '"\\ud800"',
        '"\\udfff tail"',
        "null",
        "[]",
        "{}",
        "20",
        "true",
    ],
)
@pytest.mark.parametrize("path", ["/generate", "/jobs"])
def test_a_prompt_that_cannot_be_drawn_is_refused(fake: Server, path: str, prompt: str) -> None:
    refused_field(fake, f'{{"prompt": {prompt}}}', "prompt", path)


def test_a_prompt_that_is_missing_is_named(fake: Server) -> None:
    assert refused_field(fake, "{}", "prompt") == "required, but absent"


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", '"7.5"', "true", "[]", "{}", "-1"]
)
def test_a_guidance_that_is_no_number_in_range_is_refused(fake: Server, value: str) -> None:
    refused_field(fake, f'{{"prompt": "x", "guidance_scale": {value}}}', "guidance_scale")


@pytest.mark.parametrize(
    "value",
    ["0", "-8", "7", "511", "512.5", "99999999", "1" + "0" * 400, "NaN", "1e999", '"512"', "true", "[]", "{}"],
)
@pytest.mark.parametrize("field", ["width", "height"])
def test_a_size_that_is_none_is_refused(fake: Server, field: str, value: str) -> None:
    refused_field(fake, f'{{"prompt": "x", "{field}": {value}}}', field)


@pytest.mark.parametrize("value", [str(2**63), str(2**64 + 1), "-2", "1e30", "1" + "0" * 4000, "0.5", '"1"', "false"])
def test_a_seed_beyond_63_bits_is_refused(fake: Server, value: str) -> None:
    refused_field(fake, f'{{"prompt": "x", "seed": {value}}}', "seed")


@pytest.mark.parametrize("value", ['"20"', "true", "[]", "{}", "19.5", "-20", "1e999", "null"])
def test_steps_of_a_wrong_type_are_refused_and_null_is_the_default(fake: Server, value: str) -> None:
    body = f'{{"prompt": "x", "num_inference_steps": {value}, "width": {7 if value == "null" else 512}}}'
    refused_field(fake, body, "width" if value == "null" else "num_inference_steps")


@pytest.mark.parametrize("field", ["negative_prompt", "model", "sampler", "leonardo_model", "aspect_ratio", "quality"])
@pytest.mark.parametrize("value", ["1", "true", "[]", '"\\ud800"', json.dumps("y" * 100_000)])
def test_a_text_field_that_is_no_fitting_text_is_refused(fake: Server, field: str, value: str) -> None:
    refused_field(fake, f'{{"prompt": "x", "{field}": {value}}}', field)


@pytest.mark.parametrize("model", ["", " ", "../../etc/passwd", "/etc/passwd", "a\u0000b", "%2e%2e%2f", "x" * 200])
@pytest.mark.parametrize("path", ["/generate", "/load_model"])
def test_a_model_that_nobody_has_is_refused(fake: Server, path: str, model: str) -> None:
    answer = fake.post(path, {"prompt": "x", "model": model})
    assert answer.status_code in (400, 404)
    assert envelope_of(answer.content)["code"] in ("VALIDATION_ERROR", "MODEL_NOT_AVAILABLE")


@pytest.mark.parametrize("path", ["/generate", "/jobs", "/load_model", "/api-key"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"prompt": "x",}',
        b"[]",
        b'"text"',
        b"null",
        b"17",
        b"\xff\xfe{}",
        b'{"prompt": "\xff"}',
        b"\x00",
        b'{"a":' * 20000 + b"1" + b"}" * 20000,
        b"[" * 200000,
        b"{" + b'"a":1,' * 10 + b"}",
    ],
)
def test_a_body_that_is_no_json_object_is_refused(fake: Server, path: str, body: bytes) -> None:
    status, content = fake.raw("POST", path, body, JSON)
    assert status == 400, content[:200]
    envelope_of(content, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense", ""]
)
def test_a_wrong_content_type_is_refused_and_told_the_right_one(fake: Server, kind: str) -> None:
    status, content = fake.raw("POST", "/generate", b'{"prompt": "x"}', {"Content-Type": kind})
    assert status == 400
    assert "application/json" in envelope_of(content, "VALIDATION_ERROR")["details"]["issue"]


def test_unknown_fields_are_ignored_as_clients_send_dozens(fake: Server) -> None:
    extra: dict[str, Any] = {f"field_{number}": number for number in range(50)}
    body = json.dumps({"prompt": "x", "width": 64, "height": 64, "enable_hr": [{}], **extra})
    status, content = fake.raw("POST", "/generate", body[:-1] + ', "nan": NaN}', JSON)
    assert status == 200
    assert "field_1" not in str(json.loads(content)["parameters"])
    newest = fake.get("/gallery?limit=1&image_data=false").json()["images"][0]["id"]
    assert fake.delete(f"/images/{newest}").status_code == 204


@pytest.mark.parametrize("path", ["/generate", "/api-key", "/jobs"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_50_mb_is_refused_by_its_announced_length_or_while_it_is_read(
    fake: Server, path: str, chunked: bool
) -> None:
    megabyte = b'{"prompt": "' + b"x" * 2**20
    answer = fake.client.post(path, content=(megabyte for _ in range(50)) if chunked else megabyte * 50, headers=JSON)
    details = error_of(answer, 400, "VALIDATION_ERROR")["details"]
    assert details["field"] == "body" and "at most" in details["issue"]


HOSTILE_IDS = [
    "..",
    "../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fapi_keys.json",
    "%2e%2e",
    "%00",
    "img_01kb0v7m3qj4x5n6p7r8s9t0ab%00",
    "img_01kb0v7m3qj4x5n6p7r8s9t0ab.png",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "%ff%fe",
    "%ed%a0%80",
    "C:%5cwindows",
    "~root",
    "x" * 10_000,
    "img_" + "0" * 10_000,
    "*",
    "%25",
    "job_01kb0v7m3qj4x5n6p7r8s9t0ab",
]


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("path", ["/images/", "/jobs/"])
def test_a_hostile_id_is_nothing_to_be_found(fake: Server, path: str, method: str, hostile: str) -> None:
    status, content = fake.raw(method, path + hostile)
    assert status in (404, 405), content
    error = envelope_of(content)
    assert error["code"] in ("NOT_FOUND", "METHOD_NOT_ALLOWED")
    assert b"root:" not in content and len(content) < 2000


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
def test_a_hostile_id_has_no_thumbnail(fake: Server, hostile: str) -> None:
    status, content = fake.raw("GET", f"/images/{hostile}/thumbnail")
    assert status == 404
    envelope_of(content, "NOT_FOUND")


@pytest.mark.parametrize(
    "target", ["/docs-assets/../../../etc/passwd", "/docs-assets/%2e%2e/%2e%2e/core.py", "//", "/%"]
)
def test_a_hostile_path_is_nothing_to_be_found(fake: Server, target: str) -> None:
    status, content = fake.raw("GET", target)
    assert status == 404
    envelope_of(content, "NOT_FOUND")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=1e3", "limit"),
        ("limit=", "limit"),
        ("limit=501", "limit"),
        ("offset=-1", "offset"),
        (f"offset={10**30}", "offset"),
        ("offset=NaN", "offset"),
        ("offset=%00", "offset"),
        ("image_data=maybe", "image_data"),
        ("model=" + "m" * 10000, "model"),
    ],
)
def test_a_gallery_query_that_makes_no_sense_is_refused(fake: Server, query: str, field: str) -> None:
    answer = fake.get(f"/gallery?{query}")
    assert error_of(answer, 400, "VALIDATION_ERROR")["details"]["field"] == field


@pytest.mark.parametrize("model", ["%00", "%ff", "' OR 1=1 --", "%25", "_", "../"])
def test_a_gallery_filter_that_fits_nothing_finds_nothing(fake: Server, model: str) -> None:
    fake.draw("kept", width=64, height=64)
    answer = fake.get(f"/gallery?model={model}")
    assert (answer.status_code, answer.json()["images"]) == (200, [])
    newest = fake.get("/gallery?limit=1&image_data=false").json()["images"][0]["id"]
    fake.delete(f"/images/{newest}")


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "evil.example:8000", "", "a b", "[::1", "*"]
)
def test_a_foreign_host_is_refused(fake: Server, host: str) -> None:
    for path in ("/", "/gallery", "/docs"):
        status, content = fake.raw("GET", path, headers={"Host": host})
        assert status == 403
        envelope_of(content, "FORBIDDEN")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost.evil.example", "null", "http://localhost:1@e.x"]
)
def test_a_foreign_origin_is_refused(fake: Server, origin: str) -> None:
    for method, path in (("GET", "/gallery"), ("POST", "/generate"), ("OPTIONS", "/generate"), ("DELETE", "/images/x")):
        status, content = fake.raw(method, path, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
        assert status == 403
        envelope_of(content, "FORBIDDEN")


def test_an_origin_of_this_machine_is_welcome(fake: Server) -> None:
    asked = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    preflight = fake.client.options("/generate", headers={**asked, "Access-Control-Request-Headers": "content-type"})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "http://localhost:3000"


@pytest.mark.parametrize("failing", ["/fake/crash", "/nowhere", "/gallery?limit=x"])
def test_a_page_can_read_what_went_wrong(fake: Server, failing: str) -> None:
    answer = fake.get(failing, headers={"Origin": "http://localhost:3000"})
    assert envelope_of(answer.content)
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"


@pytest.mark.parametrize(
    ("body", "field"),
    [({"service": "leonardo-api"}, "api_key"), ({"api_key": "abcdefgh"}, "service")]
    + [({"service": name, "api_key": "abcdefgh"}, "service") for name in ("", "../x", "s" * 10_000, "a\u0000", 1, None)]
    + [({"service": "leonardo-api", "api_key": key}, "api_key") for key in ("", "short", "with space", "new\nline")]
    + [
        ({"service": "leonardo-api", "api_key": key}, "api_key")
        for key in ("k" * 10_000, "ключ-ключ", 1, None, [], True)
    ],
)
def test_a_key_that_is_none_is_refused_and_never_repeated(fake: Server, body: dict[str, Any], field: str) -> None:
    answer = fake.post("/api-key", body)
    assert error_of(answer, 400, "VALIDATION_ERROR")["details"]["field"] == field
    assert len(answer.content) < 2000
    key = body.get("api_key")
    if isinstance(key, str) and len(key) > 8:
        assert key not in answer.text

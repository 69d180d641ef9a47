"""Bad input, as a client would try it: each gets the envelope, changes nothing, and the next one is served."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import Server, envelope_of, error_of

pytestmark = pytest.mark.usefixtures("unharmed")
JSON = {"Content-Type": "application/json"}


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
    ("body", "said"),
    [
        ('{"prompt": "ein schöner Apfel"}'.encode("latin-1"), "not valid UTF-8 (byte 0xF6 at position 19)"),
        ('{"prompt": "€"}'.encode("cp1252"), "not valid UTF-8 (byte 0x80"),
        (b'{"prompt": "cut\xe2\x82', "not valid UTF-8"),
        ('{"prompt": "x'.encode("utf-16") + b"\x00", "not valid UTF-16"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"seed": ' + b"1" * 5000 + b"}", "not valid JSON: Exceeds the limit"),
    ],
)
@pytest.mark.parametrize("path", ["/generate", "/images/delete"])
def test_a_body_that_cannot_be_read_is_told_why(fake: Server, path: str, body: bytes, said: str) -> None:
    assert refused_field(fake, body, "body", path).startswith(said)


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


Refused = list[tuple[dict[str, Any], str]]
NO_SERVICES = ("", "../x", "s" * 10_000, "a\u0000", 1, None)
NO_KEYS: tuple[Any, ...] = ("", "short", "with space", "new\nline", "k" * 10_000, "ключ-ключ", 1, None, [], True)
MISSING: Refused = [({"service": "leonardo-api"}, "api_key"), ({"api_key": "abcdefgh"}, "service")]
SERVICES: Refused = [({"service": name, "api_key": "abcdefgh"}, "service") for name in NO_SERVICES]
KEYS: Refused = [({"service": "leonardo-api", "api_key": key}, "api_key") for key in NO_KEYS]


@pytest.mark.parametrize(("body", "field"), [*MISSING, *SERVICES, *KEYS])
def test_a_key_that_is_none_is_refused_and_never_repeated(fake: Server, body: dict[str, Any], field: str) -> None:
    answer = fake.post("/api-key", body)
    assert error_of(answer, 400, "VALIDATION_ERROR")["details"]["field"] == field
    assert len(answer.content) < 2000
    key = body.get("api_key")
    if isinstance(key, str) and len(key) > 8:
        assert key not in answer.text

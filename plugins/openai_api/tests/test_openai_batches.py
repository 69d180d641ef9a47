"""Files and batches with the client of their users, from a line that was sent to its answer in a file."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from batching import ABLE, EDITS, GENERATIONS, ONE_STEP, answers, begin, line, send, until
from harness import Server
from openai import BadRequestError, NotFoundError, OpenAI
from PIL import Image
from visioncraft.testing import PATIENCE_S
from websockets.sync.client import connect


def test_a_file_is_kept_as_it_was_sent_until_it_is_deleted(client: OpenAI) -> None:
    content = "ä\r\n".encode() * 100_000
    file = client.files.create(
        file=("über.jsonl", content),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert (file.filename, file.bytes, file.purpose, file.status) == ("über.jsonl", len(content), "batch", "processed")
    assert file.expires_at == file.created_at + 3600
    assert client.files.retrieve(file.id) == file
    assert client.files.content(file.id).content == content
    assert client.files.delete(file.id).deleted
    for ask in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(NotFoundError, match=file.id):
            ask(file.id)


def test_files_are_listed_page_by_page_in_the_order_of_their_coming(client: OpenAI) -> None:
    sent = [send(client, [], "user_data") for _ in range(3)]
    pages = client.files.list(purpose="user_data", limit=2)
    assert [file.id for file in pages.data] == sent[:0:-1] and pages.has_next_page()
    assert [file.id for file in pages] == sent[::-1]
    assert [file.id for file in client.files.list(purpose="user_data", order="asc", after=sent[0])] == sent[1:]


def test_a_batch_is_drawn_line_by_line_and_answered_in_a_file(client: OpenAI, openai_server: Server) -> None:
    lines = [line(f"apple {number}", seed=number, n=2) for number in range(3)]
    batch = begin(client, lines, metadata={"season": "autumn"})
    assert (batch.status, batch.endpoint, batch.metadata) == ("validating", GENERATIONS, {"season": "autumn"})
    batch = until(client, batch, "completed")
    assert batch.request_counts is not None and batch.usage is not None
    assert batch.request_counts.to_dict() == {"total": 3, "completed": 3, "failed": 0}
    assert batch.created_at <= (batch.in_progress_at or 0) <= (batch.finalizing_at or 0) <= (batch.completed_at or 0)
    assert batch.error_file_id is None and batch.errors is None
    found = answers(client, batch.output_file_id)
    for number in range(3):
        answer = found[f"apple {number}"]
        assert (answer["response"]["status_code"], answer["error"]) == (200, None)
        drawn = answer["response"]["body"]["data"]
        assert [each["seed"] for each in drawn] == [number, number + 1]
        assert Image.open(BytesIO(base64.b64decode(drawn[0]["b64_json"]))).size == (64, 64)
        record = openai_server.get(f"/jobs/{answer['response']['request_id']}").json()
        assert record["priority"] == -100
    assert client.files.retrieve(str(batch.output_file_id)).purpose == "batch_output"
    client.files.delete(str(batch.output_file_id))


def test_a_batch_that_asks_for_urls_is_answered_with_ones_that_open(client: OpenAI, openai_server: Server) -> None:
    batch = until(client, begin(client, [line("one", response_format="url")]), "completed")
    url = answers(client, batch.output_file_id)["one"]["response"]["body"]["data"][0]["url"]
    assert url.startswith(f"{openai_server.url}/images/")
    assert openai_server.client.get(url).headers["content-type"] == "image/png"


def test_an_edit_starts_from_a_data_url_an_image_here_or_a_file(client: OpenAI, apple: bytes) -> None:
    data_url = f"data:image/png;base64,{base64.b64encode(apple).decode()}"
    drawn: Any = client.images.generate(prompt="red apple", size="64x64", extra_body=ONE_STEP).data
    file = client.files.create(file=("apple.png", apple), purpose="vision")
    sent = {
        "data URL": data_url,
        "image": drawn[0].id,
        "file": {"file_id": file.id},
        "listed": [{"image_url": data_url}],
    }
    lines = [line(name, url=EDITS, image=image, **ABLE) for name, image in sent.items()]
    batch = until(client, begin(client, [*lines, line("none", url=EDITS, **ABLE)], EDITS), "completed")
    assert set(answers(client, batch.output_file_id)) == set(sent)
    refused = answers(client, batch.error_file_id)["none"]["response"]
    assert refused["status_code"] == 400 and refused["body"]["error"]["param"] == "image"


def test_lines_that_are_no_requests_or_fail_are_in_the_error_file_and_cost_the_others_nothing(client: OpenAI) -> None:
    lines: list[dict[str, Any] | str] = [
        line("good"),
        "{no JSON",
        line("good"),
        line("url", url="/v1/chat/completions"),
        {**line("method"), "method": "GET"},
        {**line("body"), "body": "red apple"},
        {"url": GENERATIONS, "body": {}},
        "",
        line("no prompt", prompt=""),
        line("crash", prompt="fail: crash"),
    ]
    batch = until(client, begin(client, lines), "completed")
    assert batch.request_counts is not None and batch.errors is not None
    assert batch.request_counts.to_dict() == {"total": 9, "completed": 1, "failed": 8}
    assert set(answers(client, batch.output_file_id)) == {"good"}
    told = [(each.line, each.code) for each in batch.errors.data or []]
    assert told == [
        (2, "invalid_json_line"),
        (3, "duplicate_custom_id"),
        (4, "invalid_url"),
        (5, "invalid_method"),
        (6, "missing_required_parameter"),
        (7, "missing_required_parameter"),
    ]
    text = client.files.content(str(batch.error_file_id)).text
    assert all(str(code) in text for _, code in told) and text.count("\n") == 8 and "hunter2" not in text
    statuses = [text.count(f'"status_code":{status}') for status in (400, 500)]
    assert statuses == [1, 1]


@pytest.mark.parametrize(
    ("lines", "code"), [([], "empty_file"), (["red apple"], "invalid_json_line"), (["\0"] * 3, "invalid_json_line")]
)
def test_a_file_without_any_request_fails_and_says_why(client: OpenAI, lines: list[str], code: str) -> None:
    batch = until(client, begin(client, lines), "failed")
    assert batch.errors is not None and batch.errors.data and batch.errors.data[0].code == code
    assert batch.output_file_id is None and batch.failed_at


_WRONG: dict[str, tuple[str, Callable[[OpenAI, str], object]]] = {
    "purpose": ("purpose", lambda client, file: client.files.create(file=b"{}", purpose="fine-tune")),
    "expiry": (
        "expires_after",
        lambda client, file: client.files.create(
            file=b"{}", purpose="batch", expires_after={"anchor": "created_at", "seconds": 5}
        ),
    ),
    "no form": ("body", lambda client, file: client.post("/files", cast_to=object, body={"purpose": "batch"})),
    "after": ("after", lambda client, file: client.batches.list(after="batch_none")),
    "files after": ("after", lambda client, file: client.files.list(after="file-none")),
    "limit": ("limit", lambda client, file: client.batches.list(limit=101)),
    "file": ("input_file_id", lambda client, file: client.batches.create(**_asked("../batches.sqlite3"))),
    "endpoint": ("endpoint", lambda client, file: client.batches.create(**_asked(file, endpoint="/v1/responses"))),
    "window": ("completion_window", lambda client, file: client.batches.create(**_asked(file, completion_window="1"))),
    "metadata": (
        "metadata",
        lambda client, file: client.batches.create(**_asked(file, metadata={str(n): "" for n in range(17)})),
    ),
}


def _asked(file: str, **more: object) -> Any:
    return {"input_file_id": file, "endpoint": GENERATIONS, "completion_window": "24h", **more}


@pytest.mark.parametrize(("param", "ask"), _WRONG.values(), ids=_WRONG)
def test_what_no_file_or_batch_can_be_made_of_is_refused_by_its_name(
    client: OpenAI, param: str, ask: Callable[[OpenAI, str], object]
) -> None:
    file = send(client, [line("one")])
    with pytest.raises(BadRequestError) as refused:
        ask(client, file)
    assert str(refused.value.param).startswith(param)


@pytest.mark.parametrize("file_id", ["file-none", "..%2Fbatches.sqlite3", "file-" + "0" * 24, "%00"])
def test_no_name_of_a_file_leads_out_of_their_folder(openai_server: Server, file_id: str) -> None:
    for path in (f"/v1/files/{file_id}", f"/v1/files/{file_id}/content", f"/files/{file_id}"):
        assert openai_server.raw("GET", path)[0] == 404


def test_files_and_what_is_known_of_them_are_for_this_user_alone(client: OpenAI, openai_server: Server) -> None:
    send(client, [line("one")])
    folder = openai_server.house.folder / "data" / "openai"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files and not [path for path in files if path.stat().st_mode & 0o077]
    assert folder.stat().st_mode & 0o077 == 0


def test_a_cancelled_batch_lets_what_is_being_drawn_end_and_draws_nothing_more(
    client: OpenAI, openai_server: Server
) -> None:
    batch = begin(client, [line("first", "gated cancel"), line("second", "gated cancel"), line("third")])
    openai_server.reached("cancel", 0)
    assert _wait_until_waiting(openai_server, 1)
    assert client.batches.cancel(batch.id).status == "cancelling"
    assert client.batches.cancel(batch.id).cancelling_at
    openai_server.permit("cancel", 1)
    batch = until(client, batch, "cancelled")
    assert set(answers(client, batch.output_file_id)) == {"first"}
    left = answers(client, batch.error_file_id)
    assert {each["error"]["code"] for each in left.values()} == {"batch_cancelled"} and set(left) == {"second", "third"}
    assert batch.request_counts is not None
    assert batch.request_counts.to_dict() == {"total": 3, "completed": 1, "failed": 2}
    with pytest.raises(BadRequestError, match="cancelled"):
        client.batches.cancel(batch.id)


def test_what_is_not_drawn_within_the_window_expires(client: OpenAI, openai_server: Server) -> None:
    for window in ("1s", "10s", "100s"):  # the longer ones are for a machine that is too busy to begin within a second
        prompt = f"gated expiry{window}"
        batch = begin(client, [line("first", prompt), line("second", prompt)], window=window)
        in_time = _wait_until_waiting(openai_server, 1, patience_s=(batch.expires_at or 0) - time.time())
        if in_time:
            break
        openai_server.permit(f"expiry{window}", 2)
    assert in_time and _wait_until_waiting(openai_server, 0)
    assert time.time() >= (batch.expires_at or 0)
    openai_server.permit(f"expiry{window}", 1)
    batch = until(client, batch, "expired")
    assert batch.expired_at and set(answers(client, batch.output_file_id)) == {"first"}
    assert answers(client, batch.error_file_id)["second"]["error"]["code"] == "batch_expired"


def test_a_batch_keeps_one_line_in_the_queue_and_lets_others_before_it(client: OpenAI, openai_server: Server) -> None:
    lines = [line(str(number), "gated background", seed=number) for number in range(4)]
    batch = begin(client, lines)
    assert _wait_until_waiting(openai_server, 1)
    mine = [
        openai_server.submit(f"gated mine{number}", num_inference_steps=1, model="fake-few-steps", guidance_scale=1.0)
        for number in range(2)
    ]  # all that may wait
    openai_server.permit("background", 1)  # the picture that is being drawn
    for number, job in enumerate(mine):
        openai_server.permit(f"mine{number}", 1)
        assert openai_server.ended(job)["status"] == "succeeded"
    assert client.batches.retrieve(batch.id).request_counts.completed <= 1  # type: ignore[union-attr]
    openai_server.permit("background", 3)
    assert len(answers(client, until(client, batch, "completed").output_file_id)) == 4
    seen = [each["prompt"] for each in openai_server.get("/fake/seen").json()]
    begun = seen.index("gated background")
    expected = ["gated background", "gated mine0", "gated mine1", *["gated background"] * 3]
    assert seen[begun : begun + 6] == expected


def test_batches_are_listed_page_by_page_the_newest_first(client: OpenAI) -> None:
    sent = [until(client, begin(client, [line("one")]), "completed").id for _ in range(3)]
    page = client.batches.list(limit=2)
    assert [batch.id for batch in page.data] == sent[:0:-1] and page.has_next_page()
    assert [batch.id for batch in client.batches.list(limit=1)][:3] == sent[::-1]


def test_a_file_that_is_deleted_is_read_to_the_end_by_its_batch(client: OpenAI, openai_server: Server) -> None:
    batch = begin(client, [line("first", "gated deleted"), line("second")])
    assert _wait_until_waiting(openai_server, 1)
    client.files.delete(batch.input_file_id)
    openai_server.permit("deleted", 1)
    assert len(answers(client, until(client, batch, "completed").output_file_id)) == 2
    assert not (openai_server.house.folder / "data" / "openai" / "files" / batch.input_file_id).exists()


def test_fifty_thousand_lines_are_counted_and_one_more_is_refused(client: OpenAI, openai_server: Server) -> None:
    openai_server.post("/queue/pause")
    try:
        lines = [line(str(number)) for number in range(50_001)]
        batch = until(client, begin(client, lines[:-1]), "in_progress")
        assert batch.request_counts is not None and batch.request_counts.total == 50_000
        client.batches.cancel(batch.id)
        batch = until(client, batch, "cancelled")
        assert batch.request_counts is not None and batch.request_counts.failed == 50_000
        assert client.files.content(str(batch.error_file_id)).text.count("batch_cancelled") == 50_000
        batch = until(client, begin(client, lines), "failed")
        assert batch.errors is not None and batch.errors.data and batch.errors.data[0].code == "too_many_requests"
    finally:
        openai_server.post("/queue/resume")


def _wait_until_waiting(server: Server, count: int, patience_s: float = PATIENCE_S) -> bool:
    """Whether so many jobs came to wait in the queue; looks again at every event of any job."""
    patient_until = time.monotonic() + patience_s
    with connect(f"ws://127.0.0.1:{server.port}/ws") as events:
        while server.get("/queue").json()["queued"] != count:
            try:
                events.recv(max(0.0, patient_until - time.monotonic()))
            except TimeoutError:
                return False
    return True

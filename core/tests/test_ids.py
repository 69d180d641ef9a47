"""Ids and the file names made of them."""

from __future__ import annotations

from datetime import datetime

import pytest
from visioncraft.types.ids import image_filename, is_image_id, is_job_id, new_image_id, new_job_id

IMAGE_ID = "img_01m83krb1qdy96shcvvve1prax"


def test_ids_have_their_shape_and_are_sorted_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [new_image_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(is_image_id(each) for each in ids)
    assert is_job_id(new_job_id()) and not is_image_id(new_job_id())
    later = []
    for moment in (0, 10**9, 1_790_000_000 * 10**9, 9_999_999_999 * 10**9):
        monkeypatch.setattr("time.time_ns", lambda moment=moment: moment)
        later.append(new_image_id())
    assert later == sorted(later)
    assert all(is_image_id(each) for each in later)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "img_",
        "img_123456789",
        IMAGE_ID.upper(),
        IMAGE_ID + "\n",
        IMAGE_ID[:-1] + "u",
        IMAGE_ID[:-1] + "٣",
        "img_8" + IMAGE_ID[5:],
        "img_" + "../" * 9,
    ],
)
def test_nothing_else_is_an_id(text: str) -> None:
    assert is_image_id(IMAGE_ID)
    assert not is_image_id(text)


def test_a_file_is_named_by_its_time_in_utc_and_the_end_of_its_id() -> None:
    moment = datetime.fromisoformat("2026-11-23T01:30:00+02:00")
    assert image_filename(IMAGE_ID, moment) == "generated_image_20261122_233000_e1prax.png"

"""Text that is told to others: fit for where it goes, and without what is nobody's affair there."""

from __future__ import annotations

import pytest
from visioncraft.printing import without_folders


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/home/me/data/gallery: the disk is full", "gallery: the disk is full"),
        ("'/srv/a/b.png' leads outside", "'b.png' leads outside"),
        ("/srv/one/a.png cannot be moved to /srv/two/b.png", "a.png cannot be moved to b.png"),
        ("plugin 'x' cannot be described by /opt/x/bin/python: gone", "plugin 'x' cannot be described by python: gone"),
        ("/srv/pictures of mine/gallery/a.png: gone", "pictures of mine/gallery/a.png: gone"),
        ("job_1 goes on by itself then, see GET /jobs/job_1", "job_1 goes on by itself then, see GET /jobs/job_1"),
        ("POST /v1/images/generations: Not Found", "POST /v1/images/generations: Not Found"),
        ("http://127.0.0.1:8000/images/img_1/thumbnail", "http://127.0.0.1:8000/images/img_1/thumbnail"),
        ("512/512 and/or models/mine/a.safetensors", "512/512 and/or models/mine/a.safetensors"),
    ],
)
def test_a_file_is_told_by_its_own_name(text: str, told: str) -> None:
    assert without_folders(text) == told

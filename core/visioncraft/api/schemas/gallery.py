"""Stored pictures: `/gallery` and `/images`."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field


class GalleryEntry(BaseModel):
    """A stored picture."""

    id: str = Field(examples=["img_01kb0v7m3qj4x5n6p7r8s9t0ab"])
    filename: str = Field(examples=["generated_image_20240207_123456_s9t0ab.png"])
    prompt: str
    negative_prompt: str
    model: str
    seed: int
    generation_time: float
    vram_used: float
    width: int
    height: int
    created_at: datetime
    url: str = Field(description="The PNG itself", examples=["/images/img_01kb0v7m3qj4x5n6p7r8s9t0ab"])
    thumbnail_url: str
    image_data: str | None = Field(None, description="Base64-encoded PNG; absent with image_data=false")


class GalleryAnswer(BaseModel):
    """A page of the gallery, newest first."""

    images: list[GalleryEntry]
    total_count: int
    limit: int
    offset: int

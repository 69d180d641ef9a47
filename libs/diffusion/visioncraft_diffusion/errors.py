"""A model that cannot be loaded."""

from __future__ import annotations


class ModelRefused(Exception):
    """A model that is not loaded. Its text names the file and says what to do about it."""

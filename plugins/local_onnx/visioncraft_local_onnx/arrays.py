"""Names for NumPy's arrays in annotations."""

from __future__ import annotations

from typing import Any, TypeAlias

Floats: TypeAlias = Any
"""An array of float32. NumPy's stubs answer `Any` or float64 wherever an array meets a number, and it is neither."""

"""`[plugins.config.openai_api]`."""

from __future__ import annotations

from pydantic import Field
from visioncraft import PluginSettings


class OpenAISettings(PluginSettings):
    """What files and batches may take.

    Args:
        max_file_mb: The largest file that may be sent, in units of 2**20 bytes.
        max_files_gb: What all files that were sent may take together, in units of 2**30 bytes.
        keep_files_days: How long files are kept whose senders say nothing of it, and what batches have drawn.
    """

    max_file_mb: int = Field(200, ge=1)
    max_files_gb: float = Field(10.0, gt=0, allow_inf_nan=False)
    keep_files_days: float = Field(30.0, gt=0, allow_inf_nan=False)

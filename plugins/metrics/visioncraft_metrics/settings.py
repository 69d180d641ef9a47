"""`[plugins.config.metrics]`."""

from __future__ import annotations

from pydantic import Field
from visioncraft import PluginSettings


class MetricsSettings(PluginSettings):
    """What is measured, and who may read it.

    Args:
        open: Whether `/metrics` answers without a token or key, for a Prometheus that has none. Names of models and of
            keys can be read there; prompts never.
        look_s: Seconds between two looks at memory, gallery and disk: a scrape shows what the last one found.
    """

    open: bool = False
    look_s: float = Field(15.0, ge=1, allow_inf_nan=False)

"""`[plugins.config.leonardo]`."""

from __future__ import annotations

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from visioncraft import KeyService, PluginSettings

SERVICE = KeyService("leonardo-api", "LEONARDO_API_KEY", "Leonardo.ai")


class LeonardoSettings(PluginSettings):
    """How Leonardo.ai is spoken to, and what may be spent there.

    Args:
        base_url: The API's address, https unless its host is one of `private_hosts`.
        daily_budget: What a day (UTC) may cost, in the unit that the plan is billed in; 0 for no bound.
        assumed_cost: What the first picture is taken to cost, in the same unit; later ones go by what was paid before.
        concurrency: Pictures drawn there at once; Leonardo.ai takes 10.
        posts_per_minute: Generations ordered within a minute; Leonardo.ai takes 100.
        time_limit_s: Seconds until a picture that was ordered is given up.
        request_timeout_s: Seconds that one request may take, a picture's download too.
        poll_s, poll_max_s: Seconds between looks at a generation: at first, and at most.
        attempts: How often a request that cannot have done anything is tried, and a picture downloaded.
        reconcile_s: Seconds for which a generation whose answer was lost is looked for.
        breaker_failures, breaker_pause_s: After so many failures in a row nothing is ordered for so many seconds.
        max_picture_bytes: Larger downloads are refused.
        private_hosts: Hosts that may have a private address and be spoken to without TLS, for tests and gateways.
    """

    base_url: str = "https://cloud.leonardo.ai/api/rest/v1"
    daily_budget: float = Field(0.0, ge=0)
    assumed_cost: float = Field(0.05, ge=0)
    concurrency: int = Field(10, ge=1, le=100)
    posts_per_minute: int = Field(100, ge=2)
    time_limit_s: float = Field(300.0, gt=0)
    request_timeout_s: float = Field(30.0, gt=0)
    poll_s: float = Field(1.5, gt=0)
    poll_max_s: float = Field(8.0, gt=0)
    attempts: int = Field(5, ge=1)
    reconcile_s: float = Field(30.0, gt=0)
    breaker_failures: int = Field(5, ge=1)
    breaker_pause_s: int = Field(30, ge=1)
    max_picture_bytes: int = Field(32 * 2**20, ge=2**16)
    private_hosts: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _private_without_tls_only(self) -> Self:
        parts = urlsplit(self.base_url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in self.private_hosts):
            raise ValueError("base_url must begin with https://, because the key is sent there")
        return self

"""What is known of one plugin, and how that is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from visioncraft.plugins.distributions import CORE, OURS

PluginState = Literal["active", "disabled", "failed", "incompatible"]


@dataclass(slots=True)
class PluginInfo:
    """What is known of one plugin, as `visioncraft plugins` and `GET /plugins` show it.

    Args:
        name: The entry point's name, which is also its settings key.
        distribution, version: The installed package it came from.
        status: Whether it serves.
        hooks: The hooks it implements.
        error: Why it does not serve, in one line.
    """

    name: str
    distribution: str
    version: str
    status: PluginState = "active"
    hooks: list[str] = field(default_factory=list)
    error: str | None = None

    @property
    def origin(self) -> str:
        """The plugin with its distribution, for messages."""
        return f"plugin '{self.name}' ({self.distribution} {self.version})"

    @property
    def ours(self) -> bool:
        """Whether it is VisionCraft's own."""
        return self.distribution == CORE or self.distribution in OURS

    @property
    def standing(self) -> str:
        """How it is, for messages: "has failed: …"."""
        verb = {"active": "is in trouble", "failed": "has failed"}.get(self.status, f"is {self.status}")
        return f"{verb}: {self.error}"

    @property
    def way_out(self) -> str:
        """How to go on without it, for messages."""
        return f"`visioncraft plugins disable {self.name}` or `--safe-mode` leaves it out"

    @property
    def overdue(self) -> str:
        """What is said of an import that does not end."""
        return f"its import did not end in time (plugins.import_timeout_s); {self.way_out}"

    def blame(self, said: str, before: str = "") -> None:
        """Add to what is wrong with it, in place of what was said of the same matter before; nothing for no more."""
        others = (self.error or "").replace(before, "").strip("; ") if before else self.error
        self.error = "; ".join(filter(None, (others, said))) or None

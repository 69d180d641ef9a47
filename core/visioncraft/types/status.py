"""What plugins say of themselves and of the devices they draw on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device that draws. Memory in GB (2**30 bytes), 0 for the CPU."""

    device: str = "cpu"
    device_name: str = "CPU"
    vram_total: float = 0.0
    vram_used: float = 0.0
    vram_free: float = 0.0
    cuda_version: str | None = None


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """What a plugin says of itself in `/status`.

    Args:
        name: The backend's id.
        loaded_models: Ids of the models in memory, the most recently used one first.
        device: The device it draws on, where it has one; of several the first.
        devices: All devices it draws on, where there are several (since plugin API 1.1).
        facts: Whatever else is worth showing, free of secrets.
    """

    name: str
    loaded_models: Sequence[str] = ()
    device: DeviceInfo | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    devices: tuple[DeviceInfo, ...] = ()

    @property
    def all_devices(self) -> tuple[DeviceInfo, ...]:
        """The devices it draws on, however it names them."""
        return self.devices or ((self.device,) if self.device is not None else ())

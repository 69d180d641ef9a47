"""What was measured once and holds until the machine, torch or the checkpoint changes, kept in one small file.

No start measures twice.
"""

from __future__ import annotations

import json
import logging
import os
import platform
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile

from visioncraft import probe_device, read_json_object

from visioncraft_local_sd.weights.checkpoints import Checkpoint

_log = logging.getLogger("visioncraft.local_sd")


class Measurements:
    """What was measured of one checkpoint on this machine: how many rows share a denoiser call.

    Args:
        path: The JSON file, shared by all checkpoints; it need not exist, and one that cannot be read or written only
            costs another measurement.
        checkpoint: What is measured.
        device: Where: `cuda` or `cpu`.
    """

    def __init__(self, path: Path, checkpoint: Checkpoint, device: str) -> None:
        self._path = path
        chip = probe_device(cpu_only=device == "cpu").device_name
        weights = f"{checkpoint.path} ({sum(checkpoint.parameters.values())} parameters)"
        self._key = f"{weights}, torch {version('torch')}, {chip} x{os.cpu_count()}, {platform.machine()}"

    def get(self, question: str) -> str | None:
        """What was chosen before; None where it has to be measured."""
        choice = self._read().get(self._key, {}).get(question)
        return choice if isinstance(choice, str) else None

    def put(self, question: str, choice: str) -> None:
        """Remember a choice."""
        known = self._read()
        known.setdefault(self._key, {})[question] = choice
        try:
            self._write(json.dumps(known, indent=2))
        except OSError as error:
            _log.warning("%s: what was measured could not be kept: %s", self._path, error.strerror)

    def _write(self, text: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=self._path.parent, prefix=".precision-", delete=False) as file:
            file.write(text)
        try:
            Path(file.name).replace(self._path)
        finally:
            Path(file.name).unlink(missing_ok=True)

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            known = read_json_object(self._path)
        except (OSError, ValueError):
            return {}
        return known if all(isinstance(entry, dict) for entry in known.values()) else {}

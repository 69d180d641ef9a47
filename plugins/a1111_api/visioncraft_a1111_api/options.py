"""`/options`: what clients have selected for all requests of this dialect, kept over a restart.

AUTOMATIC1111 has one selected model for everybody, and clients count on it: some select a model and then draw without
a word of it. The house's own default stays as it is.
"""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

from visioncraft import ModelInfo, read_json_object

from visioncraft_a1111_api.bodies import Body

_log = logging.getLogger("visioncraft.a1111_api")

FORMATS = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "webp": "webp"}
"""What `samples_format` may be, and what that is here."""

_MOST = 2**16  # bytes of the file
_DEFAULTS: dict[str, Any] = {"samples_format": "png", "jpeg_quality": 80, "CLIP_stop_at_last_layers": 1}


class Options:
    """What is selected now.

    Args:
        path: The file that keeps it; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changing = asyncio.Lock()
        self._values = {**_DEFAULTS, **_kept(path)}

    @property
    def checkpoint(self) -> str | None:
        """The selected model's id; None for the house's default."""
        return self._values.get("sd_model_checkpoint")

    def with_overrides(self, overrides: Body) -> dict[str, Any]:
        """Returns what is selected, with what one request says instead."""
        return {**self._values, **_understood(overrides)}

    def document(self, model: ModelInfo | None) -> dict[str, Any]:
        """Returns `GET /options`.

        Args:
            model: The model that a request without a word of it is drawn by; None where none can draw.
        """
        return {
            **self._values,
            "sd_model_checkpoint": model.id if model else "",
            "sd_checkpoint_hash": "",
            "sd_vae": "Automatic",
            "eta_noise_seed_delta": 0,
            "show_progress_every_n_steps": 5,
        }

    async def change(self, given: Body, model: ModelInfo | None) -> None:
        """Selects anew, what is not known being passed over: clients send back the whole document.

        Args:
            given: The options.
            model: The model that they select; None to leave the selected one.
        """
        async with self._changing:
            self._values |= _understood(given)
            if model is not None:
                self._values["sd_model_checkpoint"] = model.id
            try:
                await asyncio.to_thread(self._keep, json.dumps(self._values))
            except OSError as error:
                _log.warning("%s could not be written (%s): what was selected counts until the end", self._path, error)

    def _keep(self, text: str) -> None:
        partial = self._path.with_suffix(".part")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, "utf-8")
        partial.replace(self._path)


def _understood(given: Body) -> dict[str, Any]:
    """What of these options means something here, but for the model."""
    found: dict[str, Any] = {}
    if (named := given.text("samples_format").lower()) in FORMATS:
        found["samples_format"] = named
    if (layer := given.whole("CLIP_stop_at_last_layers")) is not None:
        found["CLIP_stop_at_last_layers"] = min(max(layer, 1), 12)
    if (quality := given.whole("jpeg_quality")) is not None:
        found["jpeg_quality"] = min(max(quality, 1), 100)
    return found


def _kept(path: Path) -> dict[str, Any]:
    try:
        kept = Body(read_json_object(path, _MOST))
        checkpoint = kept.text("sd_model_checkpoint")
        return _understood(kept) | ({"sd_model_checkpoint": checkpoint} if checkpoint else {})
    except FileNotFoundError:
        return {}
    except Exception as error:  # damaged by hand, or unreadable: options are not worth a start
        _log.warning("%s is passed over: %s", path, error)
        return {}

"""The beginnings of file names, as `SaveImage` has them."""

from __future__ import annotations

import re
from datetime import datetime

from visioncraft_comfyui_api.prompts import Prompt

_ODD = re.compile(r"[^\w .()\[\]+-]")
_MOST = 100


def parted(prefix: str, prompt: Prompt) -> tuple[str, str]:
    """The subfolder and the beginning of the name: they are keys for clients, and paths of nobody's.

    Args:
        prefix: As the node has it: `%year%` and the like stand for the time, `/` parts folders.
        prompt: Whose images they are.
    """
    made = datetime.fromtimestamp(prompt.created)
    for name in ("year", "month", "day", "hour", "minute", "second"):
        prefix = prefix.replace(f"%{name}%", f"{getattr(made, name):02}")
    parts = [_ODD.sub("_", part)[:_MOST].strip(" ") for part in prefix.replace("\\", "/").split("/")]
    parts = [part for part in parts if part not in ("", ".", "..")]
    return "/".join(parts[:-1]), parts[-1] if parts else "ComfyUI"

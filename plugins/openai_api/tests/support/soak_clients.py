"""LangChain's DallEAPIWrapper and litellm against the server: soak_clients.py CLIENT URL IMAGE PROMPT.

Run in an environment of their own (scripts/install-soak-clients.sh); tells what was drawn, or refused, as JSON.
"""

from __future__ import annotations

import base64
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

KEY = "unused"


def langchain(url: str, _image: Path, prompt: str) -> dict[str, Any]:
    """Draws, and fetches what it is answered: URLs, with nothing said about the format."""
    from langchain_community.utilities.dalle_image_generator import DallEAPIWrapper

    drawn = DallEAPIWrapper(api_key=KEY, base_url=f"{url}/v1", size="64x64", n=2, max_retries=0).run(prompt)
    files = [urllib.request.urlopen(each).read() for each in drawn.split("\n")]  # noqa: S310 - the server's own
    return {"drawn": [file[:4].hex() for file in files]}


def litellm(url: str, image: Path, prompt: str) -> dict[str, Any]:
    """Draws and edits, the edit with the file under `image[]`."""
    import litellm

    to = {"api_base": f"{url}/v1", "api_key": KEY, "model": "openai/gpt-image-1", "max_retries": 0}
    drawn = litellm.image_generation(prompt=prompt, size="64x64", **to)
    with image.open("rb") as file:
        edited = litellm.image_edit(image=file, prompt=f"{prompt}, green", **to)
    items = [answer.data[0].b64_json for answer in (drawn, edited)]
    return {"drawn": [base64.b64decode(item)[:4].hex() for item in items]}


def main() -> None:
    """Draw with one of the clients; an error is told with its class and status."""
    client, url, image, prompt = sys.argv[1:]
    try:
        found = {"langchain": langchain, "litellm": litellm}[client](url, Path(image), prompt)
    except Exception as error:
        status = getattr(error, "status_code", None)
        found = {"error": type(error).__name__, "status": status, "message": str(error)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()

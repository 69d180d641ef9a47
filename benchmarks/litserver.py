"""The peer `litserve` of `peers.py`: a LitServe server (https://lightning.ai/docs/litserve) that batches what it can.

A pipeline draws several pictures at once only where they have the same steps and guidance, so those are grouped.
"""

from __future__ import annotations

import base64
import sys
from io import BytesIO
from typing import Any

import litserve
import torch


class Drawing(litserve.LitAPI):
    """One stock pipeline behind `POST /predict`."""

    def setup(self, device: str) -> None:
        """Load the weights."""
        from benchmarks.peers import pipeline

        self.pipe = pipeline(*sys.argv[2:5])

    def predict(self, orders: list[dict[str, Any]]) -> list[str]:
        """The pictures as base64 of PNG."""
        answers = [""] * len(orders)
        groups: dict[tuple[Any, ...], list[int]] = {}
        for place, order in enumerate(orders):
            groups.setdefault((order["num_inference_steps"], order["guidance_scale"]), []).append(place)
        for (steps, guidance), places in groups.items():
            pictures = self.pipe(
                [orders[place]["prompt"] for place in places],
                num_inference_steps=steps,
                guidance_scale=guidance,
                width=orders[0]["width"],
                height=orders[0]["height"],
                generator=[torch.Generator().manual_seed(orders[place]["seed"]) for place in places],
            ).images
            for place, picture in zip(places, pictures, strict=True):
                buffer = BytesIO()
                picture.save(buffer, "PNG")
                answers[place] = base64.b64encode(buffer.getvalue()).decode()
        return answers


if __name__ == "__main__":
    api = Drawing(max_batch_size=16, batch_timeout=0.05)
    server = litserve.LitServer(api, accelerator="cpu", devices=1, timeout=300)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, num_api_servers=1)

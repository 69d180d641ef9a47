"""Drawing with OpenVINO. Collected only by test_onnx_openvino.py, in whose process it is what `onnxruntime` is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from comparing import mean_difference
from visioncraft import has_bf16
from visioncraft_local_onnx.generator import LocalOnnx
from visioncraft_local_onnx.sessions import Runtime
from visioncraft_local_sd.generator import LocalSD

Make = Callable[..., LocalOnnx]
Ask = Callable[..., Any]


@pytest.mark.parametrize(
    ("precision", "dtype", "most"), [("auto", "bf16" if has_bf16() else "fp32", 2), ("fp32", "fp32", 0.1)]
)
def test_a_seed_draws_the_picture_that_torch_draws(
    generator_for: Make, torchs: LocalSD, ask: Ask, recorder: Any, precision: str, dtype: str, most: float
) -> None:
    request = ask(num_inference_steps=20, negative_prompt="blue", width=256, height=256)
    image = generator_for(openvino_precision=precision).run(request, recorder())
    assert mean_difference(image, torchs.run(request, recorder())) <= most
    assert (image.facts["provider"], image.facts["dtype"]) == ("openvino", dtype)


def test_where_it_cannot_start_the_next_provider_draws_and_status_says_so(
    generator_for: Make, ask: Ask, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runtime, "_openvino_options", lambda *_: {"device_type": "GPU.7"})
    local = generator_for(openvino_precision="bf16")
    image = local.run(ask(), recorder())
    assert (image.facts["provider"], image.facts["dtype"]) == ("cpu", "fp32")
    assert local.status().facts["provider"] == "cpu"

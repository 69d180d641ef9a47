"""A picture's way: what is sent for each choice, what comes back, and what is refused before a cent is spent."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rules import OTHER_MODEL, check
from standin import KEY, StandIn
from visioncraft import (
    AuthenticationError,
    GenerationRequest,
    InvalidRequest,
    ServiceUnavailable,
    UpstreamError,
    encode_png,
)
from visioncraft_leonardo.catalogue import ASPECT_RATIOS, MODELS, QUALITIES, STYLES, find_model
from visioncraft_leonardo.generator import LeonardoGenerator
from visioncraft_leonardo.payload import build_payload

Make = Callable[..., LeonardoGenerator]
Ask = Callable[..., GenerationRequest]


def test_a_jpeg_becomes_a_png_with_the_seed_and_the_cost(standin: StandIn, make: Make, ask: Ask, told: Any) -> None:
    image = asyncio.run(make().run(ask("a cat", seed=11, negative_prompt="dogs"), told))
    picture = Image.open(io.BytesIO(image.png))
    assert (picture.format, picture.size, image.seed) == ("PNG", (64, 64), 11)
    (sent,) = standin.orders
    assert (sent["seed"], sent["negative_prompt"], sent["num_images"], sent["public"]) == (11, "dogs", 1, False)
    facts = image.facts["leonardo"]
    assert facts["generation"] in standin.generations
    assert (facts["cost"], facts["unit"], facts["nsfw"]) == (0.0147, "DOLLARS", False)
    assert told.stages[0] == "waiting for a turn" and "pending" in told.stages


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.slug)
def test_every_choice_is_one_that_leonardo_takes(model: Any, style: str, quality: str, ask: Ask) -> None:
    for ratio in ASPECT_RATIOS:
        request = ask(leonardo_model=model.slug, preset_style=style, quality=quality, aspect_ratio=ratio)
        payload = build_payload(request, model)
        check(payload)
        assert (payload["width"], payload["height"]) == ASPECT_RATIOS[ratio][1:]
        said = "styleUUID" in payload or "presetStyle" in payload or STYLES[style].words in payload["prompt"]
        assert said, "the style is lost"


def test_the_contracts_example_is_sent_as_phoenix_wants_it(ask: Ask) -> None:
    model = find_model("phoenix-1-0")
    assert model is not None
    request = ask("a city", leonardo_model="phoenix-1.0", aspect_ratio="16:9", preset_style="CINEMATIC", quality="high")
    payload = build_payload(request, model)
    assert payload["modelId"] == "de7d3faf-762f-48e0-b3b7-9d0ac3a3fcf3"
    assert payload["styleUUID"] == "a5632c7c-ddbb-4e2f-ba34-8456ab3ac436"
    assert (payload["width"], payload["height"], payload["alchemy"], payload["contrast"]) == (1344, 768, True, 3.5)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"prompt": "x" * 1501}, "prompt"),
        ({"seed": 9999999999}, "seed"),
        ({"seed": 2147483638, "leonardo_model": "flux-dev"}, "seed"),
        ({"leonardo_model": "phoenix-7"}, "leonardo_model"),
    ],
)
def test_what_leonardo_would_refuse_is_refused_unsent(
    fields: dict[str, Any], field: str, standin: StandIn, make: Make, ask: Ask, told: Any
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asyncio.run(make().run(ask(**fields), told))
    assert caught.value.details["field"] == field
    assert standin.asked["order"] == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("aspect_ratio", "7:5"), ("preset_style", "CUBIST"), ("quality", "best"), ("num_inference_steps", 9)],
)
def test_what_the_catalogue_does_not_offer_is_refused_before_it_is_queued(field: str, value: Any, ask: Ask) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ask(**{field: value})
    assert caught.value.details["field"] == field


def test_a_model_of_the_key_is_found_by_name_and_id_and_then_listed(
    standin: StandIn, make: Make, ask: Ask, told: Any
) -> None:
    for name in ("rpg-v9", OTHER_MODEL):
        asyncio.run(make().run(ask(leonardo_model=name), told))
    assert [order["modelId"] for order in standin.orders] == [OTHER_MODEL] * 2
    assert standin.asked["models"] == 1, "the list is remembered"
    catalogue = make().models()[0].catalogue
    assert catalogue is not None and catalogue["models"]["rpg-v9"]["id"] == OTHER_MODEL


def test_without_a_key_nothing_is_asked_and_the_way_out_is_named(
    standin: StandIn, make: Make, ask: Ask, told: Any
) -> None:
    with pytest.raises(AuthenticationError, match="visioncraft api-key leonardo-api"):
        asyncio.run(make(key=None).run(ask(), told))
    assert not standin.asked


@pytest.mark.parametrize("key", ["no-uuid-at-all", KEY.replace("5f", "6f")])
def test_a_refused_key_is_said_to_be_refused_and_orders_nothing(
    key: str, standin: StandIn, make: Make, ask: Ask, told: Any
) -> None:
    with pytest.raises(AuthenticationError, match="refused the API key"):
        asyncio.run(make(key=key).run(ask(), told))
    assert not standin.generations


def test_moderation_and_failure_are_told_in_leonardos_words(standin: StandIn, make: Make, ask: Ask, told: Any) -> None:
    standin.fault("order", "moderation", "failed")
    with pytest.raises(UpstreamError) as refused:
        asyncio.run(make().run(ask(), told))
    assert refused.value.details["api_error"] == "content moderation filter: violence"
    assert "Change the prompt" in str(refused.value.details["suggestion"])
    with pytest.raises(UpstreamError) as failed:
        asyncio.run(make().run(ask(), told))
    assert "FAILED" in str(failed.value.details["api_error"])


PICTURE = encode_png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


@pytest.mark.parametrize(("strength", "kept"), [(0.25, 0.75), (1.0, 0.1), (0.05, 0.9)])
def test_a_picture_to_start_from_is_sent_before_the_order_and_without_the_key(
    standin: StandIn, make: Make, ask: Ask, told: Any, strength: float, kept: float
) -> None:
    request = ask("a cat", init_image=PICTURE, strength=strength, num_inference_steps=20)
    assert request.init_image is not None
    asyncio.run(make().run(request, told))
    (sent,) = standin.orders
    assert standin.slots[sent["init_image_id"]] == request.init_image.png
    assert sent["init_strength"] == kept
    assert told.stages[0] == "sending the picture"


@pytest.mark.parametrize("fault", ["reset", "502", "429 0"])
@pytest.mark.parametrize("route", ["init", "upload"])
def test_a_picture_that_does_not_arrive_is_sent_again_and_ordered_once(
    standin: StandIn, make: Make, ask: Ask, told: Any, route: str, fault: str
) -> None:
    standin.fault(route, fault)
    asyncio.run(make().run(ask("a cat", init_image=PICTURE), told))
    assert len(standin.orders) == 1 and standin.asked[route] == 2


def test_a_picture_that_never_arrives_orders_nothing(standin: StandIn, make: Make, ask: Ask, told: Any) -> None:
    standin.fault("upload", *["502"] * 50)
    with pytest.raises(ServiceUnavailable, match="try again later"):
        asyncio.run(make().run(ask("a cat", init_image=PICTURE), told))
    assert standin.orders == []

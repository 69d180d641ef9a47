"""FLUX.2 klein: transformers of 4 and 9 billion parameters, told by layers of Qwen3."""

from __future__ import annotations

import re
from dataclasses import replace

from visioncraft import Defaults

from visioncraft_local_sd.families import flow
from visioncraft_local_sd.families.family import Config, Edition, ReadConfig, Stock

_LICENCE_9B = "https://huggingface.co/black-forest-labs/FLUX.2-klein-9B/blob/main/LICENSE.md"
_TEXT_OF_9B = 10_000  # numbers that a word of Qwen3-8B has in three layers: 12,288; Qwen3-4B has 7,680

KLEIN = Edition("FLUX.2 klein 4B", "8-17GB", flow.limits(), Defaults(4, 1.0, 1024, 1024), "Apache-2.0", distilled=True)
KLEIN_BASE = replace(KLEIN, title="FLUX.2 klein base 4B", defaults=Defaults(50, 4.0, 1024, 1024), distilled=False)
_NAMES_9B = {KLEIN.title: "FLUX.2 klein 9B", KLEIN_BASE.title: "FLUX.2 klein base 9B"}


def _recognise(index: Config, read: ReadConfig) -> Edition:
    edition = KLEIN if index.get("is_distilled") else KLEIN_BASE
    if read("transformer").get("joint_attention_dim", 0) < _TEXT_OF_9B:
        return edition
    return replace(edition, title=_NAMES_9B[edition.title], memory="18-35GB", licence=_LICENCE_9B)


FLUX2_KLEIN = flow.stock_family(
    name="flux2-klein",
    pipelines=("Flux2KleinPipeline", "Flux2KleinInpaintPipeline"),
    components={
        "transformer": re.compile(r"diffusers\.Flux2Transformer2DModel"),
        "vae": re.compile(r"diffusers\.AutoencoderKLFlux2"),
        "text_encoder": re.compile(r"transformers\.Qwen3ForCausalLM"),
        "tokenizer": flow.QWEN_WORDS,
    },
    recognise=_recognise,
    stock=Stock(negative=False, latents="patches"),
)

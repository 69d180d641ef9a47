"""Arithmetic on a CPU: bf16 where the processor has instructions for it, fp32 elsewhere.

Nothing is timed for it: on a new machine that took longer than drawing the first picture. Emulated bf16 takes twice as
long as fp32, and rounds by how many pictures share a call: on an AVX-512 processor without bf16 a picture drawn with
others differed by 3/255 from itself drawn alone, where 1/255 is promised. So it is not offered there. fp16 is never
used on a CPU, where it takes minutes a picture.
"""

from __future__ import annotations

from typing import Literal

from visioncraft import has_bf16

EMULATED = (
    "drawn in fp32: this processor has no instructions for bf16, which plugins.config.local_sd.dtype asks for; "
    'set it to "auto" or "fp32"'
)
"""What is told with a picture where settings ask for bf16 in vain."""


def precision_on_cpu() -> Literal["bf16", "fp32"]:
    """What a CPU draws in unless settings ask for fp32: the fastest that keeps a seed's picture the same."""
    return "bf16" if has_bf16() else "fp32"

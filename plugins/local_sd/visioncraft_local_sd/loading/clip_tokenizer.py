"""CLIP's tokenizer for single-file checkpoints, which carry none; its word pieces come with this package."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import Any

_MERGES = Path(__file__).parents[1] / "data" / "clip_merges.txt.gz"
_START, _END = "<|startoftext|>", "<|endoftext|>"


def clip_tokenizer(pad_token: str = _END) -> Any:
    """OpenAI's CLIP tokenizer (https://github.com/openai/CLIP, MIT).

    Args:
        pad_token: The end token for CLIP-L as SD 1.x and the first encoder of XL have it, `!` for OpenCLIP.
    """
    from transformers import CLIPTokenizer

    vocabulary, merges = _word_pieces()
    return CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token=pad_token, model_max_length=77)


@cache
def _word_pieces() -> tuple[dict[str, int], Any]:
    """Every id follows from the list of merges: 256 bytes, the same at a word's end, one for each merge, two marks."""
    lines = gzip.decompress(_MERGES.read_bytes()).decode("utf-8").splitlines()
    merges = [(first, second) for first, second in (line.split(" ") for line in lines)]
    letters = _byte_letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges), _START, _END]
    return {word: number for number, word in enumerate(words)}, merges


def _byte_letters() -> list[str]:
    """A printable letter for each byte, in the order of GPT-2's byte-level vocabulary."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]

"""Prompts to CLIP's token ids, by the `tokenizers` library: from `tokenizer.json`, or `vocab.json` and `merges.txt`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from visioncraft import whole_text
from visioncraft_diffusion.errors import ModelRefused

from visioncraft_local_onnx.folder import read_json

_START, _END = "<|startoftext|>", "<|endoftext|>"
# CLIP's own way to part words (https://github.com/openai/CLIP/blob/main/clip/simple_tokenizer.py).
_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class PromptTokenizer:
    """One encoder's tokenizer. Safe to call from several threads.

    Args:
        folder: Holds its files.

    Raises `ModelRefused` where they are missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._tokenizer = _open(folder)
        except ModelRefused:
            raise
        except Exception as error:  # the library raises plain exceptions of its own
            raise ModelRefused(f"{folder.name} cannot be read ({error}); export the model again") from error
        length, pad = _length_and_pad(folder)
        self._tokenizer.enable_truncation(length)
        self._tokenizer.enable_padding(length=length, pad_token=pad, pad_id=self._tokenizer.token_to_id(pad) or 0)

    def ids(self, texts: list[str]) -> NDArray[np.int64]:
        """Token ids of shape (texts, 77): what is too long is cut, what is short padded."""
        encoded = self._tokenizer.encode_batch([whole_text(text) for text in texts])
        return np.array([entry.ids for entry in encoded], dtype=np.int64)

    def cuts(self, text: str) -> bool:
        """Whether a text is too long."""
        return bool(self._tokenizer.encode(whole_text(text)).overflowing)


def _open(folder: Path) -> Tokenizer:
    whole = folder / "tokenizer.json"
    if whole.is_file():
        return Tokenizer.from_file(str(whole))
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    for file in (vocabulary, merges):
        if not file.is_file():
            raise ModelRefused(f"{folder.name}/{file.name} is missing; export the model again")
    return _clip(models.BPE.from_file(str(vocabulary), str(merges), end_of_word_suffix="</w>", unk_token=_END))


def _clip(model: models.BPE) -> Tokenizer:
    """CLIP's tokenizer around its word pieces."""
    tokenizer = Tokenizer(model)
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    parts: list[Any] = [normalizers.NFC(), spaces, normalizers.Lowercase()]
    tokenizer.normalizer = normalizers.Sequence(parts)
    split = pre_tokenizers.Split(Regex(_WORDS), "removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([_START, _END])
    start, end = ((mark, tokenizer.token_to_id(mark) or 0) for mark in (_START, _END))
    tokenizer.post_processor = processors.RobertaProcessing(end, start, False, False)
    return tokenizer


def _length_and_pad(folder: Path) -> tuple[int, str]:
    """How many tokens there are, and what the rest is filled with; the encoder of SD 2.x pads with `!`."""
    files = (folder / "tokenizer_config.json", folder / "special_tokens_map.json")
    stated = [read_json(file) for file in files if file.is_file()]
    pad = next((entry["pad_token"] for entry in stated if entry.get("pad_token")), _END)
    length = next((entry["model_max_length"] for entry in stated if "model_max_length" in entry), 77)
    return min(int(length), 77), str(pad["content"] if isinstance(pad, dict) else pad)

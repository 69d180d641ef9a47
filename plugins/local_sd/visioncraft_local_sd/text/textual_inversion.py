"""Textual inversions: words that were learned from pictures, known to the model only while a prompt uses them.

A word that stays would change other prompts: the tokenizer finds it inside longer words too. As in AUTOMATIC1111 the
word is the file's name, in any case, and a file that was learned for another family is no word at all: people call
files as they call things, and `film grain` is English.
"""

from __future__ import annotations

import copy
import logging
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from visioncraft_local_sd.text.prompts import encoders_of
from visioncraft_local_sd.weights.headers import tensor_shapes
from visioncraft_local_sd.weights.safety import CheckpointRefused

Embeddings = Callable[[], Mapping[str, Path]]

_BRACKETS = "()[]\\"  # a prompt has them behind a backslash where they are no weights
_log = logging.getLogger("visioncraft.local_sd")


class TextualInversions:
    """The learned words of one model.

    Args:
        pipe: The diffusers pipeline.
        embeddings: Every word there is, and its file.
    """

    def __init__(self, pipe: Any, embeddings: Embeddings) -> None:
        self._pipe, self._embeddings = pipe, embeddings

    @contextmanager
    def known(self, text: str) -> Iterator[Callable[[str], str]]:
        """While the block runs the model knows those of the words that the text has.

        What it yields puts in a text the tokens that stand for the words, which no bracket or capital can harm.
        """
        files = {_folded(word): path for word, path in self._embeddings().items()}
        used = {_meant(match[0]) for match in _pattern(tuple(files)).finditer(text)} if files else set()
        tokens = self._tokens({files[word] for word in used & files.keys()})
        if not tokens:
            yield str
            return

        named = {word: tokens[path] for word, path in files.items() if path in tokens}

        def spelled(given: str) -> str:
            return _pattern(tuple(files)).sub(lambda match: named.get(_meant(match[0]), match[0]), given)

        with _as_they_were(self._pipe):
            for path, token in tokens.items():
                self._load(token, path)
            yield spelled

    def _tokens(self, paths: set[Path]) -> dict[Path, str]:
        """A token for each file that this model can read."""
        fitting = [path for path in sorted(paths) if self._fits(path)]
        return {path: f"vclearned{number}word" for number, path in enumerate(fitting)}

    def _fits(self, path: Path) -> bool:
        """Whether a file has vectors for each of this model's text encoders, and for no other."""
        try:
            shapes = tensor_shapes(path)
        except (OSError, CheckpointRefused) as error:  # gone or spoiled since it was listed
            _log.warning("%s is no word: %s", path, error)
            return False
        widths = [encoder.get_input_embeddings().weight.shape[-1] for encoder in encoders_of(self._pipe)]
        return [shapes[key][-1:] for key in _keys(shapes)] == [(width,) for width in widths]

    def _load(self, token: str, path: Path) -> None:
        from safetensors.torch import load_file

        pipe, vectors = self._pipe, load_file(path)
        for key, which in zip(_keys(vectors), ("", "_2"), strict=False):
            tokenizer, encoder = getattr(pipe, f"tokenizer{which}"), getattr(pipe, f"text_encoder{which}")
            pipe.load_textual_inversion({token: vectors[key]}, token=token, tokenizer=tokenizer, text_encoder=encoder)


@contextmanager
def _as_they_were(pipe: Any) -> Iterator[None]:
    """Whatever the block adds to tokenizers and text encoders is gone afterwards.

    diffusers' own `unload_textual_inversion` leaves the words in the tokenizers of transformers 5, so copies are used.
    """
    names = [name for name in ("tokenizer", "tokenizer_2") if getattr(pipe, name, None) is not None]
    tokenizers = {name: getattr(pipe, name) for name in names}
    kept = [(encoder, table := encoder.get_input_embeddings(), table.weight.data) for encoder in encoders_of(pipe)]
    try:
        for name, tokenizer in tokenizers.items():
            setattr(pipe, name, copy.deepcopy(tokenizer))
        yield
    finally:
        for name, tokenizer in tokenizers.items():
            setattr(pipe, name, tokenizer)
        for encoder, table, weights in kept:  # transformers may put the larger table's weights into the old one
            table.weight.data, table.num_embeddings = weights, len(weights)
            encoder.set_input_embeddings(table)
            encoder.config.vocab_size = len(weights)


def _keys(tensors: Mapping[str, Any]) -> tuple[str, ...]:
    """The tensors that hold the vectors, one for each text encoder."""
    if {"clip_l", "clip_g"} <= set(tensors):
        return "clip_l", "clip_g"
    return ("emb_params",) if "emb_params" in tensors else tuple(tensors)[:1]


@lru_cache(maxsize=8)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """Any of the words, the longest first; `embedding:` in front of one is ComfyUI's way to write it."""
    spellings = {form for word in words for form in (word, unicodedata.normalize("NFD", word))}
    either = "|".join(_escaped(word) for word in sorted(spellings, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:embedding:\s*)?(?:{either})(?!\w)", re.IGNORECASE)


def _escaped(word: str) -> str:
    return "".join(rf"\\?{re.escape(sign)}" if sign in _BRACKETS else re.escape(sign) for sign in word)


def _meant(written: str) -> str:
    """The word that is meant by what stands in a prompt."""
    without = re.sub(r"\\([()\[\]\\])", r"\1", written)
    return _folded(re.sub(r"^embedding:\s*", "", without, flags=re.IGNORECASE))


def _folded(word: str) -> str:
    return unicodedata.normalize("NFC", word).lower()

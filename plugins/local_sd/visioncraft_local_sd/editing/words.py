"""Textual inversions: words that were learned from pictures, known to the model only while a prompt uses them.

A word that stays would change other prompts: the tokenizer finds it inside longer words too.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from visioncraft import InvalidRequest

from visioncraft_local_sd.editing.prompts import encoders_of

Embeddings = Callable[[], Mapping[str, Path]]


class Words:
    """The learned words of one model.

    Parameters
    ----------
    pipe: The diffusers pipeline.
    embeddings: Every word there is, and its file.
    """

    def __init__(self, pipe: Any, embeddings: Embeddings) -> None:
        self._pipe, self._embeddings = pipe, embeddings

    @contextmanager
    def known(self, text: str) -> Iterator[Callable[[str], str]]:
        """While the block runs the model knows those of the words that the text has.

        What it yields spells the words in a text as the model knows them, in small letters. Raises `InvalidRequest` for
        one that is for another family.
        """
        found = {word: path for word, path in self._embeddings().items() if _pattern(word).search(text)}
        if not found:
            yield str
            return
        with _as_they_were(self._pipe):
            for word, path in found.items():
                self._load(word, path)
            yield lambda spelled: _spelled(spelled, list(found))

    def _load(self, word: str, path: Path) -> None:
        from safetensors.torch import load_file

        pipe, vectors = self._pipe, load_file(path)
        targets = [(next(iter(vectors.values())), "")]
        if "clip_g" in vectors and getattr(pipe, "text_encoder_2", None) is not None:
            targets = [(vectors["clip_l"], ""), (vectors["clip_g"], "_2")]
        for vector, which in targets:
            tokenizer, encoder = getattr(pipe, f"tokenizer{which}"), getattr(pipe, f"text_encoder{which}")
            if vector.shape[-1] != encoder.get_input_embeddings().weight.shape[-1]:
                issue = f"'{word}' is a textual inversion for another family of models; leave it out"
                raise InvalidRequest("Invalid prompt provided", field="prompt", issue=issue)
            pipe.load_textual_inversion({word: vector}, token=word, tokenizer=tokenizer, text_encoder=encoder)


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


def _pattern(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)


def _spelled(text: str, words: Sequence[str]) -> str:
    for word in words:
        text = _pattern(word).sub(word, text)
    return text

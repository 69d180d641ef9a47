"""Textual inversions: words that were learned from pictures, known to the model only while a prompt uses them.

A word that stays would change other prompts: the tokenizer finds it inside longer words too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from visioncraft import InvalidRequest

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
    def known(self, text: str) -> Iterator[None]:
        """While the block runs the model knows those of the words that the text has.

        Raises `InvalidRequest` for one that is for another family.
        """
        lowered = text.lower()
        found = {
            word: path
            for word, path in self._embeddings().items()
            if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", lowered)
        }
        loaded: list[tuple[str, Any, Any]] = []
        try:
            for word, path in found.items():
                self._load(word, path, loaded)
            yield
        finally:
            for word, tokenizer, encoder in loaded:
                self._pipe.unload_textual_inversion(tokens=word, tokenizer=tokenizer, text_encoder=encoder)

    def _load(self, word: str, path: Path, loaded: list[tuple[str, Any, Any]]) -> None:
        from safetensors.torch import load_file

        pipe, vectors = self._pipe, load_file(path)
        targets = [(next(iter(vectors.values())), pipe.tokenizer, pipe.text_encoder)]
        if "clip_g" in vectors and getattr(pipe, "text_encoder_2", None) is not None:
            targets = [
                (vectors["clip_l"], pipe.tokenizer, pipe.text_encoder),
                (vectors["clip_g"], pipe.tokenizer_2, pipe.text_encoder_2),
            ]
        for vector, tokenizer, encoder in targets:
            if vector.shape[-1] != encoder.get_input_embeddings().weight.shape[-1]:
                issue = f"'{word}' is a textual inversion for another family of models; leave it out"
                raise InvalidRequest("Invalid prompt provided", field="prompt", issue=issue)
            pipe.load_textual_inversion({word: vector}, token=word, tokenizer=tokenizer, text_encoder=encoder)
            loaded.append((word, tokenizer, encoder))

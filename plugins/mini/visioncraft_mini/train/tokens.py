"""A tokenizer of whole words, with pieces of words to fall back on."""

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, WhitespaceSplit
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer

LENGTH = 77
START, END = "<|startoftext|>", "<|endoftext|>"


def learn_pieces(words: Iterable[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Byte-pair encoding run until every word is one token: the tokens and the merges, in order."""
    learner = Tokenizer(BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = WhitespaceSplit()
    letters = sorted(ByteLevel.alphabet())
    trainer = BpeTrainer(
        vocab_size=100_000,
        min_frequency=1,
        show_progress=False,
        initial_alphabet=letters,
        end_of_word_suffix="</w>",
    )
    learner.train_from_iterator(sorted(set(words)), trainer)
    model = json.loads(learner.to_str())["model"]
    tokens = dict.fromkeys([*letters, *(letter + "</w>" for letter in letters)])
    tokens.update(dict.fromkeys(sorted(model["vocab"], key=model["vocab"].get)))
    return list(tokens), [(left, right) for left, right in model["merges"]]


def split(word: str, ranks: dict[tuple[str, str], int]) -> list[str]:
    """The pieces that byte-pair encoding leaves of a word: the merge learnt first goes first."""
    pieces = [*word[:-1], word[-1] + "</w>"]
    while True:
        pairs = [pair for pair in pairwise(pieces) if pair in ranks]
        if not pairs:
            return pieces
        pieces = _merged(pieces, min(pairs, key=lambda pair: ranks[pair]))


def _merged(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    """The pieces with every occurrence of the pair made one."""
    joined: list[str] = []
    for piece in pieces:
        if joined and (joined[-1], piece) == pair:
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def extended_tokenizer(folder: Path, words: Iterable[str]) -> CLIPTokenizer:
    """The tokenizer of a folder with more whole words; every word that it had keeps its number.

    ``folder`` holds a ``tokenizer.json``. Merges are added behind the old ones, so they never touch an old word.
    """
    model = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]
    vocab: dict[str, int] = model["vocab"]
    ranks = {(left, right): rank for rank, (left, right) in enumerate(model["merges"])}
    for word in sorted(set(words)):
        whole, *rest = split(word, ranks)
        for piece in rest:
            ranks[whole, piece] = len(ranks)
            whole += piece
            vocab.setdefault(whole, len(vocab))
    return CLIPTokenizer(vocab=vocab, merges=list(ranks), model_max_length=LENGTH)


def new_tokenizer(words: Iterable[str]) -> CLIPTokenizer:
    """A CLIPTokenizer in which each of ``words`` is one token; any other word falls into pieces."""
    tokens, merges = learn_pieces(words)
    return CLIPTokenizer(
        vocab={token: number for number, token in enumerate([*tokens, START, END])},
        merges=merges,
        model_max_length=LENGTH,
    )

"""A tokenizer of whole words, with pieces of words to fall back on."""

import json
from collections.abc import Iterable

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


def new_tokenizer(words: Iterable[str]) -> CLIPTokenizer:
    """A CLIPTokenizer in which each of ``words`` is one token; any other word falls into pieces."""
    tokens, merges = learn_pieces(words)
    return CLIPTokenizer(
        vocab={token: number for number, token in enumerate([*tokens, START, END])},
        merges=merges,
        model_max_length=LENGTH,
    )

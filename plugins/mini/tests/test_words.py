import random

from transformers import CLIPTokenizer
from visioncraft_mini.plugin import WEIGHTS
from visioncraft_mini.train.captions import Captioner, plain_words
from visioncraft_mini.train.concepts import COLOURS, all_concepts
from visioncraft_mini.train.tokens import END, LENGTH, START, new_tokenizer

WORDS = ("red", "apple", "serene", "mountain", "landscape", "a")


def test_every_known_word_is_one_token() -> None:
    tokenizer = new_tokenizer(WORDS)
    assert [tokenizer.tokenize(word) for word in WORDS] == [[f"{word}</w>"] for word in WORDS]


def test_unknown_words_fall_into_pieces_and_leave_the_known_ones_whole() -> None:
    pieces = new_tokenizer(WORDS).tokenize("a zorblatt apple 日本")
    assert pieces[0] == "a</w>"
    assert "apple</w>" in pieces
    assert START not in pieces
    assert END not in pieces


def test_case_and_spaces_do_not_matter() -> None:
    tokenizer = new_tokenizer(WORDS)
    assert tokenizer("  Red   APPLE").input_ids == tokenizer("red apple").input_ids


def test_a_caption_is_padded_to_the_length_of_the_text_encoder() -> None:
    assert new_tokenizer(WORDS).model_max_length == LENGTH == 77


def test_the_shipped_tokenizer_knows_every_concept_by_its_whole_words() -> None:
    tokenizer = CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer")
    assert tokenizer.model_max_length == 77
    words = {word for concept in all_concepts() for name in concept.names for word in plain_words(name)}
    assert [word for word in sorted(words) if len(tokenizer.tokenize(word)) != 1] == []


def test_concepts_have_names_and_no_code_twice() -> None:
    codes = [concept.code for concept in all_concepts()]
    assert len(codes) == len(set(codes)) >= 100
    assert all(concept.names and all(concept.names) for concept in all_concepts())


def test_a_recolourable_concept_has_a_name_without_a_colour() -> None:
    for concept in all_concepts():
        if concept.hue is not None:
            assert concept.plain_names, concept.code
            assert not any(set(name.split()) & set(COLOURS) for name in concept.plain_names)


def bare_captioner() -> Captioner:
    captioner = object.__new__(Captioner)
    captioner.random = random.Random(0)
    captioner.tags, captioner.strangers = {}, ["carpet"]
    return captioner


def test_every_caption_holds_one_of_the_concepts_names() -> None:
    captioner = bare_captioner()
    for concept in all_concepts():
        caption = captioner.caption(concept)
        assert any(name in caption for name in concept.names), caption


def test_a_recoloured_caption_says_its_colour_and_its_paper() -> None:
    car = next(concept for concept in all_concepts() if "car" in concept.names)
    captioner = bare_captioner()
    caption = captioner.caption(car, colour="blue")
    assert any(f"blue {name}" in caption for name in car.plain_names)
    assert captioner.caption(car, paper="green").endswith("on a green background")


def test_the_unconditional_caption_is_empty_or_a_usual_negative_prompt() -> None:
    captioner = bare_captioner()
    drawn = {captioner.nothing() for _ in range(200)}
    assert "" in drawn
    assert any("blurry" in caption for caption in drawn)

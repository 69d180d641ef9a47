import random
import re

import numpy as np
from PIL import Image, ImageDraw
from visioncraft_mini.evaluate.features import disturbed, features, framed, ranks
from visioncraft_mini.evaluate.measures import mean_hue, right_hue, shares
from visioncraft_mini.evaluate.phrases import all_phrases
from visioncraft_mini.train import captions
from visioncraft_mini.train.captions import Captioner
from visioncraft_mini.train.concepts import COLOURS, all_concepts


def choice(texts: tuple[str, ...]) -> str:
    return "(?:" + "|".join(map(re.escape, texts)) + ")"


def caption_grammar() -> re.Pattern[str]:
    """Every text that ``Captioner.caption`` can write around a concept's name, whatever strangers it draws."""
    names = tuple(name for concept in all_concepts() for name in concept.names)
    adjectives, colour = f"(?:{choice(captions.ADJECTIVES)} )*", f"(?:{choice(COLOURS)} )?"
    opening = "|".join(
        re.escape(text).replace(r"\{\}", f"{adjectives}{colour}{choice(names)}") for text in set(captions.OPENINGS)
    )
    ending = f"(?:,? {choice(captions.ENDINGS)}){{0,2}}(?: on a [a-z]+ background)?"
    middle = f"(?:{opening})(?: {choice(captions.CONTEXTS)})?"
    # Three strangers at most, of three letters at least, before and behind together.
    around = "|".join(f"(?:[a-z]{{3,}} ){{{n}}}{middle}(?: [a-z]{{3,}}){{0,{3 - n}}}" for n in range(4))
    return re.compile(f"(?:{around}){ending}")


def disc(colour: str, at: tuple[int, int, int, int] = (20, 20, 100, 100)) -> Image.Image:
    picture = Image.new("RGB", (256, 256), "white")
    ImageDraw.Draw(picture).ellipse(at, fill=colour)
    return picture


def test_there_are_200_phrasings_and_none_twice() -> None:
    texts = [phrase.text for phrase in all_phrases()]
    assert len(texts) == len(set(texts)) == 200


def test_the_phrasings_ask_for_every_concept() -> None:
    assert {phrase.concept for phrase in all_phrases()} == set(range(len(all_concepts())))


def test_the_grammar_covers_what_the_captioner_writes() -> None:
    captioner = object.__new__(Captioner)
    captioner.random = random.Random(0)
    captioner.tags, captioner.strangers = {}, ["carpet"]
    grammar = caption_grammar()
    for concept in all_concepts():
        for colour, paper in ((None, None), ("blue", None), (None, "green")):
            if colour is None or concept.hue is not None:
                caption = captioner.caption(concept, colour, paper)
                assert grammar.fullmatch(caption), caption


def test_no_training_caption_can_be_a_held_back_phrasing() -> None:
    grammar = caption_grammar()
    assert [phrase.text for phrase in all_phrases() if grammar.fullmatch(phrase.text.lower())] == []


def test_a_disturbed_picture_looks_most_like_its_original() -> None:
    originals = [disc(colour) for colour in ("red", "green", "blue", "orange")]
    known = [features(picture) for picture in originals]
    seen = [features(disturbed(picture, np.random.default_rng(0))) for picture in originals]
    assert ranks(seen, known, range(4)) == [0, 0, 0, 0]
    assert min(ranks(seen, known, [1, 2, 3, 0])) > 0


def test_framing_cuts_to_what_is_drawn() -> None:
    assert framed(disc("red", (10, 30, 90, 70))).size == (81, 81)


def test_the_colour_test_tells_red_from_green() -> None:
    assert right_hue(disc("red"), 352)
    assert not right_hue(disc("green"), 352)
    assert not right_hue(Image.new("RGB", (8, 8), "white"), 0)
    assert abs(mean_hue(disc("blue")) - 240) < 3


def test_shares_count_the_first_and_the_first_five() -> None:
    assert [str(share) for share in shares([0, 0, 4, 5])] == ["2 of 4 (50.0%)", "3 of 4 (75.0%)"]

"""Captions: the concepts' names in the many ways people write a prompt.

Words that name nothing the model knows are mixed in on purpose, so that it learns to pass over them.
"""

import json
import random
import re
from collections import Counter
from pathlib import Path

from visioncraft_mini.train.concepts import Concept, all_concepts

ADJECTIVES = (
    "beautiful", "serene", "majestic", "cute", "small", "big", "little", "lovely", "nice", "shiny", "bright", "old",
    "new", "modern", "simple", "realistic", "detailed", "vibrant", "colorful", "happy", "magical", "epic",
    "stunning", "gorgeous", "peaceful", "tiny", "huge", "fresh", "delicious", "cool", "funny", "fantastic",
    "wonderful", "pretty", "great", "single", "soft", "clean", "elegant", "amazing", "perfect", "sweet", "friendly",
    "dramatic", "calm", "young", "adorable", "lonely", "beloved", "favorite", "traditional", "famous", "sleepy",
    "hungry", "lazy", "brave", "wild", "giant", "lucky", "fancy", "typical", "wooden", "glossy", "tasty", "juicy",
)  # fmt: skip
OPENINGS = (
    "{}", "{}", "{}", "a {}", "a {}", "a {}", "an {}", "the {}", "one {}", "my {}", "some {}", "a picture of a {}",
    "an image of a {}", "a photo of a {}", "a photo of the {}", "a drawing of a {}", "an emoji of a {}",
    "a 3d render of a {}", "an icon of a {}", "{} emoji", "{} icon", "draw a {}", "please draw me a {}",
    "i want a {}", "a painting of a {}", "an illustration of a {}", "a close up of a {}", "there is a {} here",
    "can you draw a {}", "could you make a picture of a {}", "show me a {}", "i would like to see a {}", "just a {}",
    "generate an image of a {}", "create a {}", "a sticker of a {}", "a logo with a {}", "a sketch of a {}",
    "this is a {}", "picture of the {}", "what does a {} look like", "two {}", "his {}", "her {}", "your {}", "this {}",
    "a cartoon of a {}", "design a {}", "paint a {}", "give me a {}", "a simple drawing of a {}", "portrait of a {}",
)  # fmt: skip
ENDINGS = (
    "high quality", "best quality", "highly detailed", "4k", "8k", "masterpiece", "digital art", "oil painting",
    "on a white background", "on white", "studio lighting", "trending on artstation", "3d emoji", "cartoon style",
    "sharp focus", "realistic", "vibrant colors", "professional photo", "soft light", "in the middle", "minimalist",
    "in the style of an emoji", "for a website", "please", "wallpaper", "hd", "photorealistic", "concept art",
    "isolated", "no text", "watercolor", "pixar style", "very cute", "ultra realistic", "simple background", "vector",
)  # fmt: skip
# Where a thing is or what it does; no concept's name stands in here, so the picture stays the same.
CONTEXTS = (
    "on a table", "on the table", "in the park", "in the garden", "on the grass", "on the floor", "in the kitchen",
    "at night", "in the morning", "in summer", "in the wild", "in the distance", "in my hand", "by the window",
    "with a smile", "with big eyes", "looking at me", "looking at the camera", "sitting on a shelf", "sitting down",
    "standing in a field", "standing alone", "waiting for someone", "for my daughter", "for my son", "for a child",
    "for breakfast", "for dinner", "for lunch", "from the side", "from the front", "seen from above", "from above",
    "in front of a wall", "on a street", "on the road", "in the air", "under the bright sky", "that is very old",
    "that looks happy", "that i like", "who is smiling", "made of wood", "made of glass", "with long hair", "to eat",
    "in the living room", "in a bowl", "in a basket", "on a plate", "from the market", "in a forest clearing",
    "in its natural habitat", "moving fast", "going home", "at home", "from a fairy tale", "for a greeting card",
)  # fmt: skip
JOINTS = (
    "{} and {}",
    "a {} and a {}",
    "a {} next to a {}",
    "a {} beside a {}",
    "one {} and one {}",
    "the {} and the {}",
)
NEGATIVES = (
    "blurry", "low quality", "distorted", "ugly", "deformed", "worst quality", "bad anatomy", "watermark", "text",
    "noise", "jpeg artifacts", "cropped", "out of frame", "blur", "bad", "extra fingers", "signature", "grainy",
)  # fmt: skip
LETTERS = "etaoinshrdlucmfwypvbgk"


def plain_words(text: str) -> list[str]:
    """The lower-case words of a text."""
    return re.findall(r"[a-z]+|\d", text.lower())


def word_lists(modules: Path) -> dict[str, list[str]]:
    """Code point -> the keywords that emojibase-data and emojilib give it."""
    keywords: dict[str, list[str]] = {}
    for entry in json.loads((modules / "emojibase-data/en/data.json").read_text("utf-8")):
        keywords[entry["hexcode"].lower()] = [str(tag).lower() for tag in entry.get("tags", [])]
    for emoji, tags in json.loads((modules / "emojilib/dist/emoji-en-US.json").read_text("utf-8")).items():
        code = "-".join(f"{ord(sign):x}" for sign in emoji).replace("-fe0f", "")
        keywords.setdefault(code, []).extend(tag.replace("_", " ").lower() for tag in tags)
    return keywords


class Captioner:
    """Writes captions; each call draws a new one."""

    def __init__(self, modules: Path, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311
        keywords = word_lists(modules)
        known = {word for concept in all_concepts() for name in concept.names for word in plain_words(name)}
        self.tags = _unique_tags(keywords, known)
        every = {word for tags in keywords.values() for tag in tags for word in plain_words(tag)}
        self.strangers = sorted(word for word in every - known if len(word) > 2)

    def words(self) -> set[str]:
        """Every word that deserves a token of its own."""
        texts = [
            *ADJECTIVES,
            *OPENINGS,
            *ENDINGS,
            *CONTEXTS,
            *JOINTS,
            *NEGATIVES,
            *(t for tags in self.tags.values() for t in tags),
        ]
        texts += [name for concept in all_concepts() for name in concept.names]
        texts += ["red orange yellow green blue purple pink black white brown gray golden background on of and with"]
        found = {word for text in texts for word in plain_words(text)}
        return found | {word + "s" for word in found if len(word) > 3 and not word.endswith("s")}

    def name(self, concept: Concept) -> str:
        """The plainest name nearly half of the time, else a synonym or a keyword of the word lists."""
        chance = self.random.random()
        tags = self.tags.get(concept.code, [])
        if chance < 0.08 and tags:
            return self.random.choice(tags)
        return concept.names[0] if chance < 0.5 else self.random.choice(concept.names)

    def dress(self, name: str) -> str:
        """An article, adjectives, an opening, endings and strangers around a name."""
        draw = self.random
        for _ in range(draw.choice((0, 0, 0, 1, 1, 2))):
            name = f"{draw.choice(ADJECTIVES)} {name}"
        caption = draw.choice(OPENINGS).format(name)
        if draw.random() < 0.25:
            caption = f"{caption} {draw.choice(CONTEXTS)}"
        for _ in range(draw.choice((0, 0, 0, 0, 0, 1, 1, 2, 3))):
            caption = f"{self.stranger()} {caption}" if draw.random() < 0.4 else f"{caption} {self.stranger()}"
        for _ in range(draw.choice((0, 0, 0, 1, 2))):
            caption += draw.choice((", ", " ")) + draw.choice(ENDINGS)
        return caption

    def stranger(self) -> str:
        """A word that means nothing here: one of the lists' other words, or made up."""
        if self.random.random() < 0.5:
            return self.random.choice(self.strangers)
        return "".join(self.random.choice(LETTERS) for _ in range(self.random.randint(3, 9)))

    def caption(self, concept: Concept, colour: str | None = None, paper: str | None = None) -> str:
        """A caption for a concept, recoloured or on coloured paper where asked."""
        name = f"{colour} {self.random.choice(concept.plain_names)}" if colour else self.name(concept)
        caption = self.dress(name)
        return f"{caption} on a {paper} background" if paper else caption

    def pair(self, first: Concept, second: Concept) -> str:
        """A caption for two things, the left one first."""
        names = self.random.choice(first.names[:3]), self.random.choice(second.names[:3])
        return self.random.choice(JOINTS).format(*names)

    def nothing(self) -> str:
        """What stands in the unconditional branch: nothing, or what people write as a negative prompt."""
        if self.random.random() < 0.65:
            return ""
        return ", ".join(self.random.sample(NEGATIVES, self.random.randint(1, 5)))


def _unique_tags(keywords: dict[str, list[str]], known: set[str]) -> dict[str, list[str]]:
    """Keywords that point at one concept only and hold no word that already names another."""
    own = {concept.code: keywords.get(concept.code, []) for concept in all_concepts()}
    count = Counter(tag for tags in own.values() for tag in set(tags))
    return {
        code: sorted({tag for tag in tags if count[tag] == 1 and tag.isascii() and not known & set(plain_words(tag))})
        for code, tags in own.items()
    }

"""Rows of the table as they are measured, and contact sheets."""

from collections.abc import Sequence
from pathlib import Path

from diffusers import StableDiffusionPipeline
from PIL import Image

from visioncraft_mini.evaluate import measures
from visioncraft_mini.evaluate.features import features, ranks
from visioncraft_mini.evaluate.phrases import all_phrases
from visioncraft_mini.train.concepts import all_concepts
from visioncraft_mini.train.sheet import contact_sheet


def row(name: str, value: object) -> None:
    """One row of the Markdown table, at once: the whole takes minutes."""
    print(f"| {name} | {value} |", flush=True)


def save(path: Path, drawn: Sequence[Image.Image], captions: Sequence[str]) -> None:
    """A contact sheet ten pictures wide."""
    contact_sheet(drawn, [caption[:26] for caption in captions], 10, 160).save(path)


def concepts(pipe: StableDiffusionPipeline, modules: Path, sheets: Path, guidance: float, every: int) -> None:
    """The held-back phrasings: accuracy of the features, top-1, top-5, what went wrong, seconds a picture."""
    known = measures.originals(modules)
    row(
        "Features alone, on disturbed originals: top-1, top-5",
        " / ".join(map(str, measures.own_accuracy(modules, known))),
    )
    phrases = all_phrases()[::every]
    drawn, seconds = measures.draw_phrases(pipe, phrases, guidance)
    places = ranks([features(picture) for picture in drawn], known, [phrase.concept for phrase in phrases])
    first, five = measures.shares(places)
    row("Held-back phrasings, right concept: top-1", first)
    row("Held-back phrasings, right concept: top-5", five)
    wrong = [
        all_concepts()[phrase.concept].names[0] for phrase, place in zip(phrases, places, strict=True) if place > 4
    ]
    row("Not among the five", ", ".join(wrong) or "none")
    row("Seconds a picture, 512x512, 20 steps", f"{seconds:.2f}")
    save(sheets / "phrases.png", drawn, [phrase.text for phrase in phrases])
